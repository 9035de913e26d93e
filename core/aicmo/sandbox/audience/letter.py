"""A message as the one who received it finds it: whom to answer, what to quote, what there is to fetch.

Header values stay as they were sent, encoded-words and all, on one line of ASCII: what is never decoded cannot turn
into a header of the answer.
"""

from __future__ import annotations

import email
import html
import re
from dataclasses import dataclass
from email.message import Message
from email.utils import getaddresses, parseaddr
from functools import cached_property
from urllib.parse import parse_qs, unquote

from aicmo.text import one_line

_TAG = re.compile(r"<(a|img)\b([^>]*)>", re.IGNORECASE)
_ADDRESS = re.compile(r"""\b(?:href|src)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>"']+))""", re.IGNORECASE)
_IN_TEXT = re.compile(r"https?://[^\s<>()\"']+")
_OFFER = re.compile(r"<\s*([^<>\s]+)\s*>")
_ONE_CLICK = "List-Unsubscribe=One-Click"


@dataclass(frozen=True, slots=True)
class Mailto:
    """What a ``mailto:`` address asks to be sent (RFC 6068)."""

    to: str
    subject: str
    body: str


class Letter:
    """One message in one mailbox. Nothing it may hold makes any of this fail."""

    def __init__(self, raw: bytes, *, mail_from: str, recipient: str) -> None:
        self.raw = raw
        self.mail_from = mail_from
        """The envelope's sender; empty for ``<>``."""
        self.recipient = recipient
        self._mail: Message = email.message_from_bytes(raw)

    @property
    def domain(self) -> str:
        """The recipient's."""
        return self.recipient.rpartition("@")[2]

    def header(self, name: str) -> str:
        """A header's value; empty when it is missing."""
        return one_line(str(self._mail.get(name, ""))).encode("ascii", "replace").decode()

    @property
    def automatic(self) -> bool:
        """Whether a machine wrote it of its own accord: nobody answers that (RFC 3834 2)."""
        declared = self.header("Auto-Submitted").partition(";")[0].strip().lower()
        return not self.mail_from or declared not in ("", "no") or self._mail.get_content_type() == "multipart/report"

    @property
    def wants_no_auto_reply(self) -> bool:
        """Whether it asks absence notes to keep quiet (MS-OXCMAIL 2.2.3.2.14)."""
        asked = re.split(r"[,\s]+", self.header("X-Auto-Response-Suppress").lower())
        return not {"all", "oof", "autoreply"}.isdisjoint(asked)

    @property
    def reply_to(self) -> str:
        """The address that a reply goes to (RFC 5322 3.6.2)."""
        return parseaddr(self.header("Reply-To") or self.header("From"))[1] or self.mail_from

    @property
    def signature(self) -> str:
        """The mailbox that the recipient writes from: as the sender spelt it, if it is only theirs."""
        addressed = self.header("To")
        mailboxes = getaddresses([addressed])
        only_theirs = len(mailboxes) == 1 and mailboxes[0][1].lower() == self.recipient.lower()
        return addressed if only_theirs else self.recipient

    @cached_property
    def text(self) -> str:
        """The plain text part; empty when there is none."""
        return self._part("text/plain")

    @cached_property
    def images(self) -> tuple[str, ...]:
        """The addresses of its images."""
        return tuple(dict.fromkeys(url for tag, url, _ in self._fetchable if tag == "img"))

    @cached_property
    def links(self) -> tuple[str, ...]:
        """Where it leads, hidden links too, without its ``mailto:``."""
        linked = [url for tag, url, _ in self._fetchable if tag == "a"]
        return tuple(dict.fromkeys(linked or _IN_TEXT.findall(self.text)))

    @cached_property
    def inviting_links(self) -> tuple[str, ...]:
        """The links that somebody who reads it sees and may want, which the way out is not."""
        hidden = {url for _, url, visible in self._fetchable if not visible}
        return tuple(url for url in self.links if url not in hidden and url not in self._offers)

    @property
    def one_click(self) -> str:
        """Where a POST unsubscribes (RFC 8058); empty when that is not offered. On loopback HTTP stands for HTTPS."""
        if self.header("List-Unsubscribe-Post") != _ONE_CLICK:
            return ""
        return next((url for url in self._offers if url.lower().startswith(("https:", "http:"))), "")

    @property
    def unsubscribe_mailto(self) -> Mailto | None:
        """What List-Unsubscribe asks to be mailed (RFC 2369 3.2)."""
        for url in self._offers:
            if url.lower().startswith("mailto:"):
                to, _, query = url[len("mailto:") :].partition("?")
                # A plus sign in a mailto is a plus sign (RFC 6068 2).
                asked = parse_qs(query.replace("+", "%2B"))
                return Mailto(
                    to=one_line(unquote(to)),
                    subject=one_line(asked.get("subject", [""])[0]),
                    body=asked.get("body", [""])[0],
                )
        return None

    @cached_property
    def _offers(self) -> tuple[str, ...]:
        return tuple(_OFFER.findall(self.header("List-Unsubscribe")))

    @cached_property
    def _fetchable(self) -> tuple[tuple[str, str, bool], ...]:
        """Tag, address and whether it is visible, for everything over HTTP in the HTML part."""
        found = []
        for tag in _TAG.finditer(self._part("text/html")):
            if address := _ADDRESS.search(tag[2]):
                url = html.unescape(address[1] or address[2] or address[3] or "").strip()
                if url.lower().startswith(("http://", "https://")):
                    found.append((tag[1].lower(), url, "display:none" not in tag[2].replace(" ", "").lower()))
        return tuple(found)

    def _part(self, kind: str) -> str:
        for part in self._mail.walk():
            if part.get_content_type() == kind:
                content = part.get_payload(decode=True)
                if isinstance(content, bytes):
                    try:
                        return content.decode(part.get_content_charset("utf-8"), "replace")
                    except LookupError:
                        return content.decode("latin-1")
        return ""
