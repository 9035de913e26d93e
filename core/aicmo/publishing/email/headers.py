"""Header values: encoded so that they say what was meant, and checked so that they say nothing else.

On Python 3.11 an encoded-word that hides a line break, in a subject or a display name, is decoded and written raw by
the standard library's modern API: a contact's name could add a ``Bcc``. So nothing here is ever decoded: every value is
made plain on one line, and one that merely looks like an encoded-word is itself encoded. The finished message is then
compared with the headers that were meant (``check_headers``), and a difference stops it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from email.header import Header

from aicmo.crm.address import normalise
from aicmo.errors import InvalidInput
from aicmo.text import one_line, shown

LINE_LENGTH = 76
"""RFC 5322 2.1.1 asks for 78 or fewer; encoded-words are bound to 76 (RFC 2047 2)."""
LONGEST_NAME = 120
"""A display name longer than this names nobody; the address stands alone then."""

_TOKENS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+")
_NAME = re.compile(rb"(?m)^([^\s:]+):")
_FORBIDDEN = re.compile(rb"\r(?!\n)|(?<!\r)\n|[\x00\x80-\xff]")


class HeaderMismatch(InvalidInput):
    """The finished message's headers are not the intended ones. It must not be sent."""

    code = "header_mismatch"


def unstructured(value: str, *, name: str) -> str:
    """``value`` as the body of a header such as Subject: ASCII, folded, its meaning kept (RFC 5322 2.2.1, RFC 2047)."""
    value = one_line(value)
    if value.isascii() and len(name) + 2 + len(value) <= LINE_LENGTH and "=?" not in value:
        return value
    charset = "us-ascii" if value.isascii() and "=?" not in value and _folds(value) else "utf-8"
    return Header(value, charset, header_name=name, maxlinelen=LINE_LENGTH).encode(linesep="\r\n")


def _folds(value: str) -> bool:
    """Whether a long ASCII value has spaces enough to be folded between words."""
    return max(map(len, value.split(" "))) < LINE_LENGTH - 20


def mailbox(name: str, address: str, *, header: str) -> str:
    """``"Ada Lovelace" <ada@example.com>``; the address alone when there is no usable name (RFC 5322 3.4)."""
    name = one_line(name)
    if not name or len(name) > LONGEST_NAME:
        return address
    if name.isascii() and "=?" not in name:
        phrase = name if _TOKENS.fullmatch(name) else '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    else:
        phrase = Header(name, "utf-8", header_name=header, maxlinelen=LINE_LENGTH).encode(linesep="\r\n")
    separator = "\r\n " if len(header) + len(phrase) + len(address) + 5 > LINE_LENGTH else " "
    return f"{phrase}{separator}<{address}>"


def wire_address(email: str) -> str:
    """``email`` as any server takes it: the domain in its ASCII form (RFC 5891). Raises ``InvalidInput``.

    A local part beyond ASCII needs SMTPUTF8 (RFC 6531), which not every server on the way offers; it is refused.
    """
    local = email.rpartition("@")[0]
    if not local.isascii():
        raise InvalidInput(
            f"{shown(email)} cannot be written to: its part before the @ is not ASCII.", hint="Ask for another address."
        )
    if email.isascii():
        return email
    return f"{local}@{normalise(email).address.rpartition('@')[2]}"


def check_headers(block: bytes, intended: Sequence[bytes]) -> None:
    """Compare a finished header block with the names that were meant, in their order.

    Raises ``HeaderMismatch`` for any other name, a bare CR or LF, a NUL or a byte beyond ASCII.
    """
    found = _NAME.findall(block)
    if found != list(intended) or _FORBIDDEN.search(block) or b"\r\n\r\n" in block:
        raise HeaderMismatch(
            "A value would have changed the message's headers, so the message was not sent.",
            hint="Look at the contact's name and the subject for what does not belong there.",
        )
