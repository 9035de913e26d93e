"""The sender against real servers that fail in every phase: who got it, who did not, and nobody twice."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
from collections import Counter
from pathlib import Path

import pytest

from aicmo.errors import IllegalTransition
from aicmo.publishing import Counts, State
from aicmo.publishing.sending.sender_lock import sender_lock
from aicmo.sandbox import Fault, RunningSandbox
from aicmo.store import suppressions
from aicmo.store.claiming import recover
from aicmo.tasks import cut_off
from aicmo.workspace import Workspace

from .conftest import DRAFT, OpenWorkspace, received, started_campaign, until
from .hand_clock import run_once


def states(workspace: Workspace, campaign_id: int) -> dict[str, State]:
    return {each.email: each.state for each in workspace.publishing.deliveries(campaign_id)}


async def test_the_ledger_agrees_with_what_the_server_received(
    workspace_for: OpenWorkspace, sandbox: RunningSandbox
) -> None:
    workspace = workspace_for("smtp-a")
    campaign = started_campaign(workspace, 40)
    report = await run_once(workspace)
    assert (report.status, report.counts) == ("done", {"sent": 40})
    ledger = workspace.publishing.deliveries(campaign.id)
    assert {(each.email, each.message_id) for each in ledger} == {
        (mail.rcpt_to[0], mail.message_id) for mail in sandbox.received()
    }
    assert all(each.state is State.SENT and each.provider == "smtp-a" and each.code == "250 2.0.0" for each in ledger)
    assert workspace.publishing.campaign(campaign.id).status == "finished"
    assert workspace.publishing.counts(campaign.id) == Counts(audience=40, sent=40)


ONLY_THREE_IN_SENDING = """
    CREATE TRIGGER only_three AFTER UPDATE OF state ON delivery
    WHEN new.state = 'sending' AND (SELECT count(*) FROM delivery WHERE state = 'sending') > 3
    BEGIN SELECT RAISE(ABORT, 'more in sending than there are connections'); END"""


@pytest.mark.parametrize(
    "faults",
    [
        [],
        [Fault("rcpt", "reply", reply="450 4.2.0 greylisted", recipient="p1*"), Fault("dot", "slow", seconds=0.01)],
        [Fault("dot", "reply", server="smtp-a", reply="421 4.3.2 shutting down", times=9)],
        [Fault("data", "drop", server="smtp-a", times=9), Fault("dot", "slow", seconds=0.01)],
    ],
    ids=["well", "slow and refused", "taken over after the body", "taken over before it"],
)
async def test_never_more_rows_in_sending_than_connections_that_carry_them(
    workspace_for: OpenWorkspace, sandbox: RunningSandbox, faults: list[Fault]
) -> None:
    sandbox.set_faults(faults)
    workspace = workspace_for(connections=3)
    campaign = started_campaign(workspace, 60)
    workspace.db.write(lambda db: db.execute(ONLY_THREE_IN_SENDING))
    await run_once(workspace)
    counts = workspace.publishing.counts(campaign.id)
    assert counts.sent + counts.deferred == 60 and counts.sent >= 40
    assert set(received(sandbox).values()) == {1}


PROVABLY_NOT_TAKEN = [
    Fault("connect", "refuse", server="smtp-a"),
    Fault("connect", "drop", server="smtp-a"),
    Fault("connect", "reply", server="smtp-a", reply="421 4.3.2 too busy"),
    Fault("mail", "drop", server="smtp-a"),
    Fault("mail", "reply", server="smtp-a", reply="451 4.3.0 try later"),
    Fault("rcpt", "drop", server="smtp-a"),
    Fault("rcpt", "reply", server="smtp-a", reply="421 4.7.0 closing"),
    Fault("data", "drop", server="smtp-a"),
    Fault("data", "reply", server="smtp-a", reply="451 4.3.0 no room"),
    Fault("dot", "reply", server="smtp-a", reply="421 4.3.2 shutting down"),
]


@pytest.mark.parametrize(
    "fault", PROVABLY_NOT_TAKEN, ids=lambda fault: f"{fault.phase}-{fault.action}-{fault.reply[:3]}"
)
async def test_what_the_first_server_provably_did_not_take_the_second_delivers(
    workspace_for: OpenWorkspace, sandbox: RunningSandbox, fault: Fault
) -> None:
    sandbox.set_faults([fault])
    workspace = workspace_for()
    campaign = started_campaign(workspace, 8)
    await run_once(workspace)
    assert workspace.publishing.counts(campaign.id) == Counts(audience=8, sent=8)
    assert received(sandbox) == Counter(states(workspace, campaign.id).keys())
    assert {mail.server for mail in sandbox.received()} == {"smtp-b"}


@pytest.mark.parametrize("action", ["drop", "hang"])
async def test_what_may_have_gone_is_unknown_and_the_second_server_gets_nothing(
    workspace_for: OpenWorkspace, sandbox: RunningSandbox, action: str
) -> None:
    sandbox.set_faults([Fault("dot", action, server="smtp-a", times=2)])
    workspace = workspace_for(connections=1, final_reply_seconds=0.3)
    campaign = started_campaign(workspace, 6)
    await run_once(workspace)
    assert workspace.publishing.counts(campaign.id) == Counts(audience=6, sent=4, unknown=2)
    assert set(received(sandbox).values()) == {1}
    assert {mail.server for mail in sandbox.received()} == {"smtp-a"}
    # Nothing but a person's word sends it again.
    assert (await run_once(workspace)).status == "done"
    assert set(received(sandbox).values()) == {1}


async def test_a_resend_on_a_persons_word_carries_the_same_message_id(
    workspace_for: OpenWorkspace, sandbox: RunningSandbox
) -> None:
    sandbox.set_faults([Fault("dot", "drop", times=1)])
    workspace = workspace_for("smtp-a", connections=1)
    campaign = started_campaign(workspace, 1)
    await run_once(workspace)
    assert workspace.publishing.resolve(campaign.id, State.QUEUED) == 1
    await run_once(workspace)
    assert workspace.publishing.counts(campaign.id) == Counts(audience=1, sent=1)
    assert len(sandbox.received()) == 2 and len({mail.message_id for mail in sandbox.received()}) == 1


REPLIES = [
    ("rcpt", "550 5.1.1 no such user", State.FAILED, "bounced"),
    ("rcpt", "450 4.2.0 greylisted", State.DEFERRED, ""),
    ("rcpt", "452 4.2.2 mailbox full", State.DEFERRED, ""),
    ("dot", "554 5.7.1 looks like spam", State.FAILED, ""),
    ("dot", "552 5.3.4 too big", State.FAILED, ""),
]


@pytest.mark.parametrize(("phase", "reply", "state", "suppressed"), REPLIES)
async def test_a_reply_about_one_person_concerns_only_that_person(
    workspace_for: OpenWorkspace, sandbox: RunningSandbox, phase: str, reply: str, state: State, suppressed: str
) -> None:
    sandbox.set_faults([Fault(phase, "reply", reply=reply, recipient="p1@*")])
    workspace = workspace_for()
    campaign = started_campaign(workspace, 4)
    report = await run_once(workspace)
    assert states(workspace, campaign.id) == {
        email: state if email == "p1@acme.example" else State.SENT for email in [f"p{n}@acme.example" for n in range(4)]
    }
    concerned = next(each for each in workspace.publishing.deliveries(campaign.id) if each.email.startswith("p1"))
    assert concerned.code.startswith(reply[:3]) and concerned.reason
    assert {mail.server for mail in sandbox.received()} == {"smtp-a"}, "it never fails over"
    assert workspace.db.read(lambda db: suppressions.reason_for(db, "p1@acme.example")) == suppressed
    assert report.status == ("waiting" if state is State.DEFERRED else "done")


async def test_three_refusals_of_the_content_in_a_row_pause_the_campaign(
    workspace_for: OpenWorkspace, sandbox: RunningSandbox
) -> None:
    sandbox.set_faults([Fault("dot", "reply", reply="554 5.7.1 blocked for spam")])
    workspace = workspace_for("smtp-a", connections=1)
    campaign = started_campaign(workspace, 10)
    await run_once(workspace)
    paused = workspace.publishing.campaign(campaign.id)
    assert paused.status == "paused" and "5.7.1" in paused.pause_reason
    assert workspace.publishing.counts(campaign.id) == Counts(audience=10, queued=7, failed=3)
    assert workspace.db.read(suppressions.listed) == []
    sandbox.set_faults([])
    workspace.publishing.resume(campaign.id)
    assert workspace.publishing.retry(campaign.id) == 3
    report = await run_once(workspace)
    assert report.status == "waiting" and "because it refuses what is sent" in report.reason
    await workspace.registry.reset("smtp-a")
    await run_once(workspace)
    assert workspace.publishing.counts(campaign.id) == Counts(audience=10, sent=10)


async def test_a_campaign_whose_messages_cannot_be_built_pauses_and_for_one_person_it_does_not(
    workspace_for: OpenWorkspace, sandbox: RunningSandbox
) -> None:
    from aicmo.publishing import Draft

    workspace = workspace_for("smtp-a", connections=1)
    for number in range(14):
        workspace.crm.add(f"p{number:02}@x.example", company="Acme")
    campaign = started_campaign(workspace, [], Draft("Hi", "at {{ company }}"))
    lost = "UPDATE contact SET company = '' WHERE address = 'p03@x.example' OR address > 'p06@x.example'"
    workspace.db.write(lambda db: db.execute(lost))
    await run_once(workspace)
    paused = workspace.publishing.campaign(campaign.id)
    assert paused.status == "paused"
    assert paused.pause_reason == "5 messages in a row could not be built: company is missing."
    counts = workspace.publishing.counts(campaign.id)
    assert counts.sent == 6 and counts.failed >= 6 and counts.failed + counts.queued == 8


async def test_a_pause_takes_effect_within_one_message(workspace_for: OpenWorkspace, sandbox: RunningSandbox) -> None:
    workspace = workspace_for("smtp-a", connections=2, limits={"second": 20})
    campaign = started_campaign(workspace, 60)
    running = asyncio.create_task(run_once(workspace))
    await until(sandbox.received)
    await asyncio.to_thread(workspace.publishing.pause, campaign.id)
    seen = len(sandbox.received())
    await running
    counts = workspace.publishing.counts(campaign.id)
    assert counts.sent == len(sandbox.received()) <= seen + 2
    assert counts.sent + counts.queued == 60
    workspace.publishing.cancel(campaign.id)
    after = workspace.publishing.counts(campaign.id)
    assert (after.sent, after.cancelled) == (counts.sent, counts.queued)
    with pytest.raises(IllegalTransition):
        workspace.publishing.resume(campaign.id)


async def test_an_opt_out_takes_effect_before_the_next_message(
    workspace_for: OpenWorkspace, sandbox: RunningSandbox
) -> None:
    from aicmo.store.suppressions import SuppressionReason

    workspace = workspace_for("smtp-a")
    campaign = started_campaign(workspace, 3)
    await workspace.db.awrite(
        lambda db: suppressions.add(
            db, "p1@acme.example", SuppressionReason.UNSUBSCRIBED, "test", workspace.clock.now()
        )
    )
    await run_once(workspace)
    assert states(workspace, campaign.id)["p1@acme.example"] is State.SUPPRESSED
    assert "p1@acme.example" not in received(sandbox)


async def test_a_days_allowance_that_is_used_up_lets_the_next_server_take_over(
    workspace_for: OpenWorkspace, sandbox: RunningSandbox
) -> None:
    workspace = workspace_for(limits={"day": 5})
    campaign = started_campaign(workspace, 12)
    report = await run_once(workspace)
    assert Counter(mail.server for mail in sandbox.received()) == {"smtp-a": 5, "smtp-b": 5}
    assert report.status == "waiting" and report.next_at is not None
    counts = workspace.publishing.counts(campaign.id)
    assert counts.sent == 10 and counts.queued + counts.deferred == 2


async def test_without_a_usable_server_nobody_is_used_up(workspace_for: OpenWorkspace, sandbox: RunningSandbox) -> None:
    sandbox.set_faults([Fault("connect", "refuse")])
    workspace = workspace_for("smtp-a")
    campaign = started_campaign(workspace, 200)
    report = await run_once(workspace)
    assert report.status == "waiting" and report.reason
    counts = workspace.publishing.counts(campaign.id)
    assert counts.queued >= 190 and counts.failed == counts.unknown == 0


async def test_a_message_that_cannot_be_filled_fails_alone_and_says_why(
    workspace_for: OpenWorkspace, sandbox: RunningSandbox
) -> None:
    from aicmo.publishing import Draft

    workspace = workspace_for("smtp-a")
    for email, company in [("a@x.example", "Acme"), ("b@x.example", "Beta")]:
        workspace.crm.add(email, company=company)
    content = workspace.contents.create("email", "N", Draft("Hi", "at {{ company }}"))
    campaign = workspace.publishing.create_campaign("N", content.id, "")
    workspace.publishing.start(campaign.id, approve=True)
    workspace.db.write(lambda db: db.execute("UPDATE contact SET company = '' WHERE address = 'b@x.example'"))
    await run_once(workspace)
    failed = next(each for each in workspace.publishing.deliveries(campaign.id) if each.state is State.FAILED)
    assert (failed.email, failed.reason) == ("b@x.example", "company is missing.")
    assert received(sandbox) == {"a@x.example": 1}


async def test_a_sender_that_is_stopped_leaves_nothing_behind_in_doubt(
    workspace_for: OpenWorkspace, sandbox: RunningSandbox
) -> None:
    workspace = workspace_for("smtp-a", limits={"second": 30})
    campaign = started_campaign(workspace, 200)
    outbox = workspace.publishing.outbox()
    running = asyncio.create_task(outbox.run(patience_s=60))
    await until(sandbox.received)
    outbox.stop()
    report = await running
    await workspace.aclose()
    assert report.status == "stopped"
    reopened = workspace_for("smtp-a")
    counts = reopened.publishing.counts(campaign.id)
    assert counts.unknown == counts.sending == 0
    assert counts.sent == len(sandbox.received()) < 200
    await run_once(reopened)
    assert reopened.publishing.counts(campaign.id).sent == 200
    assert set(received(sandbox).values()) == {1}


async def test_after_a_stop_no_message_begins_that_was_only_made_ready(
    workspace_for: OpenWorkspace, sandbox: RunningSandbox
) -> None:
    sandbox.set_faults([Fault("dot", "slow", seconds=0.2)])
    workspace = workspace_for("smtp-a", connections=1)
    campaign = started_campaign(workspace, 5)
    outbox = workspace.publishing.outbox()
    running = asyncio.create_task(outbox.run())
    await until(sandbox.received)
    outbox.stop()
    assert (await running).status == "stopped"
    assert workspace.publishing.counts(campaign.id) == Counts(audience=5, sent=1, queued=4)
    assert len(sandbox.received()) == 1
    await workspace.aclose()


async def test_a_send_that_is_cut_off_is_unknown_at_once(workspace_for: OpenWorkspace, sandbox: RunningSandbox) -> None:
    sandbox.set_faults([Fault("dot", "hang", times=1)])
    workspace = workspace_for("smtp-a", connections=1)
    campaign = started_campaign(workspace, 1)
    running = asyncio.create_task(run_once(workspace))
    await until(sandbox.received)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    workspace.db.write(lambda db: recover(db, workspace.clock.now()))
    assert workspace.publishing.counts(campaign.id) == Counts(audience=1, unknown=1)


def hold(lock: Path, held: object, release: object) -> None:
    with sender_lock(lock) as got:
        assert got
        held.set()  # type: ignore[attr-defined]
        release.wait()  # type: ignore[attr-defined]


async def test_a_second_sender_says_locked_and_does_nothing(
    workspace_for: OpenWorkspace, sandbox: RunningSandbox
) -> None:
    workspace = workspace_for("smtp-a")
    campaign = started_campaign(workspace, 3)
    spawn = multiprocessing.get_context("spawn")
    held, release = spawn.Event(), spawn.Event()
    other = spawn.Process(target=hold, args=(workspace.paths.sender_lock, held, release))
    other.start()
    held.wait()
    assert (await run_once(workspace)).status == "locked"
    assert workspace.publishing.counts(campaign.id) == Counts(audience=3, queued=3)
    assert not sandbox.received()
    release.set()
    other.join()
    other.close()
    assert (await run_once(workspace)).status == "done"


async def test_a_scheduled_campaign_begins_when_its_time_has_come_and_asks_when_it_is_late(
    workspace_for: OpenWorkspace, sandbox: RunningSandbox
) -> None:
    from datetime import timedelta

    workspace = workspace_for("smtp-a")
    ids = []
    workspace.crm.add("p@acme.example")
    for _ in range(2):
        content = workspace.contents.create("email", "N", DRAFT)
        campaign = workspace.publishing.create_campaign("N", content.id, "")
        at = workspace.clock.now() + timedelta(hours=1)
        assert workspace.publishing.start(campaign.id, approve=True, at=at).status == "scheduled"
        ids.append(campaign.id)
    assert (await run_once(workspace)).counts == {}
    for campaign_id, hours in zip(ids, (1, 13), strict=True):
        past = (workspace.clock.now() - timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        workspace.db.write(
            lambda db, at=past, id=campaign_id: db.execute(
                "UPDATE campaign SET scheduled_at = ? WHERE id = ?", (at, id)
            )  # type: ignore[misc]
        )
    await run_once(workspace)
    begun, late = (workspace.publishing.campaign(each) for each in ids)
    assert begun.status == "finished"
    assert late.status == "paused" and "late" in late.pause_reason
    workspace.publishing.resume(late.id)
    await run_once(workspace)
    assert workspace.publishing.counts(late.id) == Counts(audience=1, sent=1)


async def test_a_worker_that_loses_a_cancellation_is_cut_off_all_the_same() -> None:
    """As ``asyncio.wait_for`` of Python 3.11 does when an answer and the cancellation come together."""

    async def deaf_once() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)
        await asyncio.sleep(3600)

    worker = asyncio.create_task(deaf_once())
    await asyncio.sleep(0)
    await cut_off([worker])
    assert worker.cancelled()
