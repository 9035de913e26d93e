"""People who want no more mail and say so by mail: no web server is needed for that.

A token of ours in the subject or the recipient's address is believed whoever sends it: it names the delivery. Plain
words are believed of somebody we wrote to, and only when they are all that is said. What a machine answers, a bounce
and our own mail opt nobody out. A mail that is read again changes nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from aicmo.clock import SYSTEM_CLOCK, Clock
from aicmo.errors import ConfigInvalid
from aicmo.gateways import Answer, Outcome, ProviderChain
from aicmo.gateways.inbound import FetchedMail, MailBatch
from aicmo.publishing.email.tokens import ForgedToken, read_token
from aicmo.publishing.inbox.letter import InboundLetter
from aicmo.publishing.inbox.stop_words import is_stop
from aicmo.publishing.sending.evidence import MailReader
from aicmo.store import Database, meta, opt_outs
from aicmo.store.events import Event
from aicmo.store.meta import Identity
from aicmo.store.opt_outs import Addressee, Cursor

log = logging.getLogger(__name__)

MAILBOX = "INBOX"
FIRST_LOOK = timedelta(days=30)
"""How far back an account is read that was never read before."""
MOST_AT_ONCE = 200
"""Mails that are fetched and stored together."""
PATIENCE_S = 30.0
"""For one look, all accounts together; what is left is read by the next one."""

_TOKEN = r"[0-9]{1,19}\.[0-9]{1,19}\.[0-9a-f]{20}"
_IN_SUBJECT = re.compile(rf"unsubscribe-({_TOKEN})", re.IGNORECASE)
_IN_ADDRESS = re.compile(rf"(?<![0-9a-z])({_TOKEN})(?![0-9a-z])[^@]*@", re.IGNORECASE)
_IN_MESSAGE_ID = re.compile(rf"<({_TOKEN})@", re.IGNORECASE)
_REPLY_MARK = re.compile(r"^(?:\s*(?:re|aw|sv|antw|fw|fwd|wg|tr|rv)\s*(?:\[\d+\])?:)+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class OptOut:
    """What one mail asks for. Whom it is about, the ledger has to say."""

    delivery: tuple[int, int] | None
    """The campaign and the delivery that it names; ``None``: it names none, and counts only if we wrote to ``sender``.
    """
    sender: str
    """Whose words it is, normalised; empty with a token, which speaks for itself."""


def opt_out_in(raw: bytes, identity: Identity, ours: Collection[str] = ()) -> OptOut | None:
    """What ``raw`` asks for; ``None`` when it is anything but an opt-out. Never raises, whatever ``raw`` is.

    ``ours`` are the addresses, in lower case, that we write from.
    """
    mail = InboundLetter(raw)
    by_us = mail.sender in ours or any(_tokens(_IN_MESSAGE_ID, mail.header("Message-ID"), identity))
    if by_us or mail.is_bounce or mail.answers_by_itself:
        return None
    # A token is never broken by a space: a header that was folded may have one there all the same.
    subject = "".join(mail.header("Subject").split())
    to = " ".join(mail.addresses("To", "Cc", "Delivered-To", "X-Original-To"))
    for named in (*_tokens(_IN_SUBJECT, subject, identity), *_tokens(_IN_ADDRESS, to, identity)):
        return OptOut(named, "")
    if mail.is_automatic or not mail.sender:
        return None
    answered = next(_tokens(_IN_MESSAGE_ID, mail.header("In-Reply-To", "References"), identity), None)
    says_so = is_stop(mail.new_text)
    if answered is None:
        says_so = is_stop(_REPLY_MARK.sub("", mail.header("Subject"))) and (says_so or not mail.new_text)
    return OptOut(answered, mail.sender) if says_so else None


def _tokens(pattern: re.Pattern[str], text: str, identity: Identity) -> Iterator[tuple[int, int]]:
    """The campaigns and deliveries of the tokens in ``text`` that are ours."""
    for found in pattern.finditer(text):
        try:
            yield read_token(identity, found[1])
        except ForgedToken:
            continue


@dataclass(frozen=True, slots=True)
class OptOutReport:
    """What one look into the mailboxes came to."""

    read: int = 0
    """Mails."""
    opted_out: int = 0
    """People who are suppressed from now on, and were not before."""
    why_not: str = ""
    """Why an account could not be read to its end; empty when all were, or there is none."""


class OptOuts:
    """Looks into the mailboxes that replies come to."""

    def __init__(
        self, db: Database, accounts: Callable[[], ProviderChain[MailReader]], *, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        """``accounts`` gives the chain that reads mail; it may raise ``ConfigInvalid``."""
        self._db = db
        self._accounts = accounts
        self._clock = clock

    def mailboxes(self) -> tuple[str, ...]:
        """The accounts that ``look`` reads, in their order. Raises ``ConfigInvalid``."""
        return tuple(dict.fromkeys(account.name for account in self._accounts().providers))

    async def look(self) -> OptOutReport:
        """Read what is new in every account, within ``PATIENCE_S``, and suppress whoever asked for it.

        When an account cannot be read the report says why; the others are read all the same.
        """
        try:
            chain = await asyncio.to_thread(self._accounts)  # loads the providers' modules
        except ConfigInvalid as error:
            return OptOutReport(why_not=error.message)
        stop_at = self._clock.monotonic() + PATIENCE_S
        read = opted_out = 0
        why_not: list[str] = []
        for name in dict.fromkeys(account.name for account in chain.providers):
            more = True
            while more:
                batch, why = await self._fetch(chain, name, stop_at)
                if batch is None:
                    why_not.append(why)
                    break
                opted_out += await self._store(name, batch)
                read += len(batch.mails)
                more = batch.more
        if opted_out:
            log.info("%d people opted out by mail", opted_out)
        return OptOutReport(read, opted_out, "; ".join(why_not))

    async def _fetch(self, chain: ProviderChain[MailReader], name: str, stop_at: float) -> tuple[MailBatch | None, str]:
        """The next batch of an account, or why there is none."""
        cursor = await self._db.aread(partial(opt_outs.read_to, account=name))
        since = self._clock.now() - FIRST_LOOK

        async def fetch(account: MailReader) -> Answer[MailBatch]:
            validity, last_uid = cursor or (None, 0)
            return await account.fetch(MAILBOX, last_uid, validity, MOST_AT_ONCE, since=since)

        told = await chain.ask(fetch, only=name, deadline_s=max(stop_at - self._clock.monotonic(), 0.0))
        if told.final.outcome is Outcome.SKIPPED:
            return None, told.final.detail.removeprefix(f"{chain.capability}: ")
        return told.value, f"{name}: {told.final.detail}"

    async def _store(self, account: str, batch: MailBatch) -> int:
        """Write down what a batch asks for, and that it was read, in one go; how many are suppressed by it."""
        for skipped in batch.skipped:
            log.warning("mail %d in %s of %s was not read: %s", skipped.uid, batch.mailbox, account, skipped.reason)
        identity = await self._db.aread(meta.identity)
        ours = await self._db.aread(opt_outs.own_addresses)
        asked = await asyncio.to_thread(_asked, batch.mails, identity, ours)
        found = await self._db.aread(partial(_found, asked=asked))
        now = self._clock.now()

        def write(db: sqlite3.Connection) -> int:
            new = sum(_suppress(db, mail, named, words, now) for mail, named, words in found)
            opt_outs.note_read(db, account, Cursor(batch.uid_validity, batch.last_uid))
            return new

        return await self._db.awrite(write)


def _asked(mails: Sequence[FetchedMail], identity: Identity, ours: Collection[str]) -> list[tuple[FetchedMail, OptOut]]:
    """What the mails ask for. One that breaks the reading of it is left aside, and the others are read."""
    found = []
    for mail in mails:
        try:
            asked = opt_out_in(mail.raw, identity, ours)
        except Exception as error:  # a stranger's bytes: whatever they break must not hold up what others asked for
            log.warning("mail %d in the inbox could not be read: %s", mail.uid, type(error).__name__)
            continue
        if asked is not None:
            found.append((mail, asked))
    return found


def _found(
    db: sqlite3.Connection, asked: Sequence[tuple[FetchedMail, OptOut]]
) -> list[tuple[FetchedMail, Addressee, str]]:
    """The delivery that each is about, and whose words they are; not those of people we never wrote to."""
    found = []
    for mail, said in asked:
        if said.delivery is not None:
            addressee = opt_outs.addressee(db, *said.delivery)
        else:
            addressee = opt_outs.last_sent_to(db, said.sender)
        if addressee is not None:
            found.append((mail, addressee, said.sender))
    return found


def _suppress(db: sqlite3.Connection, mail: FetchedMail, named: Addressee, sender: str, now: datetime) -> bool:
    """Suppress whoever got the delivery and, with plain words, whoever wrote them. True when somebody is new."""
    at = min(mail.received_at or now, now)
    because = "they wrote so in a mail" if sender else "a mail came with the token of this message"
    cause = Event(
        0,
        "unsubscribed",
        at,
        channel="email",
        campaign_id=named.campaign_id,
        delivery_id=named.delivery_id,
        human=True,
        because=because,
        origin=_origin(mail.raw),
    )
    source = f"a mail of {at:%Y-%m-%d}"
    return opt_outs.opt_out(db, named, sender, cause, source, now)


def _origin(raw: bytes) -> str:
    """Tells a mail from every other, in whichever account it lies: by its Message-ID, else by all of it."""
    known = InboundLetter(raw).header("Message-ID").encode() or raw
    return f"mail {hashlib.blake2b(known, digest_size=16).hexdigest()}"
