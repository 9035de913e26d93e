"""Whom an opt-out that came by mail is about, and how far each mailbox has been read for them."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from aicmo.store import campaigns, events, meta, suppressions
from aicmo.store.erasure import ERASED
from aicmo.store.events import Event
from aicmo.store.suppressions import SuppressionReason

_NOBODY = "@" + ERASED.rpartition("@")[2]


class Addressee(NamedTuple):
    """Who a delivery was to."""

    campaign_id: int
    delivery_id: int
    address: str
    contact_id: int | None
    """``None`` when the contact is gone."""


class Cursor(NamedTuple):
    """How far a mailbox has been read (RFC 3501 2.3.1.1)."""

    uid_validity: int
    last_uid: int


def addressee(db: sqlite3.Connection, campaign_id: int, delivery_id: int) -> Addressee | None:
    """``None`` when there is no such delivery, or whoever got it was erased."""
    row = db.execute(
        "SELECT campaign_id, id, address, contact_id FROM delivery WHERE id = ? AND campaign_id = ?",
        (delivery_id, campaign_id),
    ).fetchone()
    return Addressee(*row) if row and not row["address"].endswith(_NOBODY) else None


def last_sent_to(db: sqlite3.Connection, address: str) -> Addressee | None:
    """The last delivery that went, or may have gone, to a normalised address. Looks through the whole ledger."""
    row = db.execute(
        """SELECT campaign_id, id, address, contact_id FROM delivery
           WHERE address = ? AND state IN ('sent', 'unknown', 'bounced') ORDER BY id DESC LIMIT 1""",
        (address,),
    ).fetchone()
    return Addressee(*row) if row else None


def own_addresses(db: sqlite3.Connection) -> frozenset[str]:
    """Every address, in lower case, that campaigns were sent as or asked to answer to."""
    senders = [campaign.sender for campaign in campaigns.listed(db)]
    return frozenset(sender.get(name, "").lower() for sender in senders for name in ("email", "reply_to")) - {""}


def opt_out(db: sqlite3.Connection, whom: Addressee, sender: str, cause: Event, source: str, now: datetime) -> bool:
    """Suppress whoever the delivery was to and, unless it is empty, ``sender``: under these addresses and those that
    the same people have now.

    ``cause`` is written on the timeline of everybody who is not deleted; its ``contact_id`` and the end of its
    ``origin`` are found here. Where it stands already nothing is changed, so that a mail read again does not overrule
    who came back meanwhile. True when somebody is suppressed who was not before.
    """
    people = db.execute(
        """SELECT id, address FROM contact WHERE id = ?1 OR address IN (?2, ?3)
           OR id IN (SELECT contact_id FROM alias WHERE address IN (?2, ?3))""",
        (whom.contact_id, whom.address, sender),
    ).fetchall()
    heard = [
        events.add(db, replace(cause, contact_id=contact_id, origin=f"{cause.origin} {contact_id}"))
        for contact_id, _ in people
    ]
    if people and not any(heard):
        return False
    addresses = {whom.address, sender, *(address for _, address in people)} - {""}
    return any([suppressions.add(db, each, SuppressionReason.UNSUBSCRIBED, source, now) for each in addresses])


def read_to(db: sqlite3.Connection, account: str) -> Cursor | None:
    """``None`` when the account has not been read yet."""
    told = meta.told(db, _name(account))
    return Cursor(told["uid_validity"], told["last_uid"]) if told else None


def note_read(db: sqlite3.Connection, account: str, cursor: Cursor) -> None:
    """Everything up to there is stored. Two programs may read at once: it is not set back."""
    before = read_to(db, account)
    if before is None or before.uid_validity != cursor.uid_validity or before.last_uid < cursor.last_uid:
        meta.tell(db, _name(account), cursor._asdict())


def _name(account: str) -> str:
    return f"opt-outs: read to, INBOX of {account}"
