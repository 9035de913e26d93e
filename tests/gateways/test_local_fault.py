"""Our own network: what one process finds, all go by; and what nobody confirms, nobody believes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from fakes import FakeProvider, ManualClock, attempt

from aicmo.errors import StoreLocked
from aicmo.gateways import HealthRegistry, Outcome, ProviderChain
from aicmo.gateways.local_fault import BELIEVED_S, LOOK_EVERY_S, RETRY_S
from aicmo.network_state import NetworkChange, NetworkState
from aicmo.store.health import HealthDb
from aicmo.store.network import NetworkDb

Process = ProviderChain[FakeProvider]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def start(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Callable[[], Process]]:
    """Another process on the same file, with the same two providers, both out of reach."""
    opened = []

    def start_one() -> Process:
        db = HealthDb(tmp_path / "health.db")
        network = NetworkDb(db)
        registry = HealthRegistry(db, clock=clock, network=network)
        providers = [
            FakeProvider(name, *[attempt(name, Outcome.TRANSIENT, phase="connect") for _ in range(99)]) for name in "ab"
        ]
        opened.append((registry, network, db))
        return ProviderChain("email_sending", providers, registry, clock=clock)

    yield start_one
    for registry, network, db in opened:
        await registry.close()
        network.close()
        db.close()


async def work(process: Process) -> int:
    """Do one piece of work; how many calls went out for it."""
    before = sum(each.calls for each in process.providers)
    await process.call(FakeProvider.work, side_effect=True)
    return sum(each.calls for each in process.providers) - before


async def test_what_one_process_finds_all_know_before_their_first_call(start: Callable[[], Process]) -> None:
    assert await work(start()) == 2
    other = start()
    assert other.registry.offline
    assert await work(other) == 0
    assert all(it.state == "ok" and not it.observations for it in other.registry.states().values())


async def test_one_that_was_running_already_knows_within_a_second(
    start: Callable[[], Process], clock: ManualClock
) -> None:
    ours, theirs = start(), start()
    assert not theirs.registry.offline
    await work(ours)
    clock.advance(LOOK_EVERY_S)
    assert theirs.registry.offline and await work(theirs) == 0


async def test_of_all_processes_one_call_in_five_seconds_looks_for_it(
    start: Callable[[], Process], clock: ManualClock
) -> None:
    processes = [start(), start(), start()]
    await work(processes[0])
    clock.advance(RETRY_S)
    assert sum([await work(each) for each in processes * 3]) == 1
    clock.advance(RETRY_S)
    assert sum([await work(each) for each in reversed(processes)]) == 1


async def test_whoever_gets_an_answer_says_so_to_all(start: Callable[[], Process], clock: ManualClock) -> None:
    ours, theirs = start(), start()
    await work(ours)
    for each in theirs.providers:
        each.answers.clear()
    clock.advance(RETRY_S)
    assert (await theirs.call(FakeProvider.work, side_effect=True)).served_by == "a"
    clock.advance(LOOK_EVERY_S)
    assert not ours.registry.offline and not theirs.registry.offline


async def test_what_nobody_has_confirmed_for_a_minute_is_not_believed(
    start: Callable[[], Process], clock: ManualClock
) -> None:
    ours = start()
    await work(ours)
    clock.advance(BELIEVED_S - 1)
    assert ours.registry.offline
    clock.advance(1)
    assert not ours.registry.offline and not start().registry.offline


async def test_a_clock_that_was_wrong_keeps_nobody_offline(start: Callable[[], Process], clock: ManualClock) -> None:
    clock.advance(365 * 86_400)
    await work(start())
    clock.advance(-365 * 86_400)
    assert not start().registry.offline


class Away:
    def get(self) -> NetworkState:
        raise StoreLocked("health.db is locked.")

    def update(self, change: NetworkChange) -> NetworkState:
        raise StoreLocked("health.db is locked.")


async def test_where_the_store_is_away_each_process_goes_by_what_it_finds(clock: ManualClock) -> None:
    registry = HealthRegistry(clock=clock, network=Away())
    providers = [FakeProvider(name, *[attempt(name, Outcome.TRANSIENT, phase="connect")] * 9) for name in "ab"]
    process = ProviderChain("email_sending", providers, registry, clock=clock)
    assert [await work(process), await work(process)] == [2, 0]
    assert registry.offline
    await registry.close()
