"""Build the bytes of a campaign's messages: everything static once, the rest per recipient.

A message is ``multipart/alternative``, text first, both parts quoted-printable, so that every line is short ASCII
whatever was written. Nothing is built with ``email.message``: that makes some hundreds a second; joining encoded pieces
makes many thousands, and each result is checked against the headers that were meant before anybody may send it.
"""

from __future__ import annotations

import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from urllib.parse import quote

from aicmo.errors import InvalidInput
from aicmo.publishing.email.headers import check_headers, mailbox, unstructured, wire_address
from aicmo.publishing.email.templates import Filled, MessageTemplate
from aicmo.store.contents import Draft
from aicmo.store.meta import Identity

HEADERS = (
    b"From",
    b"To",
    b"Subject",
    b"Date",
    b"Message-ID",
    b"List-Unsubscribe",
    b"List-Id",
    b"Precedence",
    b"MIME-Version",
    b"Content-Type",
)
"""The headers of every message, in their order; ``Reply-To`` comes after ``From`` where the sender has one."""


@dataclass(frozen=True, slots=True)
class SenderIdentity:
    """Who a campaign is sent as."""

    name: str
    email: str
    postal_address: str
    reply_to: str = ""


@dataclass(frozen=True, slots=True)
class Recipient:
    """One person, as a message needs them."""

    email: str
    values: Mapping[str, str]
    """The filled fields, by template name."""
    token: str
    """What stands for this delivery in its Message-ID and its unsubscribe address."""


@dataclass(frozen=True, slots=True)
class BuiltMessage:
    message_id: str
    """With its angle brackets."""
    mail_from: str
    """The envelope's sender, which is the one in From."""
    recipient: str
    """The envelope's recipient, which is the one in To."""
    raw: bytes
    """CRLF line ends throughout, ASCII only."""
    words: Filled


def delivery_token(identity: Identity, campaign_id: int, delivery_id: int) -> str:
    """The same for one delivery for ever, and not to be guessed: so a resend carries the same Message-ID, and an
    unsubscribe that names it is believed."""
    seal = hashlib.blake2b(
        identity.instance + b"%d.%d" % (campaign_id, delivery_id), key=identity.secret, digest_size=10
    ).hexdigest()
    return f"{campaign_id}.{delivery_id}.{seal}"


class MessageBuilder:
    """One campaign's messages. Compile it once, ``build`` for each recipient."""

    def __init__(self, draft: Draft, sender: SenderIdentity, campaign_name: str, *, boundary_seed: str = "") -> None:
        """Raises ``TemplateInvalid`` for a draft that does not compile, ``InvalidInput`` without a sender."""
        if not sender.email:
            raise InvalidInput("No sender is set.", hint="Set email under [sender] in the configuration.")
        self.template = MessageTemplate(draft)
        self._mail_from = wire_address(sender.email)
        self._domain = self._mail_from.rpartition("@")[2]
        self._replies_to = wire_address(sender.reply_to or sender.email)
        self._known = {
            "sender": {"name": sender.name, "email": sender.email},
            "campaign": {"name": campaign_name},
            "postal_address": sender.postal_address,
        }
        self._unsubscribe_at = f"mailto:{quote(self._replies_to, safe='@')}?subject=unsubscribe-"
        self._date = (0, "")
        # "=_" cannot occur in quoted-printable text (RFC 2045 6.7), so the boundary can never meet a body.
        boundary = f"=_aicmo_{hashlib.sha256((draft.hash + boundary_seed).encode()).hexdigest()[:24]}"
        self._from = f"From: {mailbox(sender.name, self._mail_from, header='From')}\r\n"
        self._names: tuple[bytes, ...] = HEADERS
        if sender.reply_to:
            self._from += f"Reply-To: {self._replies_to}\r\n"
            self._names = (HEADERS[0], b"Reply-To", *HEADERS[1:])
        self._static = (
            f"List-Id: {mailbox(sender.name, f'news.{self._domain}', header='List-Id')}\r\n"
            "Precedence: bulk\r\n"
            "MIME-Version: 1.0\r\n"
            f'Content-Type: multipart/alternative;\r\n boundary="{boundary}"\r\n'
        )
        part = "--{}\r\nContent-Type: text/{}; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
        self._before_text = ("\r\n" + part.format(boundary, "plain")).encode()
        self._before_html = ("\r\n" + part.format(boundary, "html")).encode()
        self._end = f"\r\n--{boundary}--\r\n".encode()

    def fill(self, recipient: Recipient) -> Filled:
        """The words alone. Raises ``TemplateInvalid``."""
        return self.template.fill({**recipient.values, **self._known, "unsubscribe": self._unsubscribe(recipient)})

    def build(self, recipient: Recipient, now: datetime) -> BuiltMessage:
        """The finished message. Raises ``TemplateInvalid``, or ``HeaderMismatch`` when a value would have added a
        header."""
        words = self.fill(recipient)
        message_id = f"<{recipient.token}@{self._domain}>"
        to = wire_address(recipient.email)
        name = f"{recipient.values.get('first_name', '')} {recipient.values.get('last_name', '')}"
        head = (
            f"{self._from}"
            f"To: {mailbox(name, to, header='To')}\r\n"
            f"Subject: {unstructured(words.subject, name='Subject')}\r\n"
            f"Date: {self._date_of(now)}\r\n"
            f"Message-ID: {message_id}\r\n"
            f"List-Unsubscribe: <{self._unsubscribe(recipient)}>\r\n"
            f"{self._static}"
        ).encode("ascii")
        check_headers(head, self._names)
        raw = b"".join(
            (head, self._before_text, _quoted(words.text), self._before_html, _quoted(words.html), self._end)
        )
        return BuiltMessage(message_id, self._mail_from, to, raw, words)

    def _unsubscribe(self, recipient: Recipient) -> str:
        """A mailto that names the delivery: works with no web server (RFC 2369 3.2)."""
        return self._unsubscribe_at + recipient.token

    def _date_of(self, now: datetime) -> str:
        """In the words of RFC 5322, which are those of the message before for as long as it is the same second."""
        second = int(now.timestamp())
        if self._date[0] != second:
            self._date = second, format_datetime(now)
        return self._date[1]


def _quoted(text: str) -> bytes:
    """Quoted-printable (RFC 2045 6.7), lines of at most 76 characters, CRLF."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n")
    return binascii.b2a_qp(lines.encode("utf-8", "replace"), istext=True)
