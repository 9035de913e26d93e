"""Who is asked how often, and for how long: with a server's own troubles, and with one message of many."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from aicmo.publishing import Counts
from aicmo.publishing.sending.verdicts import BACKOFF
from aicmo.sandbox import Fault, RunningSandbox
from aicmo.workspace import Workspace

from .conftest import started_campaign
from .hand_clock import HandClock, config_with, open_there, run_once


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def workspace(tmp_path: Path, sandbox: RunningSandbox, clock: HandClock) -> Iterator[Workspace]:
    opened = open_there(tmp_path, config_with(sandbox, "smtp-a", connections=1), clock)
    yield opened
    opened.close()


async def test_a_server_that_was_away_for_an_evening_leaves_all_patience_for_greylisting(
    workspace: Workspace, sandbox: RunningSandbox, clock: HandClock
) -> None:
    campaign = started_campaign(workspace, 1)
    sandbox.set_faults([Fault("mail", "reply", reply="451 4.3.0 try later")])
    for _ in range(len(BACKOFF) + 2):
        await run_once(workspace)
        clock.forward(minutes=20)
    (waiting,) = workspace.publishing.deliveries(campaign.id)
    assert (waiting.cause, waiting.attempts) == ("server", 0)
    sandbox.set_faults([Fault("rcpt", "reply", reply="450 4.2.0 Greylisted")])
    await run_once(workspace)
    (waiting,) = workspace.publishing.deliveries(campaign.id)
    assert (waiting.state, waiting.cause, waiting.attempts) == ("deferred", "later", 1)


@pytest.mark.parametrize("phase", ["data", "dot"])
async def test_one_message_that_a_server_always_refuses_holds_up_no_other_and_ends(
    workspace: Workspace, sandbox: RunningSandbox, clock: HandClock, phase: str
) -> None:
    campaign = started_campaign(workspace, 5)
    sandbox.set_faults([Fault(phase, "reply", reply="451 4.3.0 queue file write error", recipient="p0@*")])
    await run_once(workspace)
    assert workspace.publishing.counts(campaign.id) == Counts(audience=5, sent=4, deferred=1)
    for wait in BACKOFF:
        clock.forward(seconds=wait.total_seconds())
        await run_once(workspace)
    assert workspace.publishing.campaign(campaign.id).status == "finished"
    (failed,) = [each for each in workspace.publishing.deliveries(campaign.id) if each.state == "failed"]
    assert failed.email == "p0@acme.example" and failed.reason.startswith(f"given up after {len(BACKOFF) + 1} tries")


@pytest.mark.parametrize("fault", [{"action": "reply", "reply": "421 4.7.0 bye"}, {"action": "drop"}])
async def test_one_recipient_at_whom_a_server_always_hangs_up_holds_up_no_other(
    workspace: Workspace, sandbox: RunningSandbox, clock: HandClock, fault: dict[str, str]
) -> None:
    campaign = started_campaign(workspace, 20)
    sandbox.set_faults([Fault("rcpt", **fault, recipient="p0@*")])
    for _ in range(4):
        await run_once(workspace)
        clock.forward(minutes=10)  # as cron might
    assert workspace.publishing.counts(campaign.id) == Counts(audience=20, sent=19, deferred=1)
