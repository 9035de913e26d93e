"""Going on after the database was copied or restored: the app asks what the command line asks."""

from __future__ import annotations

from driving import app_on, reads, until

from aicmo.clock import rfc3339
from aicmo.publishing import CampaignStatus
from aicmo.store import campaigns, whereabouts
from aicmo.store.whereabouts import Stopped
from aicmo.workspace import Workspace


async def test_a_campaign_of_a_restored_database_goes_on_only_after_a_question(filled: Workspace) -> None:
    found = Stopped(rfc3339(filled.clock.now()), "it last sent on another computer", (1,))

    def stop(db):  # type: ignore[no-untyped-def]
        whereabouts.note_stopped(db, found)
        if campaigns.get(db, 1).status is not CampaignStatus.PAUSED:
            campaigns.move(db, 1, CampaignStatus.PAUSED, pause_reason="copied or restored")

    filled.db.write(stop)
    app = app_on(filled)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        app.open_campaign(1)
        await reads(pilot, "space resume")
        await pilot.press("space")
        await reads(pilot, "8 people of it still wait", "Nobody could be asked", "whoever got it from another copy")
        await pilot.press("escape")
        assert filled.publishing.campaign(1).status is CampaignStatus.PAUSED
        await pilot.press("space")
        await reads(pilot, "whoever got it from another copy")
        await pilot.press("right", "enter")
        await until(pilot, lambda: filled.publishing.stopped_as_copy(1) is None)
        assert filled.publishing.campaign(1).status is not CampaignStatus.PAUSED
