"""Full disks, jumping clocks, sleeping laptops, vanishing folders: each ends in a state that says so, and nobody gets
two. The table is in docs/sending.md."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from aicmo.clock import SystemClock
from aicmo.errors import StoreError
from aicmo.paths import Paths
from aicmo.publishing import Counts, State
from aicmo.publishing.sending.outbox import STOPPED, RunReport
from aicmo.sandbox import Fault, RunningSandbox
from aicmo.store import claiming
from aicmo.workspace import Workspace, open_workspace
from bench.mailing import furnish, new_campaign, open_house

from .conftest import PATIENCE_S, OpenWorkspace, config_for, received, started_campaign, until
from .hand_clock import Movable


async def all_arrive_once(workspace: Workspace, sandbox: RunningSandbox, campaign_id: int) -> None:
    """Go on with a fresh sender, let a person say that the unknown went, and see everybody served once."""
    sandbox.set_faults([])
    await workspace.publishing.outbox().run()
    counts = workspace.publishing.counts(campaign_id)
    assert counts.sent + counts.unknown == counts.audience
    assert set(received(sandbox).values()) == {1}
    unknown = {each.email for each in workspace.publishing.deliveries(campaign_id, state=State.UNKNOWN)}
    assert set(received(sandbox)) | unknown == {f"p{number}@acme.example" for number in range(counts.audience)}
    await workspace.services.aclose()


# --- the disk ---------------------------------------------------------------------------------------------------------

FULL_AT = {
    "claimed": (0, Counts(audience=3, queued=3)),
    "sending": (0, Counts(audience=3, queued=3)),
    "sent": (1, Counts(audience=3, queued=2, unknown=1)),
}
"""The write for which the disk has no room: how many bodies have left by then, and what the next sender makes of it."""


def fill_disk(db: sqlite3.Connection, at: str) -> None:
    """From the first move to ``at`` on, SQLite finds no room for what it has to write."""
    db.execute("CREATE TABLE IF NOT EXISTS ballast (bytes BLOB)")
    db.execute(f"PRAGMA max_page_count = {db.execute('PRAGMA page_count').fetchone()[0] + 20}")
    db.execute(
        f"""CREATE TEMP TRIGGER full AFTER UPDATE OF state ON main.delivery WHEN new.state = '{at}'
            BEGIN INSERT INTO ballast VALUES (zeroblob(1000000)); END"""
    )


@pytest.mark.parametrize("at", FULL_AT)
async def test_a_full_disk_stops_the_sender_and_no_body_leaves_that_is_not_written_down(
    workspace_for: OpenWorkspace, sandbox: RunningSandbox, at: str
) -> None:
    bodies, after = FULL_AT[at]
    workspace = workspace_for("smtp-a", connections=1)
    campaign = started_campaign(workspace, 3)
    workspace.db.write(lambda db: fill_disk(db, at))

    with pytest.raises(StoreError) as told:
        await workspace.publishing.outbox().run()

    assert "The disk refused a write" in told.value.message and "full" in told.value.message
    assert told.value.hint == f"Free some space; nothing half-written was kept. {STOPPED}" and told.value.retryable
    assert len(sandbox.received()) == bodies
    await workspace.aclose()
    with_room = workspace_for("smtp-a", connections=1)
    with_room.db.write(lambda db: claiming.recover(db, with_room.clock.now()))  # as the next sender does at first
    assert with_room.publishing.counts(campaign.id) == after
    await all_arrive_once(with_room, sandbox, campaign.id)


async def test_a_database_that_becomes_read_only_sends_nothing_more(
    workspace_for: OpenWorkspace, sandbox: RunningSandbox
) -> None:
    workspace = workspace_for("smtp-a", connections=1, limits={"second": 20})
    campaign = started_campaign(workspace, 40)
    running = asyncio.create_task(workspace.publishing.outbox().run(patience_s=60))
    await until(sandbox.received)
    workspace.db.submit(lambda db: db.execute("PRAGMA query_only = ON"))
    with pytest.raises(StoreError) as told:
        await running
    assert "cannot be opened for writing" in told.value.message and STOPPED in told.value.hint
    gone = len(sandbox.received())
    await workspace.aclose()
    assert gone < 40
    again = workspace_for("smtp-a", connections=1)
    await all_arrive_once(again, sandbox, campaign.id)


@pytest.mark.parametrize("what", ["moved", "deleted", "replaced"])
async def test_a_folder_that_vanishes_under_the_sender_stops_it(
    sandbox: RunningSandbox, tmp_path: Path, what: str
) -> None:
    paths = Paths(tmp_path / "config.toml", tmp_path / "data")
    config = config_for(sandbox, "smtp-a", connections=1, limits={"second": 20})
    async with open_workspace(paths, config) as workspace:
        campaign = started_campaign(workspace, 40)
        running = asyncio.create_task(workspace.publishing.outbox().run(patience_s=60))
        await until(sandbox.received)
        paths.data_dir.rename(tmp_path / "elsewhere")
        if what == "replaced":
            shutil.copytree(tmp_path / "elsewhere", paths.data_dir)
        if what == "deleted":
            shutil.rmtree(tmp_path / "elsewhere")
        gone = len(sandbox.received())
        with pytest.raises(StoreError) as told:
            await running
        assert "was moved, deleted or replaced" in told.value.message and STOPPED in told.value.hint
        assert len(sandbox.received()) <= gone + 2, "one on its way, and one that was just being written down"
    if what == "moved":
        moved = Paths(paths.config_file, tmp_path / "elsewhere")
        async with open_workspace(moved, config_for(sandbox, "smtp-a")) as workspace:
            await all_arrive_once(workspace, sandbox, campaign.id)


# --- clocks -----------------------------------------------------------------------------------------------------------


async def with_a_clock(sandbox: RunningSandbox, tmp_path: Path, clock: Movable, **settings: object) -> Workspace:
    paths = Paths(tmp_path / "config.toml", tmp_path / "data")
    return open_workspace(paths, config_for(sandbox, "smtp-a", connections=1, **settings), clock=clock)


async def test_a_clock_set_back_by_an_hour_amid_a_send_holds_nobody_up(sandbox: RunningSandbox, tmp_path: Path) -> None:
    clock = Movable()
    async with await with_a_clock(sandbox, tmp_path, clock, limits={"second": 20}) as workspace:
        campaign = started_campaign(workspace, 30)
        running = asyncio.create_task(workspace.publishing.outbox().run(patience_s=60))
        await until(lambda: len(sandbox.received()) >= 10)
        clock.ahead = timedelta(hours=-1)
        async with asyncio.timeout(PATIENCE_S):
            report = await running
        assert report.status == "done"
        assert workspace.publishing.counts(campaign.id) == Counts(audience=30, sent=30)
        assert set(received(sandbox).values()) == {1}


async def test_a_clock_set_back_between_two_runs_neither_holds_up_nor_lets_more_through(
    sandbox: RunningSandbox, tmp_path: Path
) -> None:
    clock = Movable()
    async with await with_a_clock(sandbox, tmp_path, clock, limits={"minute": 2, "day": 7}) as workspace:
        campaign = started_campaign(workspace, 12)
        outbox = workspace.publishing.outbox
        assert (await outbox().run(for_room_s=0)).counts["sent"] == 2
        clock.ahead = timedelta(hours=-1)
        report = await outbox().run(for_room_s=0)
        assert report.counts.get("sent", 0) == 0 and report.status == "waiting"
        assert report.next_at is not None and report.next_at - clock.now() <= timedelta(minutes=1)
        sent = 2
        for _ in range(3):
            clock.ahead += timedelta(seconds=61)
            sent += (await outbox().run(for_room_s=0)).counts.get("sent", 0)
        assert sent == len(sandbox.received()) == 7, "the day's allowance holds"
        assert workspace.publishing.counts(campaign.id).sent == 7


async def test_a_retry_keeps_its_distance_when_the_clock_is_set_back(sandbox: RunningSandbox, tmp_path: Path) -> None:
    sandbox.set_faults([Fault("rcpt", "reply", reply="450 4.2.0 greylisted", times=1)])
    clock = Movable()
    async with await with_a_clock(sandbox, tmp_path, clock) as workspace:
        campaign = started_campaign(workspace, 1)
        first = await workspace.publishing.outbox().run()
        assert first.next_at is not None
        clock.ahead = timedelta(hours=-1)
        second = await workspace.publishing.outbox().run()
        assert second.next_at is not None and second.next_at - clock.now() <= timedelta(minutes=5, seconds=1)
        clock.ahead += timedelta(minutes=5, seconds=5)
        await workspace.publishing.outbox().run()
        assert workspace.publishing.counts(campaign.id) == Counts(audience=1, sent=1)


async def test_the_night_of_a_summer_time_change_begins_a_campaign_once_and_at_its_moment(
    sandbox: RunningSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        at = datetime.fromisoformat("2026-10-25T02:30+01:00")  # the second half past two of that night
        clock = Movable()
        clock.ahead = at - timedelta(hours=2) - SystemClock().now()
        async with await with_a_clock(sandbox, tmp_path, clock) as workspace:
            workspace.crm.add("p0@acme.example")
            campaign = started_later(workspace, at)
            for ahead, state in ((-2, "scheduled"), (-1, "scheduled"), (0, "finished"), (1, "finished")):
                clock.ahead = at + timedelta(hours=ahead, seconds=1) - SystemClock().now()
                await workspace.publishing.outbox().run()
                assert workspace.publishing.campaign(campaign).status == state, f"{ahead} hours"
            assert received(sandbox) == {"p0@acme.example": 1}
    finally:
        monkeypatch.undo()
        time.tzset()


def started_later(workspace: Workspace, at: datetime) -> int:
    from .conftest import DRAFT

    content = workspace.contents.create("email", "News", DRAFT)
    campaign = workspace.publishing.create_campaign("News", content.id, "")
    workspace.publishing.start(campaign.id, approve=True, at=at)
    return campaign.id


@pytest.mark.parametrize(
    ("phase", "left"),
    [("data", Counts(audience=4, sent=4)), ("dot", Counts(audience=4, sent=3, unknown=1))],
    ids=["before the body", "after the dot"],
)
async def test_a_laptop_that_sleeps_amid_a_message_wakes_to_a_dead_line_and_sends_nothing_twice(
    sandbox: RunningSandbox, tmp_path: Path, phase: str, left: Counts
) -> None:
    clock = Movable()
    sandbox.set_faults([Fault(phase, "hang", times=1)])
    settings = {"timeout_seconds": 0.5, "final_reply_seconds": 0.5}
    async with await with_a_clock(sandbox, tmp_path, clock, **settings) as workspace:
        campaign = started_campaign(workspace, 4)
        late = started_later(workspace, clock.now() + timedelta(hours=1))
        running = asyncio.create_task(workspace.publishing.outbox().run())
        await until(lambda: sandbox.status().smtp["smtp-a"].open)
        clock.ahead += timedelta(hours=14)  # the lid was closed; what is measured stood still meanwhile
        await running
        clock.ahead += timedelta(minutes=1)
        await workspace.publishing.outbox().run()
        assert workspace.publishing.counts(campaign.id) == left
        assert set(received(sandbox).values()) == {1}
        asked = workspace.publishing.campaign(late)
        assert asked.status == "paused" and "13 hours late" in asked.pause_reason


# --- network and signals ----------------------------------------------------------------------------------------------


async def test_a_network_that_goes_away_leaves_everybody_queued_and_says_so(
    workspace_for: OpenWorkspace, sandbox: RunningSandbox
) -> None:
    workspace = workspace_for("smtp-a", connections=1, limits={"second": 20})
    campaign = started_campaign(workspace, 30)
    running = asyncio.create_task(workspace.publishing.outbox().run())
    await until(sandbox.received)
    sandbox.set_faults([Fault("connect", "refuse"), Fault("mail", "drop")])
    report: RunReport = await running
    assert report.status == "waiting" and report.reason
    counts = workspace.publishing.counts(campaign.id)
    assert counts.failed == counts.unknown == 0 and counts.sent == len(sandbox.received())
    await workspace.aclose()


@pytest.mark.parametrize("signals", [(signal.SIGTERM,), (signal.SIGINT, signal.SIGTERM)], ids=["asked", "urged"])
def test_a_program_that_is_told_to_end_says_what_it_left(
    sandbox: RunningSandbox, tmp_path: Path, signals: tuple[signal.Signals, ...]
) -> None:
    paths = furnish(tmp_path, [sandbox.smtp["smtp-a"].port], connections=1, people=3)
    campaign = new_campaign(paths)
    with open_house(paths) as workspace:
        workspace.publishing.start(campaign, approve=True)
    urged = len(signals) > 1
    sandbox.set_faults([Fault("dot", "hang", times=1) if urged else Fault("dot", "slow", seconds=0.5)])
    program = [str(Path(sys.executable).with_name("aicmo")), "--config", str(paths.config_file)]
    process = subprocess.Popen(
        [*program, "--data-dir", str(paths.data_dir), "run", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    gives_up_at = time.monotonic() + PATIENCE_S
    while not sandbox.received() and time.monotonic() < gives_up_at:
        time.sleep(0.01)
    for each in signals:
        process.send_signal(each)
    out, err = process.communicate(timeout=PATIENCE_S)
    with open_house(paths) as workspace:
        counts = workspace.publishing.counts(campaign)
    if urged:
        assert process.returncode == 130 and b"aicmo run goes on with it" in err
        assert counts == Counts(audience=3, queued=2, sending=1), "the next sender calls it unknown"
    else:
        assert process.returncode == 130 and json.loads(out)["status"] == "stopped"
        assert counts == Counts(audience=3, sent=1, queued=2)
    assert len(sandbox.received()) == 1
