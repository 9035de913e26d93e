"""A campaign that harms its sender's name pauses itself, says why with the figures, and takes a person's word."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from aicmo.clock import rfc3339
from aicmo.publishing import Counts, PublishingCampaign
from aicmo.publishing.sending.rules import PauseRules, sending_rules
from aicmo.sandbox import Fault, RunningSandbox
from aicmo.sending_config import SendingSettings
from aicmo.store import campaigns
from aicmo.workspace import Workspace

from .conftest import started_campaign
from .hand_clock import HandClock, config_with, open_there, run_once


@contextmanager
def house(
    folder: Path, sandbox: RunningSandbox, sending: dict[str, Any] | None = None, **settings: Any
) -> Iterator[tuple[Workspace, HandClock]]:
    clock = HandClock()
    config = config_with(sandbox, "smtp-a", sending=sending, **{"connections": 1, **settings})
    workspace = open_there(folder, config, clock)
    try:
        yield workspace, clock
    finally:
        workspace.close()


def now(workspace: Workspace, campaign: PublishingCampaign) -> tuple[str, str]:
    found = workspace.publishing.campaign(campaign.id)
    return found.status, found.pause_reason


def nobody_at(*numbers: int) -> list[Fault]:
    return [Fault("rcpt", "reply", reply="550 5.1.1 no such user", recipient=f"p{number}@*") for number in numbers]


async def test_too_many_dead_addresses_pause_it_at_the_one_that_is_too_much(
    tmp_path: Path, sandbox: RunningSandbox
) -> None:
    with house(tmp_path, sandbox) as (workspace, clock):
        sandbox.set_faults(nobody_at(2, 4, 6, 8, 10, 12))
        campaign = started_campaign(workspace, 60)
        await run_once(workspace)
        status, why = now(workspace, campaign)
        assert status == "paused"
        assert why == "5 of the last 11 came back, more than 5 %; the last: 550 5.1.1 no such user"
        counts = workspace.publishing.counts(campaign.id)
        assert counts == Counts(audience=60, sent=6, failed=5, queued=49), "within one message"
        clock.forward(seconds=1)
        workspace.publishing.resume(campaign.id)
        clock.forward(seconds=1)
        await run_once(workspace)
        assert now(workspace, campaign)[0] == "finished", "the old ones, and one more, pause it no more"


async def test_a_list_that_is_as_good_as_lists_are_is_not_paused(tmp_path: Path, sandbox: RunningSandbox) -> None:
    with house(tmp_path, sandbox) as (workspace, _):
        sandbox.set_faults(nobody_at(30, 60, 90, 110, 115, 119))
        campaign = started_campaign(workspace, 120)
        await run_once(workspace)
        assert now(workspace, campaign) == ("finished", "")


@pytest.mark.parametrize(("last", "status"), [(99, "finished"), (98, "paused")])
async def test_five_of_a_hundred_are_borne_and_five_of_ninety_nine_are_not(
    tmp_path: Path, sandbox: RunningSandbox, last: int, status: str
) -> None:
    with house(tmp_path, sandbox) as (workspace, _):
        sandbox.set_faults(nobody_at(20, 40, 60, 80, last))
        campaign = started_campaign(workspace, 100)
        await run_once(workspace)
        assert now(workspace, campaign)[0] == status


async def test_only_the_last_hundred_count(tmp_path: Path, sandbox: RunningSandbox) -> None:
    with house(tmp_path, sandbox) as (workspace, _):
        sandbox.set_faults(nobody_at(0, 1, 2, 3, 99, 104))
        campaign = started_campaign(workspace, 110)
        await run_once(workspace)
        assert now(workspace, campaign)[0] == "finished"


async def test_what_the_sender_before_saw_counts_after_a_restart(tmp_path: Path, sandbox: RunningSandbox) -> None:
    with house(tmp_path, sandbox, limits={"minute": 3}) as (workspace, clock):
        sandbox.set_faults([Fault("dot", "reply", reply="554 5.7.1 looks like spam")])
        campaign = started_campaign(workspace, 10)
        for _ in range(3):
            await one_message(workspace)
            clock.forward(minutes=2)
        status, why = now(workspace, campaign)
        assert (status, why) == ("paused", "3 refusals of the content in a row: 554 5.7.1 looks like spam")
        clock.forward(minutes=2)
        workspace.publishing.resume(campaign.id)
        await workspace.registry.reset("smtp-a")
        clock.forward(minutes=2)
        await one_message(workspace)
        assert now(workspace, campaign)[0] == "running", "it takes three new ones"


async def one_message(workspace: Workspace) -> None:
    """A sender that is stopped after its first message."""
    outbox = workspace.publishing.outbox()
    deliver = outbox._deliver

    async def then_stop(claimed: Any) -> Any:
        settled = await deliver(claimed)
        outbox.stop()
        return settled

    outbox._deliver = then_stop  # type: ignore[method-assign]
    await outbox.run()
    for provider in workspace.chain("email_sending").providers:
        await provider.close()
    await workspace.registry.close()


async def test_bounces_that_the_inbox_finds_later_pause_what_still_runs(
    tmp_path: Path, sandbox: RunningSandbox
) -> None:
    with house(tmp_path, sandbox, limits={"day": 40}) as (workspace, clock):
        campaign = started_campaign(workspace, 60)
        await run_once(workspace)
        clock.forward(hours=1)
        came_back(workspace, campaign, clock, 4)
        await run_once(workspace)
        assert now(workspace, campaign)[0] == "running"
        came_back(workspace, campaign, clock, 1)
        await run_once(workspace)
        status, why = now(workspace, campaign)
        assert status == "paused" and why.startswith("5 of the last 40 came back, more than 5 %")
        clock.forward(hours=1)
        workspace.publishing.resume(campaign.id)
        clock.forward(hours=1)
        await run_once(workspace)
        assert now(workspace, campaign)[0] == "running"


def came_back(workspace: Workspace, campaign: PublishingCampaign, clock: HandClock, how_many: int) -> None:
    workspace.db.write(
        lambda db: db.execute(
            """UPDATE delivery SET state = 'bounced', at = ? WHERE id IN (
                   SELECT id FROM delivery WHERE campaign_id = ? AND state = 'sent' LIMIT ?)""",
            (rfc3339(clock.now()), campaign.id, how_many),
        )
    )


async def test_complaints_pause_it_by_their_share_of_what_was_sent(tmp_path: Path, sandbox: RunningSandbox) -> None:
    with house(tmp_path, sandbox, sending={"pause_at_complaint_percent": 6}, limits={"day": 30}) as (workspace, clock):
        campaign = started_campaign(workspace, 40)
        await run_once(workspace)
        complain(workspace, campaign, clock, 1)
        await run_once(workspace)
        assert now(workspace, campaign)[0] == "running", "one proves nothing"
        complain(workspace, campaign, clock, 2)
        await run_once(workspace)
        assert now(workspace, campaign) == ("paused", "2 of 30 sent were reported as spam, more than 6 %")
        clock.forward(hours=1)
        workspace.publishing.resume(campaign.id)
        await run_once(workspace)
        assert now(workspace, campaign)[0] == "running"


def complain(workspace: Workspace, campaign: PublishingCampaign, clock: HandClock, contact_id: int) -> None:
    workspace.db.write(
        lambda db: db.execute(
            "INSERT INTO event (contact_id, kind, at, campaign_id) VALUES (?, 'complained', ?, ?)",
            (contact_id, rfc3339(clock.now()), campaign.id),
        )
    )


def test_unless_told_otherwise_it_is_as_patient_as_mailbox_providers_are() -> None:
    """Google wants fewer than 0.1 % called spam: https://support.google.com/a/answer/81126"""
    assert sending_rules(SendingSettings()).pause == PauseRules() == PauseRules(5, 0.1, 3)


async def test_how_patient_it_is_can_be_set(tmp_path: Path, sandbox: RunningSandbox) -> None:
    patient = {"pause_at_bounce_percent": 100, "pause_after_refusals": 100}
    with house(tmp_path, sandbox, sending=patient) as (workspace, _):
        sandbox.set_faults(nobody_at(*range(20)))
        campaign = started_campaign(workspace, 20)
        await run_once(workspace)
        assert now(workspace, campaign)[0] == "finished"
        assert workspace.db.read(lambda db: campaigns.get(db, campaign.id)).pause_reason == ""
