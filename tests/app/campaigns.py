"""Campaigns in the states that the campaign screens are about, in the workspace of ``sample``."""

from __future__ import annotations

import sqlite3
from datetime import timedelta

from sample import NOW

from aicmo.clock import rfc3339
from aicmo.publishing import Draft
from aicmo.publishing.sequences.editing import Add
from aicmo.store.deliveries import CAUSES
from aicmo.store.events import Event
from aicmo.store.variants import Trial
from aicmo.workspace import Workspace

AUTUMN, HOSTILE, WINTER = 1, 2, 3
"""The campaigns of ``sample``: under way, paused by a person, a draft for the four of ``tag:trial``."""
DAY_MINUTES = 24 * 60
TOO_MANY_BOUNCES = "5.2% of the last 500 messages bounced, the limit is 5%"


def pause(workspace: Workspace, campaign_id: int, reason: str) -> None:
    """As the program does it."""

    def work(db: sqlite3.Connection) -> None:
        db.execute("UPDATE campaign SET status = 'paused', pause_reason = ? WHERE id = ?", (reason, campaign_id))

    workspace.db.write(work)


def miss(workspace: Workspace, campaign_id: int, *, hours: int = 13) -> None:
    """Its time passed while nobody sent."""
    workspace.publishing.start(campaign_id, approve=True, at=NOW + timedelta(hours=1))
    why = f"missed its time, {hours} hours late; resume it to send all the same, or give it another time"
    pause(workspace, campaign_id, why)
    at = rfc3339(NOW - timedelta(hours=hours))
    workspace.db.write(lambda db: db.execute("UPDATE campaign SET scheduled_at = ? WHERE id = ?", (at, campaign_id)))


def give_causes(workspace: Workspace) -> None:
    """Of those that failed in the campaign under way, one mailbox is full; the others do not exist."""

    def work(db: sqlite3.Connection) -> None:
        db.execute("UPDATE delivery SET cause = 'address' WHERE campaign_id = ? AND state = 'failed'", (AUTUMN,))
        db.execute(
            """UPDATE delivery SET cause = 'mailbox', code = '552 5.2.2', reason = 'over quota' WHERE id = (
                   SELECT min(id) FROM delivery WHERE campaign_id = ? AND state = 'failed')""",
            (AUTUMN,),
        )

    workspace.db.write(work)


def _content(workspace: Workspace, words: str) -> int:
    return workspace.contents.create("email", words, Draft(words, f"Hello.\n\n{words}")).id


def a_sequence(workspace: Workspace, *, begun: bool = True) -> int:
    """Three steps for the four of ``tag:trial``; begun, one had all of it, one replied, two wait for the second."""
    campaign = workspace.publishing.create_campaign("Trial welcome", _content(workspace, "Welcome"), "tag:trial").id
    workspace.sequences.edit(campaign, Add(_content(workspace, "How is it going?"), 3 * DAY_MINUTES, "no_reply"))
    workspace.sequences.edit(campaign, Add(_content(workspace, "Last words"), 4 * DAY_MINUTES))
    if not begun:
        return campaign
    workspace.publishing.start(campaign, approve=True)
    due = rfc3339(NOW + timedelta(days=3))

    def live(db: sqlite3.Connection) -> None:
        db.execute("UPDATE delivery SET state = 'sent', sending_at = at WHERE campaign_id = ?", (campaign,))
        db.execute("UPDATE enrolment SET due_at = ? WHERE campaign_id = ?", (due, campaign))
        first, second, *_ = [row[0] for row in db.execute("SELECT contact_id FROM enrolment ORDER BY contact_id")]
        db.execute("UPDATE enrolment SET state = 'done', step = 3, due_at = NULL WHERE contact_id = ?", (first,))
        db.execute(
            """UPDATE enrolment SET state = 'stopped', cause = 'replied', because = 'replied on 2026-11-20',
                      due_at = NULL WHERE contact_id = ?""",
            (second,),
        )

    workspace.db.write(live)
    return campaign


def a_comparison(workspace: Workspace, *, begun: bool = True, clear: bool = True) -> int:
    """Two subjects, tried on half of everybody, some held out. Begun, B has more clicks, and a winner where ``clear``,
    else the person is asked."""
    campaign = workspace.publishing.create_campaign("Spring", _content(workspace, "What is new"), "").id
    workspace.variants.add(campaign, subject="Three things, two minutes")
    workspace.variants.set_test(Trial(campaign, "clicks", 60, 10, DAY_MINUTES, 5, "ask"))
    if not begun:
        return campaign
    workspace.publishing.start(campaign, approve=True)

    def live(db: sqlite3.Connection) -> None:
        # Drawn by hand: the lot hangs on a secret of the database.
        drawn = (
            (12, "A", "sent", ""),
            (12, "B", "sent", ""),
            (4, "", "suppressed", "holdout"),
            (-1, "", "deferred", "winner"),
        )
        db.execute(
            """UPDATE delivery SET variant = '', state = 'queued', cause = '-', reason = '', retry_at = NULL
               WHERE campaign_id = ?""",
            (campaign,),
        )
        for count, variant, state, cause in drawn:
            db.execute(
                """UPDATE delivery SET variant = ?, state = ?, cause = ?, reason = ?,
                          provider = iif(? = 'sent', 'smtp-main', NULL), sending_at = iif(? = 'sent', at, NULL)
                   WHERE id IN (SELECT id FROM delivery WHERE campaign_id = ? AND cause = '-' ORDER BY id LIMIT ?)""",
                (variant, state, cause, CAUSES.get(cause, ""), state, state, campaign, count),
            )
        rows = db.execute(
            "SELECT contact_id FROM delivery WHERE campaign_id = ? AND variant = 'B' ORDER BY id LIMIT 4", (campaign,)
        )
        clicked.extend(row[0] for row in rows)
        because = "A 0 clicks of 12 (0.0%), B 4 clicks of 12 (33.3%); " + (
            "B is better (p = 0.03)" if clear else "no clear winner (p = 0.06)"
        )
        decided = rfc3339(NOW + timedelta(days=1)) if clear else None
        db.execute(
            "UPDATE campaign_test SET because = ?, winner = ?, decided_at = ? WHERE campaign_id = ?",
            (because, "B" if clear else "", decided, campaign),
        )

    clicked: list[int] = []
    workspace.db.write(live)
    for contact_id in clicked:
        workspace.crm.record_event(Event(contact_id, "clicked", NOW, campaign_id=campaign, human=True))
    return campaign
