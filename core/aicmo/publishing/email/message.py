"""Build the bytes of a campaign's messages: everything static once, the rest per recipient.

A message is ``multipart/alternative``, text first, both parts quoted-printable, so that every line is short ASCII
whatever was written. Nothing is built with ``email.message``: that makes some hundreds a second; joining encoded pieces
makes many thousands. Each result is checked against the headers that were meant before anybody may send it, and the
first of each builder is read back whole.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache
from urllib.parse import quote

from aicmo.crm.address import normalise
from aicmo.errors import ConfigInvalid, InvalidInput
from aicmo.publishing.email.headers import HeaderMismatch, check_headers, mailbox, unstructured, wire_address
from aicmo.publishing.email.links import TOKEN
from aicmo.publishing.email.proof import prove
from aicmo.publishing.email.rules import PLAIN_RULES, MessageRules
from aicmo.publishing.email.templates import Filled, MessageTemplate
from aicmo.publishing.email.tokens import message_id_of
from aicmo.store.contents import Draft

HEADERS = (
    b"From",
    b"To",
    b"Subject",
    b"Date",
    b"Message-ID",
    b"List-Unsubscribe",
    b"List-Id",
    b"Feedback-ID",
    b"Precedence",
    b"X-Auto-Response-Suppress",
    b"MIME-Version",
    b"Content-Type",
)
"""The headers of every message, in their order.

``Reply-To`` comes after ``From`` where the sender has one, ``List-Unsubscribe-Post`` after ``List-Unsubscribe`` where
there is an https address, ``DKIM-Signature`` first where we sign. There is no ``Return-Path``, which the last server
writes (RFC 5321 4.4), and no ``Auto-Submitted``: a person wrote this, and reads the answers (RFC 3834 5).
"""

KEPT_LINES, KEPT_LENGTH = 512, 2000
"""Lines that are kept as they were encoded, and the characters of the longest: some 4 MB at most."""


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
    address: str = ""
    """Who they are in the ledger (normalised): no message is built to anybody else. Empty where there is no ledger."""


@dataclass(frozen=True, slots=True)
class BuiltMessage:
    """A message to one person, ready to be carried."""

    message_id: str
    """With its angle brackets."""
    mail_from: str
    """The envelope's sender, which is the one in From."""
    recipient: str
    """The envelope's recipient, which is the one in To."""
    raw: bytes
    """CRLF line ends throughout, ASCII only."""
    words: Filled
    """What its parts say, before they are encoded."""


class MessageBuilder:
    """The messages of one campaign's step, in one variant. Compile it once, ``build`` for each recipient."""

    def __init__(
        self,
        draft: Draft,
        sender: SenderIdentity,
        campaign_name: str,
        *,
        rules: MessageRules = PLAIN_RULES,
        campaign_id: int = 0,
        step: int = 1,
        variant: str = "",
    ) -> None:
        """Raises ``TemplateInvalid`` for a draft that does not compile, ``InvalidInput`` without a sender or for an
        address of the sender that cannot be used, ``ConfigInvalid`` where the signature is another domain's."""
        if not sender.email:
            raise InvalidInput("No sender is set.", hint="Set email under [sender] in the configuration.")
        links, self._signer = rules.links, rules.signer
        self.template = MessageTemplate(draft, links.parameters(campaign_name, variant))
        self._mail_from = wire_address(sender.email)
        self._domain = self._mail_from.rpartition("@")[2].lower()
        if self._signer and not self._signer.aligned_with(self._domain):
            raise ConfigInvalid(
                f"[dkim] signs for {self._signer.domain}, but the mail is from {self._domain}.",
                hint="DMARC asks for the same domain: sign for the sender's, or leave [dkim] out.",
            )
        reply_to = wire_address(sender.reply_to) if sender.reply_to else ""
        self._known = {
            "sender": {"name": sender.name, "email": sender.email},
            "campaign": {"name": campaign_name},
            "postal_address": sender.postal_address,
        }
        read_at = wire_address(links.unsubscribe_email) if links.unsubscribe_email else reply_to or self._mail_from
        self._mailto = _mailto(read_at)
        self._page = links.unsubscribe_url
        self._date = (0, "")
        # "=_" cannot occur in quoted-printable text (RFC 2045 6.7), so the boundary can never meet a body.
        boundary = f"=_aicmo_{hashlib.sha256(draft.hash.encode()).hexdigest()[:24]}"
        self._from = f"From: {mailbox(sender.name, self._mail_from, header='From')}\r\n"
        if reply_to:
            self._from += f"Reply-To: {reply_to}\r\n"
        self._static = (
            f"List-Id: {mailbox(sender.name, f'news.{self._domain}', header='List-Id')}\r\n"
            f"Feedback-ID: c{campaign_id}:s{step}{variant}:campaign:{sender_id(self._domain)}\r\n"
            "Precedence: bulk\r\n"
            "X-Auto-Response-Suppress: OOF, AutoReply\r\n"
            "MIME-Version: 1.0\r\n"
            f'Content-Type: multipart/alternative;\r\n boundary="{boundary}"\r\n'
        )
        self._names = tuple(_names(reply_to=bool(reply_to), page=bool(self._page), signed=bool(self._signer)))
        part = "--{}\r\nContent-Type: text/{}; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
        self._before_text = part.format(boundary, "plain").encode()
        self._before_html = ("\r\n" + part.format(boundary, "html")).encode()
        self._end = f"\r\n--{boundary}--\r\n".encode()
        self._is_proved = False

    def fill(self, recipient: Recipient) -> Filled:
        """The words alone. Raises ``TemplateInvalid``."""
        return self.template.fill({**recipient.values, **self._known, "unsubscribe": self._way_out(recipient)})

    def build(self, recipient: Recipient, now: datetime) -> BuiltMessage:
        """The finished message.

        Raises ``TemplateInvalid``, ``InvalidInput`` for an address that no server takes, ``HeaderMismatch`` when the
        message would not be what was meant, and what ``Signer.load`` raises.
        """
        words = self.fill(recipient)
        to = self._envelope_of(recipient)
        message_id = message_id_of(recipient.token, self._domain)
        name = f"{recipient.values.get('first_name', '')} {recipient.values.get('last_name', '')}"
        head = (
            f"{self._from}"
            f"To: {mailbox(name, to, header='To')}\r\n"
            f"Subject: {unstructured(words.subject, name='Subject')}\r\n"
            f"Date: {self._date_of(now)}\r\n"
            f"Message-ID: {message_id}\r\n"
            f"{self._list_unsubscribe(recipient)}"
            f"{self._static}"
        ).encode("ascii")
        body = b"".join((self._before_text, _quoted(words.text), self._before_html, _quoted(words.html), self._end))
        if self._signer is not None:
            head = self._signer.sign(head, body, now) + head
        check_headers(head, self._names)
        message = BuiltMessage(message_id, self._mail_from, to, b"%s\r\n%s" % (head, body), words)
        if not self._is_proved:
            self._prove(message)
        return message

    def _envelope_of(self, recipient: Recipient) -> str:
        """The address as servers take it, if it is the one that the ledger is about."""
        to = wire_address(recipient.email)
        if recipient.address and to != recipient.address and normalise(to).address != recipient.address:
            raise HeaderMismatch(
                f"The contact's address is no longer {recipient.address}, which the campaign began with.",
                hint="Write to the new address in another campaign.",
            )
        return to

    def _prove(self, message: BuiltMessage) -> None:
        prove(
            message.raw,
            names=[name.decode() for name in self._names],
            values={"Subject": message.words.subject, "Message-ID": message.message_id},
            mail_from=message.mail_from,
            recipient=message.recipient,
            text=message.words.text,
            html=message.words.html,
        )
        self._is_proved = True

    def _way_out(self, recipient: Recipient) -> str:
        """What ``{{ unsubscribe }}`` is: the person's own page where there is one, else a mailto."""
        return (self._page or self._mailto).replace(TOKEN, recipient.token)

    def _list_unsubscribe(self, recipient: Recipient) -> str:
        """A mailto that names the delivery works with no web server (RFC 2369 3.2); One-Click takes one (RFC 8058)."""
        mailto = self._mailto.replace(TOKEN, recipient.token)
        if not self._page:
            return f"List-Unsubscribe: <{mailto}>\r\n"
        page = self._page.replace(TOKEN, recipient.token)
        one_click = "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
        return f"List-Unsubscribe: <{page}>,\r\n <{mailto}>\r\n{one_click}"

    def _date_of(self, now: datetime) -> str:
        """In the words of RFC 5322, which are those of the message before for as long as it is the same second."""
        second = int(now.timestamp())
        if self._date[0] != second:
            self._date = second, format_datetime(now)
        return self._date[1]


def sender_id(domain: str) -> str:
    """The last part of Feedback-ID: the same for all mail of a domain, 5 to 15 characters.

    Source: https://support.google.com/mail/answer/6254652
    """
    name = re.sub(r"[^a-z0-9]", "", domain)
    if 5 <= len(name) <= 15:
        return name
    return name[:9] + hashlib.sha256(domain.encode()).hexdigest()[:6]


def _names(*, reply_to: bool, page: bool, signed: bool) -> Iterator[bytes]:
    """The headers of a message that has these, in their order."""
    if signed:
        yield b"DKIM-Signature"
    for name in HEADERS:
        yield name
        if name == b"From" and reply_to:
            yield b"Reply-To"
        if name == b"List-Unsubscribe" and page:
            yield b"List-Unsubscribe-Post"


def _mailto(address: str) -> str:
    """A mailto with the token in the subject, and where ``address`` has ``{token}``, there too (RFC 6068)."""
    there = TOKEN.join(quote(part, safe="@+") for part in address.split(TOKEN))
    return f"mailto:{there}?subject=unsubscribe-{TOKEN}"


def _quoted(text: str) -> bytes:
    """Quoted-printable (RFC 2045 6.7), lines of at most 76 characters, CRLF."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return b"\r\n".join([_kept_line(line) if len(line) <= KEPT_LENGTH else _quoted_line(line) for line in lines])


def _quoted_line(line: str) -> bytes:
    return binascii.b2a_qp(line.encode("utf-8", "replace")).replace(b"\n", b"\r\n")


_kept_line = lru_cache(maxsize=KEPT_LINES)(_quoted_line)
"""Most lines of a message are those of the message before."""
