"""A database that was copied or restored begins nothing by itself.

What it believes to be waiting may have gone already: from the original, or after the backup was made. So when the
sender finds itself elsewhere than where it last sent (see ``store.whereabouts``), it pauses all that runs or is
scheduled, says why, and leaves it to the person to go on, campaign by campaign. It must do so before it claims or
begins anything.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from aicmo.clock import rfc3339
from aicmo.errors import VerbHint
from aicmo.store import Database, campaigns, deliveries, meta, whereabouts
from aicmo.store.campaigns import CampaignStatus
from aicmo.store.set_back import take_as_of
from aicmo.store.whereabouts import Stopped

ACTIVE = (CampaignStatus.RUNNING, CampaignStatus.SCHEDULED)


async def settle_in(db: Database, now: datetime, also: Callable[[sqlite3.Connection], None]) -> str:
    """Make this the database that sends, or that still does; what was paused because it was another one, in a sentence.

    Empty when nothing had to be. ``also`` is done in the same transaction. Call it while holding the sender's lock.
    Raises ``StoreError``.
    """

    def arrive(connection: sqlite3.Connection) -> tuple[meta.Identity, int, str]:
        told = stop_what_runs(connection, db.path, now)
        if whereabouts.last_at(connection, now) > now:
            take_as_of(connection, now)
        also(connection)
        return meta.identity(connection), whereabouts.settle_in(connection, db.path, now), told

    identity, count, told = await db.awrite(arrive)
    await asyncio.to_thread(whereabouts.leave_mark, db.path, identity, count)
    return told


def stop_what_runs(db: sqlite3.Connection, database: Path, now: datetime) -> str:
    """If this is a copy or a backup, pause all campaigns that run or are scheduled; what was done, in a sentence."""
    why = whereabouts.finding(db, database)
    if not why:
        return ""
    open_ones = [each for each in campaigns.listed(db) if each.status in ACTIVE or _waits(db, each)]
    if not open_ones:
        return ""
    whereabouts.note_stopped(db, Stopped(rfc3339(now), why, tuple(each.id for each in open_ones)))
    for each in open_ones:
        if each.status in ACTIVE:
            campaigns.move(db, each.id, CampaignStatus.PAUSED, pause_reason=pause_reason(why, now))
    paused = sum(each.status in ACTIVE for each in open_ones)
    so = {0: "what was paused stays so", 1: "1 campaign is paused"}.get(paused, f"{paused} campaigns are paused")
    return VerbHint(
        f"This database was copied or restored ({why}), so {so}: messages may have gone from the other copy"
        " since. Resume each when you are sure",
        "campaign resume ID",
    )


def pause_reason(why: str, now: datetime) -> str:
    """For a person who meets the paused campaign later."""
    return (
        f"the database was copied or restored, as was found on {now.astimezone():%-d %B %Y} ({why}); messages may have"
        " gone from the other copy since, so resume it when you are sure"
    )


def _waits(db: sqlite3.Connection, campaign: campaigns.Campaign) -> bool:
    return campaign.status is CampaignStatus.PAUSED and deliveries.counts(db, campaign.id).open > 0
