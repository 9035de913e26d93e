"""Variants of a first message: what came of each, and which one the rest gets.

Who gets what is drawn by ``lot``, so it hangs on the campaign and the address alone. Those who wait for the better
variant stand in the ledger as deferred, without a time: nothing sends them anything before it is decided.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime, timedelta

from aicmo.clock import parse_rfc3339, rfc3339
from aicmo.store.deliveries import CAUSES, State
from aicmo.store.messages import FIRST_STEP


@dataclass(frozen=True, slots=True)
class Trial:
    """Which variant is better, tried on a part of the audience."""

    campaign_id: int
    goal: str
    """``clicks`` or ``replies``: of people, each counted once."""
    sample_percent: int
    """Of the audience, all variants together; what is left after the holdout, if that is less."""
    holdout_percent: int
    wait_minutes: int
    """How long each message has to show its worth, from when it went."""
    least: int
    """Sent of each variant before anything is concluded."""
    unclear: str = "first"
    """What happens without a clear winner: the ``first`` goes to the rest, or a person is to ``ask``."""
    decided_at: str | None = None
    winner: str = ""
    because: str = ""
    """The figures, in a sentence. There before ``decided_at`` when a person is asked."""


_COLUMNS = """
    campaign_test.campaign_id, goal, sample_percent, holdout_percent, wait_minutes, least, unclear, decided_at, winner,
    because"""


def trial(db: sqlite3.Connection, campaign_id: int) -> Trial | None:
    """``None`` where nothing is tried."""
    row = db.execute(f"SELECT {_COLUMNS} FROM campaign_test WHERE campaign_id = ?", (campaign_id,)).fetchone()
    return Trial(**dict(row)) if row else None


def put_trial(db: sqlite3.Connection, asked: Trial) -> None:
    """Set it up anew; nothing of it may be decided yet."""
    db.execute(
        """INSERT OR REPLACE INTO campaign_test
               (campaign_id, goal, sample_percent, holdout_percent, wait_minutes, least, unclear)
           VALUES (?, ?, ?, ?, ?, ?, ?)""",
        (asked.campaign_id, asked.goal, asked.sample_percent, asked.holdout_percent, asked.wait_minutes, asked.least,
         asked.unclear),
    )  # fmt: skip


def delete_trial(db: sqlite3.Connection, campaign_id: int) -> bool:
    """Whether there was one."""
    return db.execute("DELETE FROM campaign_test WHERE campaign_id = ?", (campaign_id,)).rowcount == 1


def undecided(db: sqlite3.Connection) -> list[Trial]:
    """The tests of running campaigns that nobody has decided, or been asked about."""
    rows = db.execute(
        f"""SELECT {_COLUMNS} FROM campaign JOIN campaign_test ON campaign_id = campaign.id
            WHERE status = 'running' AND decided_at IS NULL AND because = '' ORDER BY campaign_test.campaign_id"""
    )
    return [Trial(**dict(row)) for row in rows]


def unclear(db: sqlite3.Connection) -> list[int]:
    """The running campaigns whose test has no clear winner, and waits for a person's word."""
    rows = db.execute(
        """SELECT campaign_id FROM campaign JOIN campaign_test ON campaign_id = campaign.id
           WHERE status = 'running' AND decided_at IS NULL AND because <> '' ORDER BY campaign_id"""
    )
    return [row[0] for row in rows]


# --- what came of each -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Figures:
    """What came of one variant."""

    variant: str
    """Empty: those who were held out."""
    people: int
    """Who were to get it."""
    sent: int
    """Who did, as far as is known, and it did not come back."""
    clicks: int = 0
    """Of them, who clicked a link in it; scanners left out."""
    replies: int = 0
    """Of them, who answered; machines left out."""
    converted: int = 0
    """Of ``people``, who converted since the start, for whatever reason: what can be compared with the holdout."""
    is_rest: bool = False
    """Those who got the winner after it had won; their figures decided nothing."""

    def of(self, goal: str) -> int:
        """How many people reached the ``goal`` of a ``Trial``."""
        return self.clicks if goal == "clicks" else self.replies


def figures(
    db: sqlite3.Connection, campaign_id: int, within: timedelta | None = None, *, decided: Trial | None = None
) -> list[Figures]:
    """Of every variant that was assigned, by letter; the holdout is last. What happened counts once for each person.

    ``within``: clicks and answers no later than this after the message went, so that one that went later is not worse
    off. Once the test is ``decided``, those to whom its winner went after that stand apart, after the sample.
    """
    days = within.total_seconds() / 86400 if within else 1e6
    rows = db.execute(
        """WITH first AS (
               SELECT id, contact_id, variant, state, coalesce(sending_at, at) AS sending_at,
                      variant <> '' AND variant = :winner AND coalesce(sending_at, at) >= :decided_at AS is_rest
               FROM delivery
               WHERE campaign_id = :campaign AND step = :step AND (variant <> '' OR cause = 'holdout')),
           answer AS (
               SELECT first.variant, first.is_rest, event.kind, first.contact_id
               FROM event JOIN first USING (contact_id)
               WHERE event.campaign_id = :campaign AND (event.delivery_id IS NULL OR event.delivery_id = first.id)
                     AND first.state = 'sent' AND event.at >= first.sending_at
                     AND julianday(event.at) - julianday(first.sending_at) <= :days
                     AND ((event.kind = 'clicked' AND event.human = 1)
                          OR (event.kind = 'replied' AND event.human IS NOT 0))),
           bought AS (
               SELECT first.variant, first.is_rest, first.contact_id FROM event JOIN first USING (contact_id)
               WHERE event.kind = 'converted' AND event.human IS NOT 0
                     AND event.at >= (SELECT started_at FROM campaign WHERE id = :campaign))
           SELECT variant, is_rest, count(*) AS people, sum(state = 'sent') AS sent,
                  (SELECT count(DISTINCT contact_id) FROM answer
                   WHERE (answer.variant, answer.is_rest) = (first.variant, first.is_rest)
                         AND kind = 'clicked') AS clicks,
                  (SELECT count(DISTINCT contact_id) FROM answer
                   WHERE (answer.variant, answer.is_rest) = (first.variant, first.is_rest)
                         AND kind = 'replied') AS replies,
                  (SELECT count(DISTINCT contact_id) FROM bought
                   WHERE (bought.variant, bought.is_rest) = (first.variant, first.is_rest)) AS converted
           FROM first GROUP BY variant, is_rest ORDER BY variant = '', variant, is_rest""",
        {
            "campaign": campaign_id,
            "step": FIRST_STEP,
            "days": days,
            "winner": decided.winner if decided else "",
            "decided_at": decided.decided_at if decided else "",
        },
    )
    return [Figures(**{**dict(row), "is_rest": bool(row["is_rest"])}) for row in rows]


# --- which one the rest gets -----------------------------------------------------------------------------------------


def decision_at(db: sqlite3.Connection, asked: Trial) -> datetime | None:
    """When the test can be decided: its time after the last message of it went. ``None`` while one is to go.

    A mailbox that says "later" is not waited for.
    """
    to_go, last = db.execute(
        """SELECT total(state IN ('queued', 'claimed', 'sending')
                     OR (state = 'deferred' AND cause IN ('variant', 'hours', 'limit', 'frequency', 'throttled'))),
                  max(sending_at)
           FROM delivery WHERE campaign_id = ? AND step = ? AND variant <> ''""",
        (asked.campaign_id, FIRST_STEP),
    ).fetchone()
    if to_go:
        return None
    started = db.execute("SELECT started_at FROM campaign WHERE id = ?", (asked.campaign_id,)).fetchone()[0]
    return parse_rfc3339(last or started) + timedelta(minutes=asked.wait_minutes)


def note(db: sqlite3.Connection, campaign_id: int, because: str) -> None:
    """A person is to decide, knowing this."""
    db.execute("UPDATE campaign_test SET because = ? WHERE campaign_id = ?", (because, campaign_id))


def decide(db: sqlite3.Connection, campaign_id: int, winner: str, because: str, now: datetime) -> bool:
    """Once and for all; ``False`` when it was decided already. What waits is let go by ``release``."""
    return bool(
        db.execute(
            """UPDATE campaign_test SET decided_at = ?, winner = ?, because = ?
               WHERE campaign_id = ? AND decided_at IS NULL""",
            (rfc3339(now), winner, because, campaign_id),
        ).rowcount
    )


def unreleased(db: sqlite3.Connection) -> list[Trial]:
    """The decided tests of running campaigns whose rest still waits."""
    rows = db.execute(
        f"""SELECT {_COLUMNS} FROM campaign JOIN campaign_test ON campaign_id = campaign.id
            WHERE status = 'running' AND decided_at IS NOT NULL AND EXISTS (
                SELECT 1 FROM delivery INDEXED BY delivery_retry
                WHERE delivery.campaign_id = campaign.id AND state = 'deferred' AND retry_at IS NULL
                      AND cause = 'winner')
            ORDER BY campaign_test.campaign_id"""
    )
    return [Trial(**dict(row)) for row in rows]


def release(db: sqlite3.Connection, asked: Trial, now: datetime, after: timedelta, *, most: int) -> int:
    """Give ``most`` of those who wait the winner of a decided test, to go ``after`` the decision; how many it were."""
    assert asked.decided_at is not None
    later = (State.DEFERRED, "variant", CAUSES["variant"], rfc3339(parse_rfc3339(asked.decided_at) + after))
    state, cause, reason, retry_at = later if after else (State.QUEUED, "", "", None)
    return db.execute(
        """UPDATE delivery SET variant = ?, state = ?, cause = ?, reason = ?, retry_at = ?, at = ?
           WHERE id IN (SELECT id FROM delivery INDEXED BY delivery_retry
                        WHERE campaign_id = ? AND state = 'deferred' AND retry_at IS NULL AND cause = 'winner'
                        LIMIT ?)""",
        (asked.winner, state, cause, reason, retry_at, rfc3339(now), asked.campaign_id, most),
    ).rowcount


def waiting(db: sqlite3.Connection, campaign_id: int) -> int:
    """How many wait for the decision."""
    row = db.execute(
        "SELECT count(*) FROM delivery WHERE campaign_id = ? AND state = 'deferred' AND cause = 'winner'",
        (campaign_id,),
    ).fetchone()
    return int(row[0])
