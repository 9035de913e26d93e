"""Caps hold exactly, counted from the ledger: over restarts, over processes, while the clock moves."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from aicmo.clock import SystemClock, parse_rfc3339
from aicmo.config import Config
from aicmo.publishing import State
from aicmo.sandbox import Fault, RunningSandbox
from aicmo.store.gates import LIMIT_WINDOWS
from aicmo.workspace import Workspace

from .conftest import started_campaign
from .hand_clock import NOON, HandClock, config_with, open_there, run_once


def let_go(workspace: Workspace) -> list[tuple[datetime, str]]:
    """When each body left, and to which domain."""
    rows = workspace.db.read(
        lambda db: db.execute(
            "SELECT sending_at, domain FROM delivery WHERE sending_at IS NOT NULL ORDER BY sending_at"
        ).fetchall()
    )
    return [(parse_rfc3339(row["sending_at"]), row["domain"]) for row in rows]


def busiest(moments: list[datetime], span: timedelta) -> int:
    """The most that left within any span of that length."""
    return max((sum(begin <= each < begin + span for each in moments) for begin in moments), default=0)


async def send_it_all(folder: Path, config: Config, clock: HandClock) -> list[int]:
    """Run again and again, each time as a new process would, at the moment the one before named; what each sent."""
    sent = []
    for _ in range(60):
        workspace = open_there(folder, config, clock)
        try:
            report = await run_once(workspace)
        finally:
            await workspace.aclose()
        sent.append(report.counts.get("sent", 0))
        if report.status == "done":
            return sent
        assert report.status == "waiting" and report.next_at is not None
        clock.at = max(report.next_at, clock.at)
    raise AssertionError(f"it never ended: {sent}")


@pytest.mark.parametrize(
    ("limits", "people", "runs"),
    [
        ({"second": 2}, 7, [2, 2, 2, 1]),
        ({"minute": 3}, 8, [3, 3, 2]),
        ({"hour": 4}, 9, [4, 4, 1]),
        ({"day": 5}, 12, [5, 5, 2]),
        ({"second": 2, "minute": 5}, 11, [2, 2, 1, 2, 2, 1, 1]),
    ],
    ids=str,
)
async def test_an_accounts_limits_hold_exactly_over_restarts(
    tmp_path: Path, sandbox: RunningSandbox, limits: dict[str, int], people: int, runs: list[int]
) -> None:
    clock, config = HandClock(), config_with(sandbox, "smtp-a", limits=limits)
    workspace = open_there(tmp_path, config, clock)
    started_campaign(workspace, people)
    sent = await send_it_all(tmp_path, config, clock)
    assert [each for each in sent if each] == runs, "not one more, and not one less"
    moments = [at for at, _ in let_go(workspace)]
    for window, most in limits.items():
        assert busiest(moments, LIMIT_WINDOWS[window]) == most
    assert set(Counter(mail.rcpt_to[0] for mail in sandbox.received()).values()) == {1}
    workspace.close()


async def test_a_capped_domain_waits_in_slots_of_its_own_and_holds_up_nobody_else(
    tmp_path: Path, sandbox: RunningSandbox
) -> None:
    caps = {"domains": {"gmail.com": {"minute": 3, "hour": 7}, "*": {"day": 50}}}
    clock, config = HandClock(), config_with(sandbox, "smtp-a", sending=caps)
    workspace = open_there(tmp_path, config, clock)
    people = [f"g{n}@gmail.com" for n in range(12)] + [f"p{n}@acme.example" for n in range(10)]
    campaign = started_campaign(workspace, people)
    first = await run_once(workspace)
    assert first.counts["sent"] == 13, "all of acme, and as many of gmail as may"
    waiting = [each for each in workspace.publishing.deliveries(campaign.id) if each.state is State.DEFERRED]
    slots = sorted((parse_rfc3339(each.retry_at) - NOON).total_seconds() for each in waiting)
    assert slots == [60, 60, 60, 120, 3600, 3600, 3600, 3660, 3660], "each visited once, when its turn has come"
    assert {(each.cause, each.attempts) for each in waiting} == {("limit", 0)}
    await send_it_all(tmp_path, config, clock)
    to_gmail = [at for at, domain in let_go(workspace) if domain == "gmail.com"]
    assert len(to_gmail) == 12
    assert busiest(to_gmail, timedelta(minutes=1)) == 3 and busiest(to_gmail, timedelta(hours=1)) == 7
    assert to_gmail[-1] - NOON == timedelta(seconds=3660)
    workspace.close()


async def test_a_long_capped_queue_is_put_off_without_holding_up_who_comes_behind_it(
    tmp_path: Path, sandbox: RunningSandbox
) -> None:
    clock, config = HandClock(), config_with(sandbox, "smtp-a", sending={"domains": {"gmail.com": {"minute": 1}}})
    workspace = open_there(tmp_path, config, clock)
    started_campaign(workspace, [f"g{n}@gmail.com" for n in range(2500)] + ["last@acme.example"])
    report = await run_once(workspace)
    assert report.counts["sent"] == 2
    assert {mail.rcpt_to[0] for mail in sandbox.received()} == {"g0@gmail.com", "last@acme.example"}
    visits = workspace.db.read(lambda db: db.execute("SELECT max(claim) FROM delivery WHERE state = 'deferred'"))
    assert visits.fetchone()[0] == 0, "none of them was taken to find that out"
    workspace.close()


async def test_a_new_account_warms_up_by_the_days_on_which_it_really_sent(
    tmp_path: Path, sandbox: RunningSandbox
) -> None:
    clock = HandClock()
    config = config_with(sandbox, "smtp-a", warm_up=[4, 8, 16], limits={"day": 20})
    workspace = open_there(tmp_path, config, clock)
    started_campaign(workspace, 90)
    each_day = []
    for day in range(7):
        clock.at = NOON + timedelta(days=day, hours=day)  # a little later each day: yesterday's are a day ago
        if day == 2:
            each_day.append(0)  # nothing was sent on that day, and so it does not count
            continue
        again = open_there(tmp_path, config, clock)
        if day == 3:  # nor does one on which hardly anything was
            again.db.write(hold_back_all_but(7))
        each_day.append((await run_once(again)).counts.get("sent", 0))
        again.db.write(lambda db: db.execute("UPDATE delivery SET state = 'queued' WHERE state = 'cancelled'"))
        await again.aclose()
    assert each_day == [4, 8, 0, 7, 16, 20, 20]
    workspace.close()


def hold_back_all_but(most: int) -> Any:
    return lambda db: db.execute(
        """UPDATE delivery SET state = 'cancelled' WHERE state IN ('queued', 'deferred') AND id NOT IN (
               SELECT id FROM delivery WHERE state IN ('queued', 'deferred') LIMIT ?)""",
        (most,),
    )


async def test_a_troubled_day_does_not_let_a_new_account_grow(tmp_path: Path, sandbox: RunningSandbox) -> None:
    clock = HandClock()
    config = config_with(sandbox, "smtp-a", warm_up=[10, 20], limits={"day": 30}, connections=1)
    workspace = open_there(tmp_path, config, clock)
    started_campaign(workspace, 60)
    sandbox.set_faults([Fault("rcpt", "reply", reply="450 4.2.0 later", recipient=f"p{n}@*") for n in (1, 2)])
    assert (await run_once(workspace)).counts["sent"] == 10
    sandbox.set_faults([])
    each_day = []
    for day in (1, 2):
        clock.at = NOON + timedelta(days=day, hours=day)
        again = open_there(tmp_path, config, clock)
        each_day.append((await run_once(again)).counts["sent"])
        await again.aclose()
    assert each_day == [10, 20]
    workspace.close()


async def test_of_two_senders_at_once_one_stands_by_and_the_caps_are_those_of_one(
    tmp_path: Path, sandbox: RunningSandbox
) -> None:
    sandbox.set_faults([Fault("dot", "slow", seconds=0.05)])
    clock = HandClock()
    config = config_with(sandbox, "smtp-a", limits={"minute": 5}, sending={"domains": {"acme.example": {"hour": 9}}})
    one, other = (open_there(tmp_path, config, clock) for _ in range(2))
    started_campaign(one, 12)
    reports = []
    for first, second in ((one, other), (other, one)):
        reports.append(await asyncio.gather(run_once(first), run_once(second)))
        clock.forward(minutes=1)
    assert [sorted(report.status for report in pair) for pair in reports] == [["locked", "waiting"]] * 2
    moments = [at for at, _ in let_go(one)]
    assert len(moments) == 9 and busiest(moments, timedelta(minutes=1)) == 5
    await one.aclose()
    await other.aclose()


def run_in_a_process(folder: Path, config: dict[str, Any], now: datetime, told: Any) -> None:
    async def run() -> dict[str, int]:
        workspace = open_there(folder, Config.model_validate(config), HandClock(now))
        try:
            return dict((await run_once(workspace)).counts)
        finally:
            await workspace.aclose()

    told.put(asyncio.run(run()))


async def test_processes_that_take_turns_count_each_others_messages(tmp_path: Path, sandbox: RunningSandbox) -> None:
    clock = HandClock()
    caps = {"domains": {"acme.example": {"hour": 8}}}
    config = config_with(sandbox, "smtp-a", limits={"minute": 5}, sending=caps)
    workspace = open_there(tmp_path, config, clock)
    started_campaign(workspace, 20)
    spawn = multiprocessing.get_context("spawn")

    def in_another_process() -> int:
        told = spawn.Queue()
        said = config.model_dump(exclude_unset=True)
        child = spawn.Process(target=run_in_a_process, args=(tmp_path, said, clock.at, told))
        child.start()
        counts = told.get(timeout=60)
        child.join()
        child.close()
        return int(counts.get("sent", 0))

    sent = [await asyncio.to_thread(in_another_process)]
    sent.append((await run_once(workspace)).counts.get("sent", 0))
    clock.forward(minutes=1)
    sent.append((await run_once(workspace)).counts.get("sent", 0))
    sent.append(await asyncio.to_thread(in_another_process))
    clock.forward(minutes=59)
    sent.append(await asyncio.to_thread(in_another_process))
    assert sent == [5, 0, 3, 0, 5]
    assert len(sandbox.received()) == 13
    await workspace.aclose()


@pytest.mark.parametrize(
    ("began", "again"),
    [
        # Growth at midnight comes before the first of today is a day old.
        (NOON, NOON.replace(hour=0) + timedelta(days=1)),
        # One that begins at midnight is refused until the next one, and not for longer.
        (NOON.replace(hour=0), NOON.replace(hour=0) + timedelta(days=1)),
    ],
    ids=["at noon", "at midnight"],
)
async def test_a_warm_up_whose_cap_is_used_up_says_the_first_moment_at_which_there_is_room(
    tmp_path: Path, sandbox: RunningSandbox, began: datetime, again: datetime
) -> None:
    clock = HandClock(began)
    config = config_with(sandbox, "smtp-a", warm_up=[4, 8], limits={"day": 20})
    workspace = open_there(tmp_path, config, clock)
    started_campaign(workspace, 30)
    report = await run_once(workspace)
    assert (report.counts["sent"], report.next_at) == (4, again)
    for moment, sent in ((again - timedelta(seconds=1), 0), (again, 4 if began is NOON else 8)):
        clock.at = moment
        later = open_there(tmp_path, config, clock)
        assert (await run_once(later)).counts.get("sent", 0) == sent, moment
        await later.aclose()
    workspace.close()


async def test_a_warm_up_that_does_not_grow_waits_until_the_first_is_a_day_old(
    tmp_path: Path, sandbox: RunningSandbox
) -> None:
    """The last cap of the table was had already: at midnight nothing changes."""
    clock = HandClock()
    config = config_with(sandbox, "smtp-a", warm_up=[4, 4], connections=1)
    workspace = open_there(tmp_path, config, clock)
    started_campaign(workspace, 30)
    report = await run_once(workspace)
    assert (report.counts["sent"], report.next_at) == (4, NOON + timedelta(days=1))
    workspace.close()


async def test_of_several_limits_that_are_reached_the_one_that_holds_longest_is_named(
    tmp_path: Path, sandbox: RunningSandbox
) -> None:
    config = config_with(sandbox, "smtp-a", limits={"second": 3, "day": 3})
    workspace = open_there(tmp_path, config, HandClock())
    started_campaign(workspace, 4)
    report = await run_once(workspace)
    assert report.next_at == NOON + timedelta(days=1), "not in a second"
    workspace.close()


@pytest.mark.parametrize(
    ("settings", "sending"),
    [({"limits": {"second": 3}}, {}), ({}, {"domains": {"acme.example": {"second": 3}}})],
    ids=["account", "domain"],
)
async def test_a_run_does_not_end_where_there_is_room_again_within_the_minute(
    tmp_path: Path, sandbox: RunningSandbox, settings: dict[str, Any], sending: dict[str, Any]
) -> None:
    workspace = open_there(tmp_path, config_with(sandbox, "smtp-a", sending=sending, **settings), SystemClock())
    try:
        started_campaign(workspace, 8)
        report = await run_once(workspace, for_room_s=60)
        moments = [at for at, _ in let_go(workspace)]
    finally:
        await workspace.aclose()
    assert (report.status, dict(report.counts)) == ("done", {"sent": 8})
    assert busiest(moments, timedelta(seconds=1)) == 3
