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
from datetime import datetime
from enum import StrEnum
from functools import cache

from aicmo.clock import rfc3339
from aicmo.errors import IllegalTransition, NotFound
from aicmo.text import plain


class State(StrEnum):
    """Where a delivery stands; ``MOVES`` says what may follow."""

    QUEUED = "queued"
    """Nothing keeps it but its turn."""
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
    """The person must not be written to; nothing left."""
    CANCELLED = "cancelled"
    """It is not to go any more, and nothing left."""
    BOUNCED = "bounced"
    """A server took it, and then it came back."""


MOVES: Mapping[State, frozenset[State]] = {
    # A restored ledger may believe that something waits which has gone: it is unknown until evidence settles it.
    State.QUEUED: frozenset({State.CLAIMED, State.DEFERRED, State.UNKNOWN, State.SUPPRESSED, State.CANCELLED}),
    State.CLAIMED: frozenset(
        {State.SENDING, State.QUEUED, State.DEFERRED, State.FAILED, State.SUPPRESSED, State.CANCELLED}
    ),
    State.SENDING: frozenset({State.SENDING, State.SENT, State.DEFERRED, State.FAILED, State.UNKNOWN}),
    State.DEFERRED: frozenset(
        {State.CLAIMED, State.QUEUED, State.DEFERRED, State.UNKNOWN, State.SUPPRESSED, State.CANCELLED}
    ),
    State.FAILED: frozenset({State.QUEUED}),
    State.UNKNOWN: frozenset({State.SENT, State.FAILED, State.QUEUED}),
    State.SENT: frozenset({State.BOUNCED}),
    State.SUPPRESSED: frozenset(),
    State.CANCELLED: frozenset(),
    State.BOUNCED: frozenset(),
}

CAUSES: Mapping[str, str] = {
    "address": "nobody reads mail there",
    "mailbox": "the mailbox takes no more",
    "later": "the receiving side said later",
    "content": "refused for what it says or who sends it",
    "message": "the message could not be built",
    "server": "no server could take it",
    "trouble": "the server fails at this message",
    "throttled": "the receiving side asked for less",
    "limit": "a limit of ours is reached",
    "hours": "outside the hours for sending",
    "frequency": "has had enough mail for now",
    "holdout": "held out, to compare with",
    "variant": "its variant goes later",
    "winner": "waits for the better variant",
    "stopped": "left the sequence",
}
"""Why a delivery is where it is, as one word for programs and as a phrase for people."""

PLACEHOLDERS = {to: ", ".join(f"'{state}'" for state, after in MOVES.items() if to in after) for to in State}


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

    @property
    def done(self) -> int:
        """Those with whom it is through, whatever came of it. Whoever was cancelled was not reached at all."""
        return self.audience - self.open - self.cancelled

    def as_dict(self) -> dict[str, int]:
        """By name, ``audience`` first."""
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
    """Of the last attempt; empty before it."""
    code: str
    """The server's, such as ``550 5.1.1``; empty when none was given."""
    reason: str
    cause: str
    """One of ``CAUSES``, or empty."""
    attempts: int
    retry_at: str
    """RFC 3339, UTC; empty unless it is deferred, and there is such a time."""
    at: str
    """Of the last change; RFC 3339, UTC."""
    step: int = 1
    variant: str = ""
    """Empty where there are none."""


# --- the audience, frozen ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Band:
    """Those whose lot lies here begin like this."""

    below: float
    """The lot, 0-1; the band begins where the one before it ends."""
    variant: str
    state: State
    cause: str = ""
    retry_at: datetime | None = None


EVERYBODY = (Band(1.0, "", State.QUEUED),)


def freeze(
    db: sqlite3.Connection,
    campaign_id: int,
    step: int,
    where: str,
    params: Sequence[object],
    now: datetime,
    bands: Sequence[Band] = EVERYBODY,
) -> int:
    """Put everyone whom ``where`` (SQL over ``contact``) selects into the ledger: the suppressed as suppressed, each of
    the others as the band of their lot says.

    Returns how many rows there are now. Freezing twice adds nobody twice, and draws for nobody anew.
    """
    lows = [0.0, *(band.below for band in bands)]
    told = [
        (low, band.below, band.variant, band.state, band.cause, CAUSES.get(band.cause, ""),
         rfc3339(band.retry_at) if band.retry_at else None)
        for low, band in zip(lows, bands, strict=False)
    ]  # fmt: skip
    is_drawn = len(bands) > 1
    db.execute(
        f"""WITH band AS MATERIALIZED (
                SELECT value ->> 0 AS low, value ->> 1 AS below, value ->> 2 AS variant, value ->> 3 AS state,
                       value ->> 4 AS cause, value ->> 5 AS reason, value ->> 6 AS retry_at FROM json_each(?)),
            person AS (                             -- the limit keeps a lot from being drawn anew for every band
                SELECT contact.id, contact.address, suppression.reason AS suppressed,
                       {"lot(?, contact.address)" if is_drawn else "0.0"} AS drawn
                FROM contact LEFT JOIN suppression
                     ON suppression.key = CASE WHEN ? THEN suppression_key(contact.address) END
                WHERE {where} ORDER BY contact.id LIMIT -1)
            INSERT INTO delivery (campaign_id, step, address, contact_id, variant, state, cause, reason, retry_at, at)
            SELECT ?, ?, address, person.id, iif(suppressed IS NULL, variant, ''),
                   iif(suppressed IS NULL, state, 'suppressed'), iif(suppressed IS NULL, cause, ''),
                   coalesce(suppressed, band.reason), iif(suppressed IS NULL, retry_at, NULL), ?
            FROM person CROSS JOIN band WHERE drawn >= low AND drawn < below
            ON CONFLICT (campaign_id, step, address) DO NOTHING""",
        (
            json.dumps(told),
            *([campaign_id] if is_drawn else []),
            db.execute("SELECT EXISTS (SELECT 1 FROM suppression)").fetchone()[0],
            *params,
            campaign_id,
            step,
            rfc3339(now),
        ),
    )
    return counts(db, campaign_id).audience


def outside(db: sqlite3.Connection, campaign_id: int, step: int, where: str, params: Sequence[object]) -> Sequence[int]:
    """The ids of the contacts whom ``where`` (SQL over ``contact``) selects and the ledger does not have."""
    rows = db.execute(
        f"""SELECT contact.id FROM contact WHERE ({where}) AND NOT EXISTS (
                SELECT 1 FROM delivery
                WHERE delivery.campaign_id = ? AND delivery.step = ? AND delivery.address = contact.address)
            ORDER BY contact.id""",
        (*params, campaign_id, step),
    )
    return [row[0] for row in rows]


def counts(db: sqlite3.Connection, campaign_id: int) -> Counts:
    """Of all its steps together; zeros where nobody stands in its ledger."""
    by_state = dict(
        db.execute(
            "SELECT state, count(*) FROM delivery WHERE campaign_id = ? GROUP BY state", (campaign_id,)
        ).fetchall()
    )
    return _added_up(by_state)


def counts_of_all(db: sqlite3.Connection) -> dict[int, Counts]:
    """By campaign, in one pass; one in whose ledger nobody stands is left out."""
    found: dict[int, dict[str, int]] = {}
    for campaign_id, state, count in db.execute(
        "SELECT campaign_id, state, count(*) FROM delivery GROUP BY campaign_id, state"
    ):
        found.setdefault(campaign_id, {})[state] = count
    return {campaign_id: _added_up(by_state) for campaign_id, by_state in found.items()}


def _added_up(by_state: dict[str, int]) -> Counts:
    by_state["queued"] = by_state.get("queued", 0) + by_state.pop("claimed", 0)
    return Counts(audience=sum(by_state.values()), **by_state)


def reached(db: sqlite3.Connection, campaign_id: int) -> int:
    """How many people got at least one message of the campaign; whose mail came back is not among them."""
    row = db.execute(
        "SELECT count(DISTINCT address) FROM delivery WHERE campaign_id = ? AND state = 'sent'", (campaign_id,)
    ).fetchone()
    return int(row[0])


# --- the person's way ----------------------------------------------------------------------------------------------


def cancel_open(db: sqlite3.Connection, campaign_id: int, now: datetime) -> int:
    """Cancel what no sender has taken; what is on its way settles by itself. How many."""
    return db.execute(
        "UPDATE delivery SET state = 'cancelled', at = ? WHERE campaign_id = ? AND state IN ('queued', 'deferred')",
        (rfc3339(now), campaign_id),
    ).rowcount


def look_at_hours_anew(db: sqlite3.Connection, campaign_id: int, now: datetime) -> None:
    """Queue those that wait for hours which are other ones now; the sender finds out until when."""
    db.execute(
        """UPDATE delivery SET state = 'queued', reason = '', cause = '', retry_at = NULL, at = ?
           WHERE campaign_id = ? AND state = 'deferred' AND cause = 'hours'""",
        (rfc3339(now), campaign_id),
    )


def retry_failed(db: sqlite3.Connection, campaign_id: int, now: datetime, *, cause: str = "") -> int:
    """Queue the failed ones again, and only those; with a ``cause``, those that failed for it. How many."""
    return db.execute(
        """UPDATE delivery SET state = 'queued', reason = '', code = '', cause = '', attempts = 0, retry_at = NULL,
                  at = ?
           WHERE campaign_id = ? AND state = 'failed' AND ? IN ('', cause)""",
        (rfc3339(now), campaign_id, cause),
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


def doubt(db: sqlite3.Connection, delivery_id: int, message_id: str, now: datetime) -> bool:
    """A copy of this database may have sent it under this Message-ID, so one that waits is ``UNKNOWN``.

    ``False`` when it does not wait any more.
    """
    assert State.UNKNOWN in MOVES[State.QUEUED] & MOVES[State.DEFERRED]
    changed = db.execute(
        """UPDATE delivery SET state = 'unknown', message_id = ?, at = ?, retry_at = NULL
           WHERE id = ? AND state IN ('queued', 'deferred')""",
        (message_id, rfc3339(now), delivery_id),
    ).rowcount
    return bool(changed)


def listed(
    db: sqlite3.Connection,
    campaign_id: int,
    *,
    state: State | None = None,
    cause: str = "",
    address: str = "",
    offset: int = 0,
    limit: int = -1,
) -> list[Delivery]:
    """Rows of the ledger in the audience's order. ``limit`` -1 means all. ``queued`` includes the claimed; ``address``
    may be a part of one."""
    where, params = _chosen(campaign_id, state, cause, address)
    rows = db.execute(
        f"SELECT delivery.*, {_EMAIL} AS email {where} ORDER BY delivery.id LIMIT ? OFFSET ?",
        (*params, limit, offset),
    )
    return [_delivery(row) for row in rows]


def counted(
    db: sqlite3.Connection, campaign_id: int, *, state: State | None = None, cause: str = "", address: str = ""
) -> int:
    """How many rows ``listed`` would give."""
    where, params = _chosen(campaign_id, state, cause, address)
    return int(db.execute(f"SELECT count(*) {where}", params).fetchone()[0])


def causes(db: sqlite3.Connection, campaign_id: int, state: State | None = None) -> dict[str, int]:
    """How many rows have which cause (a word of ``CAUSES``), the most frequent first; those without one left out."""
    where, params = _chosen(campaign_id, state, "", "")
    return dict(
        db.execute(f"SELECT cause, count(*) {where} AND cause <> '' GROUP BY cause ORDER BY count(*) DESC", params)
    )


_EMAIL = "coalesce(contact.email, delivery.address)"


def _chosen(campaign_id: int, state: State | None, cause: str, address: str) -> tuple[str, list[object]]:
    states = [state] if state else list(State)
    if state == State.QUEUED:
        states.append(State.CLAIMED)
    where = f"""FROM delivery LEFT JOIN contact ON contact.id = delivery.contact_id
                WHERE campaign_id = ? AND state IN ({", ".join("?" * len(states))})"""
    params: list[object] = [campaign_id, *states]
    if cause:
        where, params = f"{where} AND cause = ?", [*params, cause]
    if address:
        where, params = f"{where} AND instr(lower({_EMAIL}), lower(?))", [*params, plain(address)]
    return where, params


def _delivery(row: sqlite3.Row) -> Delivery:
    return Delivery(
        id=row["id"],
        email=row["email"],
        state=State.QUEUED if row["state"] == State.CLAIMED else State(row["state"]),
        message_id=row["message_id"] or "",
        provider=row["provider"] or "",
        code=row["code"],
        reason=row["reason"],
        cause=row["cause"],
        attempts=row["attempts"],
        retry_at=row["retry_at"] or "",
        at=row["at"],
        step=row["step"],
        variant=row["variant"],
    )


# --- inside --------------------------------------------------------------------------------------------------------


def move(
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
        _moving(to, *columns), (to.value, rfc3339(now), *columns.values(), delivery_id, claim)
    ).rowcount
    if not changed:
        row = db.execute("SELECT state FROM delivery WHERE id = ?", (delivery_id,)).fetchone()
        raise IllegalTransition(
            f"Delivery {delivery_id} is {row['state'] if row else 'not there'}; it cannot become {to}."
        )


@cache
def _moving(to: State, *columns: str) -> str:
    return f"""UPDATE delivery SET state = ?, at = ?{"".join(f", {name} = ?" for name in columns)}
               WHERE id = ? AND claim = coalesce(?, claim) AND state IN ({PLACEHOLDERS[to]})"""
