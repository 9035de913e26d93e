"""Limits over several processes, on one real file."""

from __future__ import annotations

import json
import multiprocessing
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from limit_work import START, SharedClock, call_often, open_often, spend_often

from aicmo.gateways.limits import Budgets, Refusal, used, with_lapsed_spent
from aicmo.gateways.rates import RateLimiter
from aicmo.store.health import HealthDb
from aicmo.store.limits import LimitDb

SPAWN = multiprocessing.get_context("spawn")


def run_all(work: Any, jobs: list[tuple[tuple[Any, ...], dict[str, Any]]]) -> list[int | None]:
    """Run the jobs at once, a process each; gives their exit codes."""
    processes = [SPAWN.Process(target=work, args=args, kwargs=more) for args, more in jobs]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    codes = [process.exitcode for process in processes]
    for process in processes:
        process.close()
    return codes


def test_processes_may_open_a_file_that_is_not_there_at_the_same_moment(tmp_path: Path) -> None:
    files = [tmp_path / f"{n}.db" for n in range(60)]
    all_at_once = SPAWN.Barrier(4)
    assert run_all(open_often, [((files, all_at_once), {})] * 4) == [0] * 4


@pytest.mark.parametrize("processes", [2, 4])
async def test_processes_together_get_exactly_the_allowed_calls(processes: int, tmp_path: Path) -> None:
    file, elapsed_ms = tmp_path / "health.db", SPAWN.Value("q", 0)
    jobs: list[Any] = [((file, tmp_path / f"{n}", elapsed_ms, 0, "day", 150, 100), {}) for n in range(processes)]
    assert run_all(call_often, jobs) == [0] * processes
    granted = [len(json.loads((tmp_path / f"{n}").read_text())) for n in range(processes)]
    assert sum(granted) == 150

    health = HealthDb(file)
    limits = LimitDb(health)
    clock = SharedClock(elapsed_ms, 0)
    assert await RateLimiter(limits, {"p": {"day": 150}}, clock=clock).reserve("p") is not None
    limits.close()
    health.close()


@pytest.mark.parametrize("processes", [2, 4])
def test_while_time_goes_on_no_span_ever_sees_more(processes: int, tmp_path: Path) -> None:
    elapsed_ms, most = SPAWN.Value("q", 0), 20
    jobs: list[Any] = [
        ((tmp_path / "health.db", tmp_path / f"{n}", elapsed_ms, 7, "second", most, 200), {}) for n in range(processes)
    ]
    assert run_all(call_often, jobs) == [0] * processes
    granted = sorted(at for n in range(processes) for at in json.loads((tmp_path / f"{n}").read_text()))
    for first, beyond in zip(granted, granted[most:], strict=False):
        assert beyond - first >= 1.0
    took_s = elapsed_ms.value / 1000
    assert len(granted) >= most * (took_s / 1.05 - 1)  # and hardly less: a span and one slot of it


async def test_two_processes_and_three_restarts_spend_exactly_the_budget_of_each_month(tmp_path: Path) -> None:
    """The clock crosses into December on the way; one process of each generation is killed with a call under way."""
    file, log, most = tmp_path / "health.db", tmp_path / "spent", 100
    elapsed_ms = SPAWN.Value("q", 0)
    for generation in range(4):
        if generation == 2:
            elapsed_ms.value = 10 * 60_000  # December, and not all reservations of November have lapsed
        jobs: list[Any] = [
            ((file, log, elapsed_ms, 10, most), {"rounds": 12, "die": True}),
            ((file, log, elapsed_ms, 10, most), {"rounds": 12, "die": False}),
        ]
        codes = run_all(spend_often, jobs)
        assert set(codes) <= {0, 9}

    health = HealthDb(file)
    limits = LimitDb(health)
    budgets = Budgets(limits, {"p": {"credits": most}}, clock=SharedClock(elapsed_ms, 10))
    spent: Counter[str] = Counter()
    for line in log.read_text().splitlines():
        month, credits_spent = line.split()
        spent[month] += int(credits_spent)
    assert set(spent) == {"2026-11", "2026-12"}
    lapsed_ms = int(START.timestamp() * 1000) + elapsed_ms.value + 3_600_000
    for use in limits.load_all():
        assert use.name == f"credits {use.name[-7:]}"
        assert used(use) == with_lapsed_spent(use, lapsed_ms).spent == spent[use.name[-7:]] <= most
    while not isinstance(await budgets.reserve("p", {"credits": 1}), Refusal):
        pass
    assert [used(use) for use in limits.load_all() if use.name == "credits 2026-12"] == [most]
    limits.close()
    health.close()
