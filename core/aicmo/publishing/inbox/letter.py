"""A mail that came in, as whoever judges it needs it: its headers decoded, what made it, what its writer said anew.

Strangers write these mails. Nothing in one makes any of this fail: what cannot be read is empty. Only the first
``LONGEST_MAIL`` bytes are looked at, because what a person says stands before what they attach.
"""

from __future__ import annotations

import email
import re
from binascii import Error as NotBase64
from email.errors import MessageError
from email.header import decode_header
from email.message import Message
from email.parser import BytesHeaderParser
from email.utils import getaddresses
from functools import cached_property

from aicmo.crm.address import NotAnAddress, normalise
from aicmo.text import one_line, plain

LONGEST_MAIL = 512 * 1024
LONGEST_HEADER = 16 * 1024
"""Characters of one header, all its occurrences together."""
LONGEST_TEXT = 64 * 1024

_MAKERS = ("mailer-daemon", "postmaster", "maildaemon", "mail-daemon")
_ATTRIBUTION_LINES = 4
"""So many lines does a line such as “On Monday, Ada <ada@example.com> wrote:” fill at most, folded."""
_CUT = re.compile(
    r"-- ?|_{10,}|-{2,} ?[^\W\d_].{0,60}[^\W\d_] ?-{2,}"
    r"|\*?(?:from|von|de|da|van|od|fra|från|送信者|差出人)\s?:\*? .*@.*",
    re.IGNORECASE,
)
"""A line that ends what was said: before a signature, a forwarded mail, a quote that is not marked as one."""
_DEVICE = re.compile(
    r"(?:sent|get|gesendet|von meinem|envoyé|enviado|inviato|verzonden|wysłane|skickat|sendt)\b.{0,80}"
    r"(?:iphone|ipad|android|outlook|galaxy|samsung|mobile|phone|mobiltelefon|handy|smartphone|gmail|yahoo|proton).{0,40}",
    re.IGNORECASE,
)


class InboundLetter:
    """One mail, read no further than is asked."""

    def __init__(self, raw: bytes) -> None:
        """``raw``: as it was fetched; what is beyond ``LONGEST_MAIL`` is not read."""
        self._raw = raw[:LONGEST_MAIL]
        self._headers: Message = BytesHeaderParser().parsebytes(self._raw)

    def header(self, *names: str) -> str:
        """All that stands in the headers of these names, decoded (RFC 2047), on one line; empty when there is none."""
        values = [str(value) for name in names for value in self._headers.get_all(name, [])]
        return one_line(" ".join(map(_decoded, values))[:LONGEST_HEADER])

    def addresses(self, *names: str) -> list[str]:
        """The addresses in the headers of these names, as they are written there."""
        values = [str(value)[:LONGEST_HEADER] for name in names for value in self._headers.get_all(name, [])]
        return [address for _, address in getaddresses([one_line(value) for value in values]) if address]

    @cached_property
    def sender(self) -> str:
        """The normalised address in From; empty where there is none, or more than one."""
        found = self.addresses("From")
        try:
            return normalise(found[0]).address if len(found) == 1 else ""
        except NotAnAddress:
            return ""

    @property
    def is_bounce(self) -> bool:
        """Whether a mail system speaks of a mail, instead of somebody to somebody (RFC 3464, and those older)."""
        maker = self.sender.partition("@")[0]
        kind = self._headers.get_content_type()
        return kind == "multipart/report" or maker in _MAKERS or "X-Failed-Recipients" in self._headers

    @property
    def answers_by_itself(self) -> bool:
        """Whether it says that it is an automatic answer (RFC 3834 5)."""
        return self._declared == "auto-replied"

    @property
    def is_automatic(self) -> bool:
        """Whether anything shows that no person wrote it just now."""
        return (
            self._declared not in ("", "no")
            or self.header("Precedence").lower() in ("bulk", "junk", "list", "auto_reply")
            or any(name in self._headers for name in ("X-Auto-Response-Suppress", "X-Autoreply", "X-Autorespond"))
            or self.header("Return-Path") == "<>"
        )

    @property
    def _declared(self) -> str:
        return self.header("Auto-Submitted").partition(";")[0].strip().lower()

    @cached_property
    def new_text(self) -> str:
        """What its writer said, without what they quote and without their signature; empty when that is nothing."""
        return _without_quotes(self._text)

    @cached_property
    def _text(self) -> str:
        try:
            parts = list(email.message_from_bytes(self._raw).walk())
        except RecursionError:  # parts within parts within parts: nobody wrote that
            return ""
        for kind in ("text/plain", "text/html"):
            for part in parts:
                if part.get_content_type() == kind and part.get_content_disposition() != "attachment":
                    text = _content(part)
                    if kind == "text/plain":
                        return text
                    from aicmo.publishing.email.plaintext import html_to_text

                    return html_to_text(text)
        return ""


def _decoded(value: str) -> str:
    """A header's value; as it stands when it is not well encoded."""
    if "=?" not in value:
        return value
    try:
        return "".join(
            chunk if isinstance(chunk, str) else _as_text(chunk, charset or "ascii")
            for chunk, charset in decode_header(value)
        )
    except (MessageError, NotBase64, ValueError):
        return value


def _content(part: Message) -> str:
    try:
        content = part.get_payload(decode=True)
        charset = part.get_content_charset("utf-8")
    except (LookupError, ValueError):
        return ""
    return plain(_as_text(content[:LONGEST_TEXT], charset)) if isinstance(content, bytes) else ""


def _as_text(content: bytes, charset: str) -> str:
    try:
        return content.decode(charset, "replace")
    except (LookupError, ValueError):  # a charset of which nobody has heard
        return content.decode("utf-8", "replace")


def _without_quotes(text: str) -> str:
    said: list[str] = []
    for line in (each.strip() for each in text.splitlines()):
        if line.startswith(">"):
            _drop_attribution(said)
        elif _CUT.fullmatch(line):
            break
        elif not _DEVICE.fullmatch(line):
            said.append(line)
    return "\n".join(said).strip()


def _drop_attribution(said: list[str]) -> None:
    """Take the line above a quote, “Ada wrote:”, off the end of what was said: back to the empty line before it."""
    while said and not said[-1]:
        said.pop()
    if said and said[-1].endswith((":", "：")):
        for _ in range(_ATTRIBUTION_LINES):
            if said and said[-1]:
                said.pop()
