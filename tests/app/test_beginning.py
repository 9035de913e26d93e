"""Setting a campaign going, or back to the time it had: who gets what is said first."""

from __future__ import annotations

from datetime import timedelta

from campaigns import WINTER, a_comparison
from driving import app_on, reads, until
from sample import NOW
from test_campaign_screen import WIDE, agree, opened
from textual.pilot import Pilot

from aicmo.store.campaigns import CampaignStatus
from aicmo.workspace import Workspace


async def test_who_gets_which_of_several_messages_is_said_before_it_begins(filled: Workspace) -> None:
    campaign = a_comparison(filled, begun=False)
    filled.publishing.approve(campaign)
    app = app_on(filled)
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, campaign)
        await pilot.press("g")
        await reads(pilot, "60% try 2 messages; the rest waits 1d and gets the better one; 10%")


async def paused_before_its_time(pilot: Pilot[None], workspace: Workspace) -> None:
    """The campaign is to begin tomorrow, and a person pauses it."""
    workspace.publishing.start(WINTER, approve=True, at=NOW + timedelta(days=1))
    workspace.publishing.pause(WINTER)
    await opened(pilot, WINTER)
    await reads(pilot, "You paused it; it was to begin Mon 23 Nov 14:05", "space begin then, or now")
    await pilot.press("space")
    await reads(pilot, "It was to begin Mon 23 Nov 14:05.", "Stay paused", "Begin Mon 23 Nov 14:05", "Begin now")


async def test_one_that_was_paused_before_its_time_goes_back_to_it(filled: Workspace) -> None:
    app = app_on(filled)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await paused_before_its_time(pilot, filled)
        await pilot.press("right", "enter")
        await until(pilot, lambda: filled.publishing.campaign(WINTER).status is CampaignStatus.SCHEDULED)
        await reads(pilot, "◐ It begins Mon 23 Nov 14:05")
    assert filled.publishing.campaign(WINTER).scheduled_at == "2026-11-23T14:05:00.000Z"


async def test_one_that_was_paused_before_its_time_begins_now_where_that_is_said(filled: Workspace) -> None:
    app = app_on(filled)
    async with app.run_test(size=WIDE) as pilot:
        await paused_before_its_time(pilot, filled)
        await pilot.press("right", "right", "enter")
        await reads(pilot, "Send to 4 people through smtp-main?")
        await agree(pilot)
        await until(pilot, lambda: filled.publishing.campaign(WINTER).status is CampaignStatus.RUNNING)
