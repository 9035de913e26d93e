"""When a campaign begins, and with whom.

Beginning freezes the audience: everyone whom the query selects at that moment gets a row in the ledger, and nobody else
ever joins, unless it is a campaign that newcomers join. A scheduled campaign begins when a sender finds its time come;
one that is much too late asks first.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from aicmo.clock import parse_rfc3339
from aicmo.crm.segments import select
from aicmo.errors import QueryInvalid
from aicmo.publishing import variants
from aicmo.store import campaigns, deliveries, sequences
from aicmo.store.campaigns import CampaignStatus
from aicmo.store.messages import FIRST_STEP
from aicmo.store.selection import And, Not, Selection, among

JOIN_EVERY = timedelta(minutes=5)
"""How often newcomers are looked for: the whole audience is asked for again."""
LET_IN_AT_ONCE = 20_000
"""Newcomers in one transaction; some tenths of a second, so that the sender's writes go on between."""
Newcomers = Mapping[int, Sequence[int]]
"""Campaign -> contacts' ids, of each campaign whose time to look for them has come."""
NOBODY: Newcomers = {}


def selection(db: sqlite3.Connection, audience: str, exclude: str, now: datetime) -> Selection:
    """Whom one query selects and the other does not; an empty ``exclude`` excludes nobody. Raises ``QueryInvalid``."""
    chosen = select(db, audience, now=now)
    if not exclude.strip():
        return chosen
    return Selection(And((chosen.node, Not(select(db, exclude, now=now).node))))


def begin(db: sqlite3.Connection, campaign_id: int, now: datetime) -> int:
    """Set the campaign running and freeze its audience; how many that are.

    It is one transaction, so that the audience is that of one moment, and a kill leaves all of it or nothing: no column
    could say of a half that it is one, and it would be taken for finished, or its test be decided, too early. A million
    people take 6 s (2-core machine), 10 s where a test draws among them, 3 s more in a sequence. So long whoever else
    writes waits (``database.BUSY_TIMEOUT_MS``); whoever reads does not. Newcomers, who belong to no one moment, are let
    in by slices.

    Raises ``IllegalTransition``, and ``QueryInvalid`` when a segment that the audience names is not what it was.
    """
    campaign = campaigns.get(db, campaign_id)
    chosen = selection(db, campaign.audience, campaign.exclude, now)
    campaigns.move(db, campaign_id, CampaignStatus.RUNNING)
    where, params = chosen.where()
    drawn = variants.drawn_among(db, campaign_id, now)
    audience = deliveries.freeze(db, campaign_id, FIRST_STEP, where, params, now, drawn)
    if campaign.kind == "sequence":
        sequences.enter(db, campaign_id, now)
    if campaign.joins_at is not None:
        campaigns.set_joining(db, campaign_id, now + JOIN_EVERY)
    return audience


def newcomers(db: sqlite3.Connection, now: datetime) -> Newcomers:
    """Who has come since into the audience of each running sequence that looks for newcomers now.

    This asks for the whole audience, some seconds where it is a million: ask outside of a write.
    """
    found: dict[int, Sequence[int]] = {}
    for campaign_id in sequences.running(db):
        campaign = campaigns.get(db, campaign_id)
        if campaign.joins_at is None or campaign.joins_at > now:
            continue
        found[campaign_id] = []
        with suppress(QueryInvalid):  # whoever lets them in finds it as well
            where, params = selection(db, campaign.audience, campaign.exclude, now).where()
            found[campaign_id] = deliveries.outside(db, campaign_id, FIRST_STEP, where, params)
    return found


def let_in(db: sqlite3.Connection, campaign_id: int, found: Sequence[int], now: datetime) -> None:
    """Put the newcomers who were ``found`` into the ledger and the sequence, if they still belong to the audience.

    Of very many the first; the others are found again at the next look, which is due at once. Raises ``QueryInvalid``.
    """
    campaign = campaigns.get(db, campaign_id)
    audience = selection(db, campaign.audience, campaign.exclude, now)
    if campaign.joins_at is None:
        return
    if some := found[:LET_IN_AT_ONCE]:
        where, params = Selection(And((among(some), audience.node))).where()
        drawn = variants.drawn_among(db, campaign_id, now)
        deliveries.freeze(db, campaign_id, FIRST_STEP, where, params, now, drawn)
        sequences.enter(db, campaign_id, now, some)
    if len(some) == len(found):
        campaigns.set_joining(db, campaign_id, now + JOIN_EVERY)


def start_due(db: sqlite3.Connection, now: datetime, late_after: timedelta) -> None:
    """Begin the scheduled campaigns whose time has come; pause those that are late, or cannot tell their audience.

    A campaign may say itself when it is late; ``late_after`` is for the others.
    """
    for campaign_id in campaigns.due_ids(db, now):
        campaign = campaigns.get(db, campaign_id)
        assert campaign.scheduled_at is not None  # that is what made it due
        late = now - parse_rfc3339(campaign.scheduled_at)
        if late > (campaign.options.late_after or late_after):
            why = f"missed its time, {_in_words(late)} late; resume it to send all the same, or give it another time"
            campaigns.move(db, campaign_id, CampaignStatus.PAUSED, pause_reason=why)
            continue
        try:
            begin(db, campaign_id, now)
        except QueryInvalid as error:
            campaigns.move(db, campaign_id, CampaignStatus.PAUSED, pause_reason=error.message)


def _in_words(span: timedelta) -> str:
    minutes = int(span.total_seconds() // 60)
    for unit, length in (("day", 24 * 60), ("hour", 60)):
        if minutes >= 2 * length:
            return f"{minutes // length} {unit}s"
    return "a minute" if minutes == 1 else f"{minutes} minutes"
