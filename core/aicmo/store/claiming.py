"""The sender's way through the ledger: take what is due, let its body go, write down what became of it.

Suppression, the campaign's status and the throttles are looked at in the transaction that claims a delivery or lets its
body go, so a pause or an opt-out holds for the very next message.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from aicmo.clock import parse_rfc3339, rfc3339
from aicmo.store import campaign_options, sequences
from aicmo.store.audiences import filled_values
from aicmo.store.deliveries import PLACEHOLDERS, State, move
from aicmo.store.gates import LIMIT_WINDOWS, Gatekeeper, Gates, Held, Limits, Slots


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that a sender has taken, with all that is needed to build its message."""

    id: int
    campaign_id: int
    step: int
    variant: str
    """Of its content; empty where there is only one."""
    version_id: int
    """What it says: a running campaign has fixed that, and an edit of a running sequence fixes it anew."""
    address: str
    attempts: int
    """Before this one; what was put off for our limits or our servers is none."""
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


class Claims(NamedTuple):
    """What a claim came to."""

    taken: list[Claimed]
    put_off: list[tuple[State, Sequence[int]]]
    """Who was settled on the way, by their deliveries' ids: what they came to be."""


SETTLED_AT_ONCE = 1000
"""How many deliveries a claim puts off or takes out of the way at most, so that nobody waits long for the database. The
next claim goes on where it stopped."""
PEEKED = 200
"""How many a claim reads at once where one after the other is put off."""


def claim(db: sqlite3.Connection, campaign_id: int, now: datetime, *, most: int, gates: Gates | None = None) -> Claims:
    """Take the next deliveries that are due, ``most`` of them at most; none when the campaign is not running.

    Suppression, the campaign's status, its hours and ``gates`` are looked at here, in the claim's own transaction.
    Those found suppressed, those whose contact is gone, and those before a closed gate are settled on the way.
    """
    campaign = db.execute("SELECT status, kind, options FROM campaign WHERE id = ?", (campaign_id,)).fetchone()
    if campaign is None or campaign["status"] != "running":
        return Claims([], [])
    gates, options = gates or Gates(), campaign_options.from_json(campaign["options"])
    is_sequence, keeper = campaign["kind"] == "sequence", None
    if not gates.open or options.window is not None:
        keeper = Gatekeeper(db, gates, options, is_sequence=is_sequence, now=now)
    claimed: list[Claimed] = []
    on_the_way: list[tuple[State, Sequence[int]]] = []
    settled, size = 0, most
    while len(claimed) < most and settled < SETTLED_AT_ONCE:
        rows = _next_due(db, campaign_id, now, size)
        taken: list[Claimed] = []
        put_off: dict[Held, list[int]] = {}
        for row in rows:
            if len(claimed) + len(taken) == most:
                break
            if row["contact_id"] is None:
                held = Held(State.CANCELLED, "", "the contact was deleted", None)
            elif row["suppressed"]:
                held = Held(State.SUPPRESSED, "", row["suppressed"], None)
            elif is_sequence and (because := sequences.stopped_by(db, campaign_id, row["contact_id"])):
                held = Held(State.CANCELLED, "stopped", because, None)
            else:
                found = _claimed(row, campaign_id)
                waits = keeper.held(row, found.values) if keeper else None
                if waits is None:
                    taken.append(found)
                    continue
                held = waits
            put_off.setdefault(held, []).append(row["id"])
        for held, ids in put_off.items():
            _put_off(db, ids, held, now)
            on_the_way.append((held.state, ids))
            settled += len(ids)
        _take(db, [each.id for each in taken], now)
        claimed += taken
        if len(rows) < size:
            break
        size = most - len(claimed) if taken else min(4 * size, PEEKED)
    return Claims(claimed, on_the_way)


def _next_due(db: sqlite3.Connection, campaign_id: int, now: datetime, most: int) -> list[sqlite3.Row]:
    """The deferred ones whose time has come, then the queued ones: who was told to wait does not wait for all others
    too."""
    return db.execute(
        """WITH due (id) AS (
               SELECT * FROM (SELECT id FROM delivery WHERE campaign_id = ?1 AND state = 'deferred' AND retry_at <= ?2
                              ORDER BY retry_at LIMIT ?3)
               UNION ALL
               SELECT * FROM (SELECT id FROM delivery WHERE campaign_id = ?1 AND state = 'queued'
                              ORDER BY id LIMIT ?3))
           SELECT delivery.id, delivery.state, delivery.step, delivery.variant, delivery.address,
                  coalesce((SELECT version_id FROM campaign_message AS said WHERE said.campaign_id = ?1
                                   AND said.step = delivery.step AND said.variant = delivery.variant),
                           (SELECT version_id FROM campaign WHERE id = ?1)) AS version_id,
                  delivery.domain AS goes_to, delivery.contact_id, delivery.attempts, delivery.claim,
                  suppression.reason AS suppressed, contact.email, contact.first_name,
                  contact.last_name, contact.company, contact.title, contact.phone, contact.domain,
                  contact.stage, contact.fields
           FROM due CROSS JOIN delivery USING (id) LEFT JOIN contact ON contact.id = delivery.contact_id
                LEFT JOIN suppression ON suppression.key = suppression_key(delivery.address)
           LIMIT ?3""",
        (campaign_id, rfc3339(now), most),
    ).fetchall()


def _put_off(db: sqlite3.Connection, ids: Sequence[int], held: Held, now: datetime) -> None:
    """Out of the way, until the gate opens or for good. They were not tried, so no attempt is counted."""
    db.execute(
        f"""UPDATE delivery SET state = ?, at = ?, code = '', reason = ?, cause = ?, retry_at = ?
            WHERE id IN (SELECT value FROM json_each(?)) AND state IN ({PLACEHOLDERS[held.state]})""",
        (
            held.state,
            rfc3339(now),
            held.reason,
            held.cause,
            rfc3339(held.until) if held.until else None,
            json.dumps(ids),
        ),
    )


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
        version_id=row["version_id"],
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
    """``stopped`` (the campaign does not run), ``suppressed``, ``left`` (the sequence), ``limit`` (of the provider), or
    ``domain`` (a cap of the receiving one)."""
    detail: str
    until: datetime | None = None
    """For ``limit`` and ``domain``: when there is room again."""


def let_go(
    db: sqlite3.Connection,
    delivery: Claimed,
    message_id: str,
    provider: str,
    limits: Limits,
    now: datetime,
    gates: Gates | None = None,
) -> Refusal | None:
    """The write before the body: the row is ``sending`` with its Message-ID once this is committed.

    The campaign's status, suppression, what ends a sequence, the receiving domain's caps and the provider's throttles
    are looked at once more, in the same transaction; a ``Refusal`` means that nothing was written and the body must
    stay. All are counted from the ledger itself, so they hold over restarts and processes.
    """
    status, kind, suppressed = db.execute(
        """SELECT status, kind, (SELECT reason FROM suppression WHERE key = suppression_key(?))
           FROM campaign WHERE id = ?""",
        (delivery.address, delivery.campaign_id),
    ).fetchone()
    if status != "running":
        return Refusal("stopped", "the campaign does not run")
    if suppressed:
        return Refusal("suppressed", suppressed)
    if kind == "sequence" and (because := _left(db, delivery)):
        return Refusal("left", because)
    if gates is not None and gates.domains and (refusal := _domain_full(db, delivery.address, gates, now)):
        return refusal
    if full := full_until(db, provider, limits, now):
        window, until = full
        return Refusal("limit", f"{limits[window]} a {window} reached", until)
    sending = {"provider": provider, "message_id": message_id, "sending_at": rfc3339(now)}
    move(db, delivery.id, State.SENDING, now, claim=delivery.claim, **sending)
    return None


def full_until(db: sqlite3.Connection, provider: str, limits: Limits, now: datetime) -> tuple[str, datetime] | None:
    """Which of the limits keeps a provider from sending longest, and until when; ``None``: it may send now."""
    full = [
        (window, until)
        for window, most in limits.items()
        if (until := _room_at(db, "provider", provider, window, most, now)) is not None
    ]
    return max(full, key=lambda each: each[1], default=None)


def _left(db: sqlite3.Connection, delivery: Claimed) -> str:
    """Why its recipient has left the sequence; empty: they have not."""
    contact_id = db.execute("SELECT contact_id FROM delivery WHERE id = ?", (delivery.id,)).fetchone()["contact_id"]
    return sequences.stopped_by(db, delivery.campaign_id, contact_id)


def _domain_full(db: sqlite3.Connection, address: str, gates: Gates, now: datetime) -> Refusal | None:
    domain = address.rpartition("@")[2]
    for window, most in gates.caps(domain).items():
        if _room_at(db, "domain", domain, window, most, now) is not None:
            slot = Slots(db, gates, now).take(domain, anew=False)
            return Refusal("domain", f"{most} a {window} to {domain} reached", slot or now)
    return None


def _room_at(db: sqlite3.Connection, column: str, value: str, window: str, most: int, now: datetime) -> datetime | None:
    """When a provider may send, or a domain be sent to, again under "``most`` a ``window``"; ``None``: now."""
    span = LIMIT_WINDOWS[window]
    row = db.execute(
        f"""SELECT sending_at FROM delivery WHERE {column} = ? AND sending_at > ?
            ORDER BY sending_at DESC LIMIT 1 OFFSET ?""",
        (value, rfc3339(now - span), most - 1),
    ).fetchone()
    return parse_rfc3339(row["sending_at"]) + span if row else None


def settle(db: sqlite3.Connection, delivery: Claimed, verdict: Verdict, now: datetime) -> State:
    """Write down what became of a claimed delivery; its state now, which is the verdict's, or cancelled.

    Raises ``IllegalTransition``, also when the claim is not the latest.
    """
    # Who let a sent one go stands in it already, and to name it again costs a write to an index.
    known = {"provider": verdict.provider} if verdict.provider and verdict.state is not State.SENT else {}
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
    if verdict.state is State.QUEUED or (verdict.state is State.DEFERRED and verdict.cause in _NOT_ITS_OWN):
        db.execute("UPDATE delivery SET attempts = attempts - 1 WHERE id = ?", (delivery.id,))
    if verdict.state in (State.QUEUED, State.DEFERRED):
        cancelled = db.execute(
            f"UPDATE delivery SET state = 'cancelled', at = ? WHERE id = ? AND {_CANCELLED}",
            (rfc3339(now), delivery.id),
        )
        if cancelled.rowcount:
            return State.CANCELLED
    return verdict.state


_NOT_ITS_OWN = frozenset({"limit", "server"})
"""Causes that say nothing of the recipient's side. What was put off for them is no attempt: a server that is away for
an evening uses up none of the patience with a mailbox that says "later"."""
_CANCELLED = "campaign_id IN (SELECT id FROM campaign WHERE status = 'cancelled')"
"""What comes back to wait in a campaign that was cancelled meanwhile is cancelled too: nobody would take it again."""


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
    db.execute(f"UPDATE delivery SET state = 'cancelled', at = ? WHERE state = 'queued' AND {_CANCELLED}", (stamp,))
    return unknown.rowcount, queued.rowcount


def due_now(db: sqlite3.Connection, now: datetime) -> int:
    """How many deliveries of running campaigns a sender would take now."""
    found = db.execute(
        """SELECT count(*) FROM campaign JOIN delivery ON campaign_id = campaign.id
           WHERE status = 'running' AND (state = 'queued' OR (state = 'deferred' AND retry_at <= ?))""",
        (rfc3339(now),),
    )
    return int(found.fetchone()[0])


def next_due(db: sqlite3.Connection, campaign_ids: Sequence[int], now: datetime) -> tuple[datetime | None, str]:
    """When these campaigns have something to send, and what it waits for (one of ``CAUSES``, or empty).

    It is now, or when the first deferred one is due; ``None`` for never.
    """
    marks = ", ".join("?" * len(campaign_ids))
    queued = f"SELECT EXISTS (SELECT 1 FROM delivery WHERE state = 'queued' AND campaign_id IN ({marks}))"
    if db.execute(queued, tuple(campaign_ids)).fetchone()[0]:
        return now, ""
    deferred = f"SELECT min(retry_at) AS at, cause FROM delivery WHERE state = 'deferred' AND campaign_id IN ({marks})"
    row = db.execute(deferred, tuple(campaign_ids)).fetchone()
    return (parse_rfc3339(row["at"]), row["cause"]) if row["at"] else (None, "")
