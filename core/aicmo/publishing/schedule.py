"""When a campaign begins, and with whom.

Beginning freezes the audience: everyone whom the query selects at that moment gets a row in the ledger, and nobody else
ever joins. A scheduled campaign begins when a sender finds its time come; one that is much too late asks first.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta

from aicmo.clock import parse_rfc3339
from aicmo.crm.segments import select
from aicmo.errors import QueryInvalid
from aicmo.store import campaigns, deliveries
from aicmo.store.campaigns import CampaignStatus

FIRST_STEP = 1
LATE_AFTER = timedelta(hours=12)
"""A scheduled campaign later than this asks instead of firing: the laptop slept, or the database was restored."""


def begin(db: sqlite3.Connection, campaign_id: int, now: datetime) -> int:
    """Set the campaign running and freeze its audience; how many that are.

    Raises ``IllegalTransition``, and ``QueryInvalid`` when a segment that the audience names is not what it was.
    """
    where, params = select(db, campaigns.get(db, campaign_id).audience, now=now).where()
    campaigns.move(db, campaign_id, CampaignStatus.RUNNING)
    return deliveries.freeze(db, campaign_id, FIRST_STEP, where, params, now)


def start_due(db: sqlite3.Connection, now: datetime) -> None:
    """Begin the scheduled campaigns whose time has come; pause those that are late, or cannot tell their audience."""
    for campaign_id in campaigns.due_ids(db, now):
        campaign = campaigns.get(db, campaign_id)
        assert campaign.scheduled_at is not None  # that is what made it due
        late = now - parse_rfc3339(campaign.scheduled_at)
        if late > LATE_AFTER:
            hours = int(late.total_seconds() // 3600)
            campaigns.move(
                db,
                campaign_id,
                CampaignStatus.PAUSED,
                pause_reason=f"{hours} hours late; resume it to send all the same",
            )
            continue
        try:
            begin(db, campaign_id, now)
        except QueryInvalid as error:
            campaigns.move(db, campaign_id, CampaignStatus.PAUSED, pause_reason=error.message)
