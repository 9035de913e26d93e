"""The sender's way through the ledger: take what is due, let its body go, write down what became of it.

Suppression, the campaign's status and the throttles are looked at in the transaction that claims a delivery or lets its
body go, so a pause or an opt-out holds for the very next message.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from aicmo.clock import parse_rfc3339, rfc3339
from aicmo.store.audiences import filled_values
from aicmo.store.deliveries import PLACEHOLDERS, State, move


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that a sender has taken, with all that is needed to build its message."""

    id: int
    campaign_id: int
    step: int
    variant: str
    """Of its content; empty where there is only one."""
    address: str
    attempts: int
    """Before this one."""
    claim: int
    """Which claim of this delivery it is. A sender that was thought dead finds that its claim is not the latest, and
    may neither let the body go nor settle it."""
    email: str
    values: Mapping[str, str]
    """The contact's filled fields by template name; an empty field is absent, so that a template notices."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a claimed delivery."""

    state: State
    provider: str = ""
    code: str = ""
    reason: str = ""
    reference: str = ""
    retry_at: datetime | None = None
    cause: str = ""
    """One of ``deliveries.CAUSES``, where there is one."""


def claim(db: sqlite3.Connection, campaign_id: int, now: datetime, *, most: int) -> list[Claimed]:
    """Take the next deliveries that are due, ``most`` of them at most; none when the campaign is not running.

    Suppression and the campaign's status are looked at here, in the claim's own transaction. Those found suppressed,
    and those whose contact is gone, are settled on the way.
    """
    if not _is_running(db, campaign_id):
        return []
    claimed: list[Claimed] = []
    while len(claimed) < most and (rows := _next_due(db, campaign_id, now, most - len(claimed))):
        taken = []
        for row in rows:
            if row["contact_id"] is None:
                move(db, row["id"], State.CANCELLED, now, reason="the contact was deleted")
            elif row["suppressed"]:
                move(db, row["id"], State.SUPPRESSED, now, reason=row["suppressed"])
            else:
                taken.append(row)
        _take(db, [row["id"] for row in taken], now)
        claimed += [_claimed(row, campaign_id) for row in taken]
    return claimed


def _next_due(db: sqlite3.Connection, campaign_id: int, now: datetime, most: int) -> list[sqlite3.Row]:
    """The queued ones, or when there are none, the deferred ones whose time has come."""
    rows: list[sqlite3.Row] = []
    for condition, params in (("state = 'queued'", ()), ("state = 'deferred' AND retry_at <= ?", (rfc3339(now),))):
        rows = db.execute(
            f"""SELECT delivery.id, delivery.step, delivery.variant, delivery.address, delivery.contact_id,
                       delivery.attempts, delivery.claim,
                       suppression.reason AS suppressed, contact.email, contact.first_name,
                       contact.last_name, contact.company, contact.title, contact.phone, contact.domain, contact.stage,
                       contact.fields
                FROM delivery LEFT JOIN contact ON contact.id = delivery.contact_id
                     LEFT JOIN suppression ON suppression.key = suppression_key(delivery.address)
                WHERE delivery.campaign_id = ? AND delivery.{condition} ORDER BY delivery.id LIMIT ?""",
            (campaign_id, *params, most),
        ).fetchall()
        if rows:
            break
    return rows


def _take(db: sqlite3.Connection, ids: Sequence[int], now: datetime) -> None:
    db.execute(
        f"""UPDATE delivery SET state = 'claimed', at = ?, code = '', reason = '', cause = '', reference = '',
                   retry_at = NULL, attempts = attempts + 1, claim = claim + 1
            WHERE id IN (SELECT value FROM json_each(?)) AND state IN ({PLACEHOLDERS[State.CLAIMED]})""",
        (rfc3339(now), json.dumps(ids)),
    )


def _claimed(row: sqlite3.Row, campaign_id: int) -> Claimed:
    return Claimed(
        id=row["id"],
        campaign_id=campaign_id,
        step=row["step"],
        variant=row["variant"],
        address=row["address"],
        attempts=row["attempts"],
        claim=row["claim"] + 1,
        email=row["email"],
        values=filled_values(row),
    )


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a body must not leave now."""

    why: str
    """``stopped`` (the campaign does not run), ``suppressed``, or ``limit``."""
    detail: str
    until: datetime | None = None
    """For ``limit``: when there is room again."""


LIMIT_WINDOWS = {
    "second": timedelta(seconds=1),
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
}


def let_go(
    db: sqlite3.Connection,
    delivery: Claimed,
    message_id: str,
    provider: str,
    limits: Mapping[str, int],
    now: datetime,
) -> Refusal | None:
    """The write before the body: the row is ``sending`` with its Message-ID once this is committed.

    The campaign's status, suppression and the provider's throttles are looked at once more, in the same transaction; a
    ``Refusal`` means that nothing was written and the body must stay. The throttles are counted from the ledger itself,
    so they hold over restarts and processes.
    """
    status, suppressed = db.execute(
        """SELECT (SELECT status FROM campaign WHERE id = ?),
                  (SELECT reason FROM suppression WHERE key = suppression_key(?))""",
        (delivery.campaign_id, delivery.address),
    ).fetchone()
    if status != "running":
        return Refusal("stopped", "the campaign does not run")
    if suppressed:
        return Refusal("suppressed", suppressed)
    for window, most in limits.items():
        room_at = _room_at(db, provider, LIMIT_WINDOWS[window], most, now)
        if room_at is not None:
            return Refusal("limit", f"{most} a {window} reached", room_at)
    sending = {"provider": provider, "message_id": message_id, "sending_at": rfc3339(now)}
    move(db, delivery.id, State.SENDING, now, claim=delivery.claim, **sending)
    return None


def _room_at(db: sqlite3.Connection, provider: str, window: timedelta, most: int, now: datetime) -> datetime | None:
    """When ``provider`` may send again under "``most`` per ``window``"; ``None`` when it may now."""
    row = db.execute(
        """SELECT sending_at FROM delivery WHERE provider = ? AND sending_at > ?
           ORDER BY sending_at DESC LIMIT 1 OFFSET ?""",
        (provider, rfc3339(now - window), most - 1),
    ).fetchone()
    return parse_rfc3339(row["sending_at"]) + window if row else None


def settle(db: sqlite3.Connection, delivery: Claimed, verdict: Verdict, now: datetime) -> None:
    """Write down what became of a claimed delivery. Raises ``IllegalTransition``, also when the claim is not the
    latest."""
    known = {"provider": verdict.provider} if verdict.provider else {}
    move(
        db,
        delivery.id,
        verdict.state,
        now,
        claim=delivery.claim,
        code=verdict.code,
        reason=verdict.reason,
        reference=verdict.reference,
        cause=verdict.cause,
        retry_at=rfc3339(verdict.retry_at) if verdict.retry_at else None,
        **known,
    )
    if verdict.state is State.QUEUED:  # it was taken and not tried
        db.execute("UPDATE delivery SET attempts = attempts - 1 WHERE id = ?", (delivery.id,))


def recover(db: sqlite3.Connection, now: datetime) -> tuple[int, int]:
    """After a sender died: what it was sending is unknown, what it had only claimed is queued again.

    Call it only while holding the sender's lock. Returns (unknown, queued).
    """
    stamp = rfc3339(now)
    reason = "the sender stopped while this was on its way"
    every = "campaign_id IN (SELECT id FROM campaign)"  # lets the index find the few rows among millions
    unknown = db.execute(
        f"UPDATE delivery SET state = 'unknown', reason = ?, at = ? WHERE state = 'sending' AND {every}",
        (reason, stamp),
    )
    queued = db.execute(
        f"UPDATE delivery SET state = 'queued', attempts = attempts - 1, at = ? WHERE state = 'claimed' AND {every}",
        (stamp,),
    )
    return unknown.rowcount, queued.rowcount


def due_now(db: sqlite3.Connection, now: datetime) -> int:
    """How many deliveries of running campaigns a sender would take now."""
    found = db.execute(
        """SELECT count(*) FROM campaign JOIN delivery ON campaign_id = campaign.id
           WHERE status = 'running' AND (state = 'queued' OR (state = 'deferred' AND retry_at <= ?))""",
        (rfc3339(now),),
    )
    return int(found.fetchone()[0])


def next_due_at(db: sqlite3.Connection, campaign_ids: Sequence[int], now: datetime) -> datetime | None:
    """When these campaigns have something to send: now, or when the first deferred one is due; ``None`` for never."""
    marks = ", ".join("?" * len(campaign_ids))
    queued = f"SELECT EXISTS (SELECT 1 FROM delivery WHERE state = 'queued' AND campaign_id IN ({marks}))"
    if db.execute(queued, tuple(campaign_ids)).fetchone()[0]:
        return now
    deferred = f"SELECT min(retry_at) FROM delivery WHERE state = 'deferred' AND campaign_id IN ({marks})"
    row = db.execute(deferred, tuple(campaign_ids)).fetchone()
    return parse_rfc3339(row[0]) if row[0] else None


def _is_running(db: sqlite3.Connection, campaign_id: int) -> bool:
    row = db.execute("SELECT status FROM campaign WHERE id = ?", (campaign_id,)).fetchone()
    return row is not None and row["status"] == "running"
