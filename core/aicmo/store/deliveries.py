"""The ledger: one row per recipient of a campaign's step, saying what happened, by which server, when.

``MOVES`` is the only place that says from which state a delivery may go where; every change goes through it. A row is
``sending``, with its Message-ID, on disk before the first byte of its body leaves; one that is found so after a crash
becomes ``unknown``: it may have gone, so it is never sent again but on a person's word.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from enum import StrEnum

from aicmo.clock import parse_rfc3339, rfc3339
from aicmo.errors import IllegalTransition, NotFound
from aicmo.store.audiences import filled_values


class State(StrEnum):
    QUEUED = "queued"
    CLAIMED = "claimed"
    """Taken by a sender that is building or carrying it; nothing of the body has left."""
    SENDING = "sending"
    """The body may be leaving."""
    SENT = "sent"
    """A server took it: 250 after the final dot."""
    DEFERRED = "deferred"
    """Not now; again at ``retry_at``."""
    FAILED = "failed"
    """Refused for good; ``reason`` says why."""
    UNKNOWN = "unknown"
    """It may or may not have gone. Evidence or a person resolves it, never a retry."""
    SUPPRESSED = "suppressed"
    CANCELLED = "cancelled"
    BOUNCED = "bounced"


MOVES: Mapping[State, frozenset[State]] = {
    State.QUEUED: frozenset({State.CLAIMED, State.SUPPRESSED, State.CANCELLED}),
    State.CLAIMED: frozenset(
        {State.SENDING, State.QUEUED, State.DEFERRED, State.FAILED, State.SUPPRESSED, State.CANCELLED}
    ),
    State.SENDING: frozenset({State.SENDING, State.SENT, State.DEFERRED, State.FAILED, State.UNKNOWN}),
    State.DEFERRED: frozenset({State.CLAIMED, State.SUPPRESSED, State.CANCELLED}),
    State.FAILED: frozenset({State.QUEUED}),
    State.UNKNOWN: frozenset({State.SENT, State.FAILED, State.QUEUED}),
    State.SENT: frozenset({State.BOUNCED}),
    State.SUPPRESSED: frozenset(),
    State.CANCELLED: frozenset(),
    State.BOUNCED: frozenset(),
}

_PLACEHOLDERS = {to: ", ".join(f"'{state}'" for state, after in MOVES.items() if to in after) for to in State}


@dataclass(frozen=True, slots=True)
class Counts:
    """How many deliveries are in each state; they always add up to ``audience``. ``queued`` includes the claimed."""

    audience: int = 0
    queued: int = 0
    sending: int = 0
    sent: int = 0
    deferred: int = 0
    failed: int = 0
    suppressed: int = 0
    unknown: int = 0
    cancelled: int = 0
    bounced: int = 0

    @property
    def open(self) -> int:
        """Those that still await something of us."""
        return self.queued + self.sending + self.deferred

    def as_dict(self) -> dict[str, int]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True, slots=True)
class Delivery:
    """A row of the ledger, as a person reads it."""

    id: int
    email: str
    state: State
    message_id: str
    """Empty until the message was built."""
    provider: str
    code: str
    reason: str
    attempts: int
    retry_at: str
    at: str
    """Of the last change."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that a sender has taken, with all that is needed to build its message."""

    id: int
    campaign_id: int
    step: int
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


# --- the audience, frozen ------------------------------------------------------------------------------------------


def freeze(
    db: sqlite3.Connection, campaign_id: int, step: int, where: str, params: Sequence[object], now: datetime
) -> int:
    """Put everyone whom ``where`` (SQL over ``contact``) selects into the ledger, the suppressed as suppressed.

    Returns how many rows there are now. Freezing twice adds nobody twice.
    """
    db.execute(
        f"""INSERT INTO delivery (campaign_id, step, address, contact_id, state, reason, at)
            SELECT ?, ?, contact.address, contact.id,
                   CASE WHEN suppression.key IS NULL THEN 'queued' ELSE 'suppressed' END,
                   coalesce(suppression.reason, ''), ?
            FROM contact LEFT JOIN suppression ON suppression.key = suppression_key(contact.address)
            WHERE {where} ORDER BY contact.id
            ON CONFLICT (campaign_id, step, address) DO NOTHING""",
        (campaign_id, step, rfc3339(now), *params),
    )
    return counts(db, campaign_id).audience


def counts(db: sqlite3.Connection, campaign_id: int) -> Counts:
    by_state = dict(
        db.execute(
            "SELECT state, count(*) FROM delivery WHERE campaign_id = ? GROUP BY state", (campaign_id,)
        ).fetchall()
    )
    by_state["queued"] = by_state.get("queued", 0) + by_state.pop("claimed", 0)
    return Counts(audience=sum(by_state.values()), **by_state)


# --- the sender's way ----------------------------------------------------------------------------------------------


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
                _move(db, row["id"], State.CANCELLED, now, reason="the contact was deleted")
            elif row["suppressed"]:
                _move(db, row["id"], State.SUPPRESSED, now, reason=row["suppressed"])
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
            f"""SELECT delivery.id, delivery.step, delivery.address, delivery.contact_id, delivery.attempts,
                       delivery.claim,
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
        f"""UPDATE delivery SET state = 'claimed', at = ?, code = '', reason = '', reference = '', retry_at = NULL,
                   attempts = attempts + 1, claim = claim + 1
            WHERE id IN (SELECT value FROM json_each(?)) AND state IN ({_PLACEHOLDERS[State.CLAIMED]})""",
        (rfc3339(now), json.dumps(ids)),
    )


def _claimed(row: sqlite3.Row, campaign_id: int) -> Claimed:
    return Claimed(
        id=row["id"],
        campaign_id=campaign_id,
        step=row["step"],
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
    _move(db, delivery.id, State.SENDING, now, claim=delivery.claim, **sending)
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
    _move(
        db,
        delivery.id,
        verdict.state,
        now,
        claim=delivery.claim,
        code=verdict.code,
        reason=verdict.reason,
        reference=verdict.reference,
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


# --- the person's way ----------------------------------------------------------------------------------------------


def cancel_open(db: sqlite3.Connection, campaign_id: int, now: datetime) -> int:
    """Cancel what no sender has taken; what is on its way settles by itself. How many."""
    return db.execute(
        "UPDATE delivery SET state = 'cancelled', at = ? WHERE campaign_id = ? AND state IN ('queued', 'deferred')",
        (rfc3339(now), campaign_id),
    ).rowcount


def retry_failed(db: sqlite3.Connection, campaign_id: int, now: datetime) -> int:
    """Queue the failed ones again, and only those. How many."""
    return db.execute(
        """UPDATE delivery SET state = 'queued', reason = '', code = '', attempts = 0, retry_at = NULL, at = ?
           WHERE campaign_id = ? AND state = 'failed'""",
        (rfc3339(now), campaign_id),
    ).rowcount


def resolve(db: sqlite3.Connection, campaign_id: int, address: str, to: State, now: datetime) -> int:
    """A person's word on unknown deliveries: ``SENT``, ``FAILED``, or ``QUEUED`` to send once more with the same
    Message-ID.

    ``address`` is normalised; empty means all of the campaign's unknown ones. Returns how many. Raises
    ``IllegalTransition`` for another state, ``NotFound`` when there is no unknown delivery like that.
    """
    if to not in MOVES[State.UNKNOWN]:
        raise IllegalTransition(f"An unknown delivery cannot become {to}.", hint="Say sent, failed or queued.")
    changed = db.execute(
        """UPDATE delivery SET state = ?, reason = 'a person said so', at = ?,
                  attempts = CASE WHEN ? = 'queued' THEN 0 ELSE attempts END
           WHERE campaign_id = ? AND state = 'unknown' AND ? IN ('', address)""",
        (to, rfc3339(now), to, campaign_id, address),
    ).rowcount
    if not changed:
        raise NotFound(f"Campaign {campaign_id} has no unknown delivery{' to that address' if address else ''}.")
    return changed


def settle_by_evidence(db: sqlite3.Connection, delivery_id: int, message_id: str, evidence: str, now: datetime) -> bool:
    """It has been shown that this Message-ID went, so an unknown delivery is ``SENT``; ``evidence`` becomes its reason.

    ``False`` when it is not unknown any more, whoever was faster: evidence never overrules a person or a server.
    """
    assert State.SENT in MOVES[State.UNKNOWN]
    changed = db.execute(
        "UPDATE delivery SET state = 'sent', reason = ?, at = ? WHERE id = ? AND message_id = ? AND state = 'unknown'",
        (evidence, rfc3339(now), delivery_id, message_id),
    ).rowcount
    return bool(changed)


def listed(
    db: sqlite3.Connection, campaign_id: int, *, state: State | None = None, offset: int = 0, limit: int = -1
) -> list[Delivery]:
    """Rows of the ledger in the audience's order. ``limit`` -1 means all. ``queued`` includes the claimed."""
    states = [state] if state else list(State)
    if state == State.QUEUED:
        states.append(State.CLAIMED)
    rows = db.execute(
        f"""SELECT delivery.*, coalesce(contact.email, delivery.address) AS email
            FROM delivery LEFT JOIN contact ON contact.id = delivery.contact_id
            WHERE campaign_id = ? AND state IN ({", ".join("?" * len(states))})
            ORDER BY delivery.id LIMIT ? OFFSET ?""",
        (campaign_id, *states, limit, offset),
    )
    return [_delivery(row) for row in rows]


def _delivery(row: sqlite3.Row) -> Delivery:
    return Delivery(
        id=row["id"],
        email=row["email"],
        state=State.QUEUED if row["state"] == State.CLAIMED else State(row["state"]),
        message_id=row["message_id"] or "",
        provider=row["provider"] or "",
        code=row["code"],
        reason=row["reason"],
        attempts=row["attempts"],
        retry_at=row["retry_at"] or "",
        at=row["at"],
    )


# --- inside --------------------------------------------------------------------------------------------------------


def _is_running(db: sqlite3.Connection, campaign_id: int) -> bool:
    row = db.execute("SELECT status FROM campaign WHERE id = ?", (campaign_id,)).fetchone()
    return row is not None and row["status"] == "running"


def _move(
    db: sqlite3.Connection,
    delivery_id: int,
    to: State,
    now: datetime,
    *,
    claim: int | None = None,
    **columns: str | None,
) -> None:
    """The one UPDATE that moves a single delivery: from where ``MOVES`` allows, for its latest claim.

    Only ``columns`` change with it: a column that is named costs a write to each index it is in, even when it stays.
    """
    changed = db.execute(
        f"""UPDATE delivery SET state = ?, at = ?{"".join(f", {name} = ?" for name in columns)}
            WHERE id = ? AND claim = coalesce(?, claim) AND state IN ({_PLACEHOLDERS[to]})""",
        (to, rfc3339(now), *columns.values(), delivery_id, claim),
    ).rowcount
    if not changed:
        row = db.execute("SELECT state FROM delivery WHERE id = ?", (delivery_id,)).fetchone()
        raise IllegalTransition(
            f"Delivery {delivery_id} is {row['state'] if row else 'not there'}; it cannot become {to}."
        )
