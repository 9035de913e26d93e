"""Header values: encoded so that they say what was meant, and checked so that they say nothing else.

On Python 3.11 an encoded-word that hides a line break, in a subject or a display name, is decoded and written raw by
the standard library's modern API: a contact's name could add a ``Bcc``. So nothing here is ever decoded: every value is
made plain on one line, and one that merely looks like an encoded-word is itself encoded. The finished message is then
compared with the headers that were meant (``check_headers``), and a difference stops it.

``email.header`` encodes rightly and slowly (a long subject takes longer than all the rest of a message), so it does not
encode here: it is what the encoder here is tested against.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from functools import lru_cache

from aicmo.crm.address import NotAnAddress, normalise
from aicmo.errors import InvalidInput
from aicmo.text import one_line, shown

LINE_LENGTH = 76
"""RFC 5322 2.1.1 asks for 78 or fewer; encoded-words are bound to 76 (RFC 2047 2)."""
LONGEST_NAME = 120
"""A display name longer than this names nobody; the address stands alone then."""

_TOKENS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+")
_PLAIN_ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+@[A-Za-z0-9.-]+")
"""One that can be nothing else in a header; whether it is well formed was judged when it came in."""
_WORD_FRAME = len("=?utf-8?q??=")
_Q_SAFE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")
"""What stands for itself in the Q encoding, even in a display name (RFC 2047 5)."""


class HeaderMismatch(InvalidInput):
    """The finished message's headers are not the intended ones. It must not be sent."""

    code = "header_mismatch"


def unstructured(value: str, *, name: str) -> str:
    """``value`` as the body of a header such as Subject: ASCII, folded, its meaning kept (RFC 5322 2.2.1, RFC 2047)."""
    value = one_line(value)
    if value.isascii() and len(name) + 2 + len(value) <= LINE_LENGTH and "=?" not in value:
        return value
    if value.isascii() and "=?" not in value and max(map(len, value.split(" "))) < LINE_LENGTH - 20:
        return _folded(value, len(name) + 2)
    return _encoded(value, len(name) + 2)


def _folded(value: str, used: int) -> str:
    """``value`` broken at spaces; so many columns of the first line are taken."""
    lines, line = [], ""
    for word in value.split(" "):
        if line and used + len(line) + 1 + len(word) > LINE_LENGTH:
            lines.append(line)
            line, used = word, 1
        else:
            line = f"{line} {word}" if line else word
    return "\r\n ".join([*lines, line])


def _encoded(value: str, used: int) -> str:
    """``value`` as encoded-words in UTF-8 (RFC 2047), a line each; so many columns of the first line are taken."""
    first, rest = LINE_LENGTH - used - _WORD_FRAME, LINE_LENGTH - 1 - _WORD_FRAME
    quoted = "".join(map(_q, value))
    if len(quoted) <= first:
        return f"=?utf-8?q?{quoted}?="
    size = len(value.encode())
    if len(quoted) * 3 <= size * 4:
        words = [f"=?utf-8?q?{''.join(map(_q, part))}?=" for part in _parts(value, first, rest, bytewise=False)]
    else:
        in_bytes = _parts(value, first // 4 * 3, rest // 4 * 3, bytewise=True)
        words = [f"=?utf-8?b?{b64encode(part.encode()).decode()}?=" for part in in_bytes]
    return "\r\n ".join(words)


def _parts(value: str, first: int, rest: int, *, bytewise: bool) -> Iterator[str]:
    """``value`` in pieces of whole characters (RFC 2047 5), each as long as has room: in Q, or in bytes for base64."""
    begin, left = 0, first
    for place, char in enumerate(value):
        length = len(char.encode()) if bytewise else len(_q(char))
        if length > left:
            yield value[begin:place]
            begin, left = place, rest
        left -= length
    yield value[begin:]


@lru_cache(maxsize=4096)
def _q(char: str) -> str:
    if char in _Q_SAFE:
        return char
    return "_" if char == " " else "".join(f"={byte:02X}" for byte in char.encode())


def mailbox(name: str, address: str, *, header: str) -> str:
    """``"Ada Lovelace" <ada@example.com>``; ``<ada@example.com>`` when there is no usable name (RFC 5322 3.4)."""
    name = one_line(name)
    if not name or len(name) > LONGEST_NAME:
        return f"<{address}>"
    if name.isascii() and "=?" not in name and len(header) + len(name) + 4 <= LINE_LENGTH:
        phrase = name if _TOKENS.fullmatch(name) else '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    else:
        phrase = _encoded(name, len(header) + 2)
    separator = "\r\n " if len(header) + len(phrase) + len(address) + 5 > LINE_LENGTH else " "
    return f"{phrase}{separator}<{address}>"


def wire_address(email: str) -> str:
    """``email`` as any server takes it: the domain in its ASCII form (RFC 5891). Raises ``InvalidInput``.

    A local part beyond ASCII needs SMTPUTF8 (RFC 6531), which not every server on the way offers; it is refused. So is
    whatever is more than one bare address, because it goes into a header and into the envelope as it is.
    """
    if _PLAIN_ADDRESS.fullmatch(email):
        return email
    local = email.rpartition("@")[0]
    if not local.isascii():
        raise InvalidInput(
            f"{shown(email)} cannot be written to: its part before the @ is not ASCII.", hint="Ask for another address."
        )
    known = normalise(email)
    if known.email != email:
        raise NotAnAddress(email, "there is more in it than the address")
    return f"{local}@{known.address.rpartition('@')[2]}"


def check_headers(block: bytes, intended: Sequence[bytes]) -> None:
    """Compare a finished header block with the names that were meant, in their order.

    Raises ``HeaderMismatch`` for any other name, a line without one, a bare CR or LF, a NUL or a byte beyond ASCII.
    """
    *lines, end = block.split(b"\r\n")
    found = [line.partition(b":")[0] for line in lines if line[:1] not in (b" ", b"\t")]
    bare = block.count(b"\r") != len(lines) or block.count(b"\n") != len(lines)
    if found != list(intended) or end or bare or not block.isascii() or b"\0" in block:
        raise HeaderMismatch(
            "A value would have changed the message's headers, so the message was not sent.",
            hint="Look at the contact's name and the subject for what does not belong there.",
        )
