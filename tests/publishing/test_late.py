"""A scheduled campaign that missed its time asks; the person resumes it, begins it, or gives it another time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from aicmo.errors import IllegalTransition
from aicmo.publishing import Counts, PublishingCampaign
from aicmo.publishing.changing import CampaignChange
from aicmo.sandbox import RunningSandbox
from aicmo.store.campaign_options import CampaignOptions
from aicmo.workspace import Workspace

from .conftest import DRAFT
from .hand_clock import NOON, HandClock, config_with, open_there, run_once


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def workspace(tmp_path: Path, sandbox: RunningSandbox, clock: HandClock) -> Iterator[Workspace]:
    opened = open_there(tmp_path, config_with(sandbox, "smtp-a", sending={"late_after_hours": 2}), clock)
    opened.crm.add("p@acme.example")
    yield opened
    opened.close()


def scheduled(workspace: Workspace, options: CampaignOptions | None = None) -> PublishingCampaign:
    content = workspace.contents.create("email", "N", DRAFT)
    made = workspace.publishing.create_campaign("N", content.id, "", options=options or CampaignOptions())
    return workspace.publishing.start(made.id, approve=True, at=NOON + timedelta(hours=1))


async def test_how_late_it_may_be_is_its_own_word_else_the_configurations(
    workspace: Workspace, clock: HandClock
) -> None:
    usual = scheduled(workspace)
    patient = scheduled(workspace, CampaignOptions(late_after_minutes=24 * 60))
    clock.forward(hours=4)
    await run_once(workspace)
    missed = workspace.publishing.campaign(usual.id)
    assert missed.status == "paused"
    assert missed.pause_reason.startswith("missed its time, 3 hours late")
    assert workspace.publishing.campaign(patient.id).status == "finished"


async def test_one_that_missed_its_time_is_given_another_one(workspace: Workspace, clock: HandClock) -> None:
    campaign = scheduled(workspace)
    clock.forward(days=2)
    assert (await run_once(workspace)).counts == {}
    again = workspace.publishing.start(campaign.id, at=clock.now() + timedelta(hours=1))
    assert (again.status, again.pause_reason) == ("scheduled", "")
    clock.forward(hours=1, minutes=30)
    assert (await run_once(workspace)).counts == {"sent": 1}


async def test_one_that_missed_its_time_goes_all_the_same_on_a_persons_word(
    workspace: Workspace, clock: HandClock
) -> None:
    resumed, started = scheduled(workspace), scheduled(workspace)
    clock.forward(days=2)
    await run_once(workspace)
    workspace.publishing.resume(resumed.id)
    workspace.publishing.start(started.id)
    await run_once(workspace)
    assert [workspace.publishing.counts(each.id) for each in (resumed, started)] == [Counts(audience=1, sent=1)] * 2


def test_a_scheduled_one_can_be_moved_and_begun_early_and_a_begun_one_never_again(
    workspace: Workspace, clock: HandClock
) -> None:
    campaign = scheduled(workspace)
    moved = workspace.publishing.start(campaign.id, at=NOON + timedelta(days=3))
    assert moved.scheduled_at == "2026-11-26T12:00:00.000Z"
    assert workspace.publishing.edit_campaign(campaign.id, CampaignChange(name="Later")).status == "scheduled"
    assert workspace.publishing.start(campaign.id).status == "running"
    workspace.publishing.pause(campaign.id)
    workspace.crm.add("late@acme.example")
    with pytest.raises(IllegalTransition, match="begun already"):
        workspace.publishing.start(campaign.id)
    with pytest.raises(IllegalTransition, match="begun already"):
        workspace.publishing.start(campaign.id, at=NOON + timedelta(days=3))
    assert workspace.publishing.counts(campaign.id).audience == 1, "nobody else ever joins"
