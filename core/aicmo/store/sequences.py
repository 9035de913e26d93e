"""Who is where in a sequence.

An enrolment remembers the last step that was queued for somebody, and when to look at them again; everything else is
read from the ledger and the events at that moment. So looking at somebody twice, late, or after a crash comes to the
same. Triggers set ``due_at`` to the empty text, at once, when a delivery of theirs is settled or they answer.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from aicmo.clock import parse_rfc3339, rfc3339
from aicmo.store.messages import FIRST_STEP

AT_ONCE = ""
STOPS: Mapping[str, str] = {
    "replied": "replied",
    "converted": "converted",
    "disqualified": "disqualified",
    "unsubscribed": "opted out",
    "complained": "complained",
    "bounced": "bounced",
    "failed": "a step failed",
    "suppressed": "must not be written to",
    "cancelled": "cancelled",
}
"""Why somebody leaves a sequence early, as one word for programs and as a phrase for people."""

_STOPPING_EVENT = """(SELECT what || ' ' || at FROM (
    SELECT kind AS what, at FROM event INDEXED BY event_contact
    WHERE event.contact_id = {contact} AND at >= {since}
    AND (kind IN ('bounced', 'unsubscribed', 'complained') OR (kind IN ('replied', 'converted') AND human IS NOT 0))
    UNION ALL
    SELECT lower(to_stage), at FROM stage_change INDEXED BY stage_change_contact
    WHERE stage_change.contact_id = {contact} AND at >= {since} AND to_stage IN ('CONVERTED', 'DISQUALIFIED')
          AND to_stage = (SELECT stage FROM contact AS whose WHERE whose.id = stage_change.contact_id)
    ) ORDER BY at LIMIT 1)"""
"""The first thing since they entered that ends it: what a machine answered does not, a stage that was taken back does
not, and one that a person put them into does."""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """Somebody in a sequence, and all that decides what they get next. Times are UTC."""

    contact_id: int
    email: str
    address: str
    """Normalised."""
    step: int
    """The last one that was queued for them, or passed over."""
    passed_at: datetime | None
    """When it was passed over; ``None``: see ``delivery``."""
    entered_at: datetime
    due_at: str
    """When to look at them next; empty: at once, or when the ledger says more."""
    suppressed: str
    """Why they must not be written to; empty: they may."""
    event: str
    """The first event that ends it (``replied 2026-11-03T…``); empty: none."""
    delivery: str
    """The state of the step's delivery, empty when there is none."""
    sent_at: datetime | None
    """When the body of it was let go."""
    reason: str
    """Of the delivery's state."""


_FACTS = f"""
SELECT enrolment.*, contact.email, contact.address, coalesce(suppression.reason, '') AS suppressed,
       coalesce({_STOPPING_EVENT.format(contact="enrolment.contact_id", since="enrolment.entered_at")}, '') AS event,
       delivery.state AS delivery, coalesce(delivery.sending_at, delivery.at) AS sending_at, delivery.reason
FROM enrolment JOIN contact ON contact.id = enrolment.contact_id
     LEFT JOIN suppression ON suppression.key = suppression_key(contact.address)
     -- Somebody who was merged may have two; the one that is still open, or went, is theirs.
     LEFT JOIN delivery ON delivery.id = (
         SELECT id FROM delivery AS d INDEXED BY delivery_contact
         WHERE d.contact_id = enrolment.contact_id AND d.campaign_id = enrolment.campaign_id
               AND d.step = enrolment.step
         ORDER BY d.state IN ('queued', 'claimed', 'sending', 'deferred', 'unknown') DESC, d.state = 'sent' DESC,
                  d.sending_at DESC, d.id LIMIT 1)
"""


_AFTER_THE_LAST = """
    FROM campaign_message AS said
    WHERE said.campaign_id = enrolment.campaign_id AND said.step > 1 AND NOT said.removed AND said.position > coalesce(
        (SELECT position FROM campaign_message AS last
         WHERE last.campaign_id = enrolment.campaign_id AND last.step = enrolment.step AND last.step > 1), 1)"""
NEXT_STEP = f"(SELECT said.step {_AFTER_THE_LAST} ORDER BY said.position LIMIT 1)"
"""The step that comes after the last one, of a row of ``enrolment``; NULL: nothing more."""


_FOLLOW_THE_LEDGER = """
CREATE TRIGGER IF NOT EXISTS enrolment_delivery AFTER UPDATE OF state ON delivery
WHEN new.state IN ('sent', 'failed', 'bounced', 'suppressed', 'cancelled') BEGIN
    UPDATE enrolment SET due_at = ''
    WHERE campaign_id = new.campaign_id AND contact_id = new.contact_id AND state = 'active';
END"""
"""Whatever settles a delivery, a server, a mailbox or a person: it is time to look at who is in a sequence.

It is there from the first sequence on: a fiftieth of a message's cost, which nobody pays who has none.
"""


def enter(db: sqlite3.Connection, campaign_id: int, now: datetime, contact_ids: Sequence[int] | None = None) -> int:
    """Enrol everybody for whom the first message is queued and who is not enrolled yet, or those of the contacts for
    whom it is so; how many."""
    db.execute(_FOLLOW_THE_LEDGER)
    if contact_ids is None:
        queued = "delivery WHERE contact_id IS NOT NULL"
    else:
        queued = "delivery INDEXED BY delivery_contact WHERE contact_id IN (SELECT value FROM json_each(?))"
    return db.execute(
        f"""INSERT INTO enrolment (campaign_id, contact_id, entered_at, at)
            SELECT campaign_id, contact_id, ?, ? FROM {queued}
            AND campaign_id = ? AND step = ? AND state IN ('queued', 'deferred')
            ON CONFLICT DO NOTHING""",
        (
            rfc3339(now),
            rfc3339(now),
            *([] if contact_ids is None else [json.dumps(contact_ids)]),
            campaign_id,
            FIRST_STEP,
        ),
    ).rowcount


def running(db: sqlite3.Connection) -> list[int]:
    """The sequences that are under way, the oldest first."""
    return [
        row[0]
        for row in db.execute("SELECT id FROM campaign WHERE status = 'running' AND kind = 'sequence' ORDER BY id")
    ]


def due(db: sqlite3.Connection, campaign_id: int, now: datetime, *, most: int) -> list[Enrolment]:
    """Those to look at now, whoever waited longest first."""
    rows = db.execute(
        f"""{_FACTS} WHERE enrolment.campaign_id = ? AND enrolment.state = 'active' AND enrolment.due_at <= ?
            ORDER BY enrolment.due_at, enrolment.contact_id LIMIT ?""",
        (campaign_id, rfc3339(now), most),
    )
    return [_enrolment(row) for row in rows.fetchall()]


def next_due_at(db: sqlite3.Connection, now: datetime) -> datetime | None:
    """When somebody in a running sequence is to be looked at, or newcomers are; ``None`` for never."""
    row = db.execute(
        """SELECT min(at) FROM (
               SELECT (SELECT min(due_at) FROM enrolment WHERE campaign_id = campaign.id AND state = 'active') AS at
               FROM campaign WHERE status = 'running' AND kind = 'sequence'
               UNION ALL SELECT joins_at FROM campaign WHERE status = 'running')"""
    ).fetchone()
    if row[0] is None:
        return None
    return now if row[0] == AT_ONCE else parse_rfc3339(row[0])


def wait_until(db: sqlite3.Connection, campaign_id: int, contact_id: int, at: datetime | None) -> None:
    """Look at them then, or (``None``) when their delivery is settled."""
    db.execute(
        "UPDATE enrolment SET due_at = ? WHERE campaign_id = ? AND contact_id = ?",
        (rfc3339(at) if at else None, campaign_id, contact_id),
    )


def queue(db: sqlite3.Connection, campaign_id: int, who: Enrolment, step: int, now: datetime) -> bool:
    """Put a step into the ledger for somebody. ``False`` when the ledger has it for their address already."""
    stamp = rfc3339(now)
    made = db.execute(
        """INSERT INTO delivery (campaign_id, step, address, contact_id, state, at) VALUES (?, ?, ?, ?, 'queued', ?)
           ON CONFLICT (campaign_id, step, address) DO NOTHING""",
        (campaign_id, step, who.address, who.contact_id, stamp),
    )
    if not made.rowcount:
        return False
    db.execute(
        """UPDATE enrolment SET step = ?, passed_at = NULL, due_at = NULL, at = ?
           WHERE campaign_id = ? AND contact_id = ?""",
        (step, stamp, campaign_id, who.contact_id),
    )
    return True


def pass_over(
    db: sqlite3.Connection, campaign_id: int, contact_id: int, step: int, passed_at: datetime, now: datetime
) -> None:
    """They do not get this step; the next one waits from ``passed_at`` on."""
    db.execute(
        """UPDATE enrolment SET step = ?, passed_at = ?, due_at = ?, at = ?
           WHERE campaign_id = ? AND contact_id = ?""",
        (step, rfc3339(passed_at), AT_ONCE, rfc3339(now), campaign_id, contact_id),
    )


def end(db: sqlite3.Connection, campaign_id: int, contact_id: int, now: datetime) -> None:
    """They have had all of it."""
    db.execute(
        "UPDATE enrolment SET state = 'done', due_at = NULL, at = ? WHERE campaign_id = ? AND contact_id = ?",
        (rfc3339(now), campaign_id, contact_id),
    )


def stop(db: sqlite3.Connection, campaign_id: int, contact_id: int, cause: str, because: str, now: datetime) -> None:
    """They leave, for a cause of ``STOPS``; what is not on its way to them yet stays here."""
    stamp = rfc3339(now)
    db.execute(
        """UPDATE enrolment SET state = 'stopped', cause = ?, because = ?, due_at = NULL, at = ?
           WHERE campaign_id = ? AND contact_id = ?""",
        (cause, because, stamp, campaign_id, contact_id),
    )
    db.execute(
        """UPDATE delivery INDEXED BY delivery_contact
           SET state = 'cancelled', cause = 'stopped', reason = ?, retry_at = NULL, at = ?
           WHERE contact_id = ? AND campaign_id = ? AND state IN ('queued', 'deferred')""",
        (because, stamp, contact_id, campaign_id),
    )


def stopped_by(db: sqlite3.Connection, campaign_id: int, contact_id: int) -> str:
    """What ends the sequence for somebody, in a phrase: for whoever is about to send to them. Empty: nothing."""
    row = db.execute(
        f"""SELECT state, because,
                   {_STOPPING_EVENT.format(contact="enrolment.contact_id", since="enrolment.entered_at")} AS event
            FROM enrolment WHERE campaign_id = ? AND contact_id = ?""",
        (campaign_id, contact_id),
    ).fetchone()
    if row is None:
        return ""
    if row["event"]:
        return told(row["event"])
    return row["because"] if row["state"] == "stopped" else ""


def told(event: str) -> str:
    """An event in a phrase: ``replied on 2026-11-03``."""
    kind, _, at = event.partition(" ")
    return f"{STOPS[kind]} on {at[:10]}"


def cancel(db: sqlite3.Connection, campaign_id: int, now: datetime) -> None:
    """Nobody goes on: the campaign was cancelled."""
    db.execute(
        """UPDATE enrolment SET state = 'stopped', cause = 'cancelled', because = 'the campaign was cancelled',
                  due_at = NULL, at = ?
           WHERE campaign_id = ? AND state = 'active'""",
        (rfc3339(now), campaign_id),
    )


def take_back_failed(db: sqlite3.Connection, campaign_id: int, now: datetime) -> None:
    """Those who left because a step failed go on: it is tried again."""
    db.execute(
        """UPDATE enrolment SET state = 'active', cause = '', because = '', due_at = NULL, at = ?
           WHERE campaign_id = ? AND state = 'stopped' AND cause = 'failed'""",
        (rfc3339(now), campaign_id),
    )


def reckon_anew(db: sqlite3.Connection, campaign_id: int) -> None:
    """The steps were changed: whoever waits for one waits until its time now, and is looked at at once where nothing
    more comes. Whoever is to be looked at, or waits for the ledger, does so still."""
    db.execute(
        f"""UPDATE enrolment SET due_at = coalesce(strftime('%Y-%m-%dT%H:%M:%fZ',
               coalesce((SELECT max(sending_at) FROM delivery INDEXED BY delivery_contact
                         WHERE contact_id = enrolment.contact_id AND campaign_id = enrolment.campaign_id
                               AND step = enrolment.step AND delivery.state = 'sent'), passed_at),
               (SELECT said.wait_minutes {_AFTER_THE_LAST}
                      AND NOT EXISTS (SELECT 1 FROM delivery INDEXED BY delivery_contact
                                      WHERE contact_id = enrolment.contact_id AND campaign_id = said.campaign_id
                                            AND step = said.step)
                ORDER BY said.position LIMIT 1) || ' minutes'), ?)
           WHERE campaign_id = ? AND state = 'active' AND due_at <> ?""",
        (AT_ONCE, campaign_id, AT_ONCE),
    )


def had(db: sqlite3.Connection, campaign_id: int, contact_id: int) -> frozenset[int]:
    """The steps that the ledger knows of for somebody."""
    rows = db.execute(
        "SELECT step FROM delivery INDEXED BY delivery_contact WHERE contact_id = ? AND campaign_id = ?",
        (contact_id, campaign_id),
    )
    return frozenset(row[0] for row in rows)


# --- how far they are ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Places:
    """How many people are where in a sequence."""

    active: Mapping[int, int]
    """By the last step that was queued for them, or passed over."""
    done: int
    stopped: Mapping[str, int]
    """By the cause."""

    @property
    def total(self) -> int:
        """Everybody who ever entered."""
        return sum(self.active.values()) + self.done + sum(self.stopped.values())


def places(db: sqlite3.Connection, campaign_id: int) -> Places:
    """Of one sequence; all zero before the start."""
    active: Counter[int] = Counter()
    stopped: Counter[str] = Counter()
    done = 0
    for state, step, cause, count in db.execute(
        "SELECT state, step, cause, count(*) FROM enrolment WHERE campaign_id = ? GROUP BY state, step, cause",
        (campaign_id,),
    ):
        if state == "active":
            active[step] += count
        elif state == "stopped":
            stopped[cause] += count
        else:
            done += count
    return Places(dict(active), done, dict(stopped))


def in_ledger(db: sqlite3.Connection, campaign_id: int) -> dict[int, dict[str, int]]:
    """How many deliveries of each step are in which state; ``queued`` includes the claimed."""
    counted: dict[int, dict[str, int]] = {}
    for step, state, count in db.execute(
        """SELECT step, CASE state WHEN 'claimed' THEN 'queued' ELSE state END AS told, count(*)
           FROM delivery WHERE campaign_id = ? GROUP BY step, told""",
        (campaign_id,),
    ):
        counted.setdefault(step, {})[state] = count
    return counted


@dataclass(frozen=True, slots=True)
class Place:
    """Where one person is."""

    email: str
    state: str
    """``active``, ``done`` or ``stopped``."""
    step: int
    due_at: str
    """When the next step is due, where that is known."""
    cause: str
    because: str
    delivery: str
    """The state of the last step's delivery."""
    passed_over: bool
    entered_at: str


def listed(
    db: sqlite3.Connection, campaign_id: int, *, state: str = "", offset: int = 0, limit: int = -1
) -> list[Place]:
    """Everybody who entered, in the order of contacts; those in ``state`` if it is not empty."""
    rows = db.execute(
        f"{_FACTS} WHERE enrolment.campaign_id = ? AND ? IN ('', enrolment.state) LIMIT ? OFFSET ?",
        (campaign_id, state, limit, offset),
    )
    return [
        Place(
            email=row["email"],
            state=row["state"],
            step=row["step"],
            due_at=row["due_at"] or "",
            cause=row["cause"],
            because=row["because"],
            delivery=row["delivery"] or "",
            passed_over=row["passed_at"] is not None,
            entered_at=row["entered_at"],
        )
        for row in rows
    ]


def among(db: sqlite3.Connection, contact_ids: Iterable[int], where: str, params: Iterable[object]) -> set[int]:
    """Those of the contacts whom ``where`` (SQL over ``contact``) selects."""
    rows = db.execute(
        f"SELECT id FROM contact WHERE id IN (SELECT value FROM json_each(?)) AND ({where})",
        (json.dumps(list(contact_ids)), *params),
    )
    return {row[0] for row in rows}


def _enrolment(row: sqlite3.Row) -> Enrolment:
    return Enrolment(
        contact_id=row["contact_id"],
        email=row["email"],
        address=row["address"],
        step=row["step"],
        passed_at=parse_rfc3339(row["passed_at"]) if row["passed_at"] else None,
        entered_at=parse_rfc3339(row["entered_at"]),
        due_at=row["due_at"] or "",
        suppressed=row["suppressed"],
        event=row["event"],
        delivery=row["delivery"] or "",
        sent_at=parse_rfc3339(row["sending_at"]) if row["sending_at"] else None,
        reason=row["reason"] or "",
    )
