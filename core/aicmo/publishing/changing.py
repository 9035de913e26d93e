"""Changing a campaign that was created: everything until it begins, then only when it may write to somebody.

Beginning freezes the audience, and what has been promised to the ledger cannot be taken back; but the hours are looked
at for each message anew.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from aicmo.errors import IllegalTransition, InvalidInput
from aicmo.publishing.schedule import selection
from aicmo.publishing.writing.contents import checked_line
from aicmo.store import campaign_options, campaigns, deliveries
from aicmo.store.campaigns import Campaign
from aicmo.text import plain


@dataclass(frozen=True, slots=True)
class CampaignChange:
    """``None`` leaves it as it is."""

    name: str | None = None
    audience: str | None = None
    exclude: str | None = None
    options: Mapping[str, str | int | None] = field(default_factory=dict)
    """Fields of ``CampaignOptions``; those that are not named stay."""


def campaign_name(text: str) -> str:
    """On one line, and not empty. Raises ``InvalidInput``."""
    name = checked_line(text, "name")
    if not name:
        raise InvalidInput("The name is empty.", hint="Give the campaign a name to find it by.")
    return name


def changed(db: sqlite3.Connection, campaign_id: int, change: CampaignChange, now: datetime) -> Campaign:
    """The campaign after ``change``.

    Raises ``NotFound``, ``QueryInvalid``, ``InvalidInput``, and ``IllegalTransition`` for what can be changed no more.
    """
    campaign = campaigns.get(db, campaign_id)
    campaigns.refuse_ended(campaign, "nothing of it changes any more")
    begun = campaigns.has_begun(db, campaign_id)
    if begun and (change.name, change.audience, change.exclude) != (None, None, None):
        raise IllegalTransition(
            f"Campaign {campaign_id} has begun: its audience is frozen, and its name has gone out.",
            hint="Its hours and days can still be changed; or cancel it, and create another one.",
        )
    if begun and "utm" in change.options:
        raise IllegalTransition(
            f"Campaign {campaign_id} has begun: some of its links have gone out as they are.",
            hint="Its hours and days can still be changed; or cancel it, and create another one.",
        )
    as_before = campaign.options.late_after_minutes
    if begun and change.options.get("late_after_minutes", as_before) != as_before:
        raise IllegalTransition(
            f"Campaign {campaign_id} has begun: it cannot be late any more.",
            hint="Its hours and days can still be changed.",
        )
    name = campaign.name if change.name is None else campaign_name(change.name)
    audience = campaign.audience if change.audience is None else change.audience
    exclude = campaign.exclude if change.exclude is None else change.exclude
    options = campaign_options.checked(replace(campaign.options, **change.options))  # type: ignore[arg-type]
    selection(db, audience, exclude, now)
    campaigns.change(db, campaign_id, name, plain(audience), plain(exclude), options)
    if begun:
        deliveries.look_at_hours_anew(db, campaign_id, now)
    return campaigns.get(db, campaign_id)
