"""Self-checks: free, through the same door as calls, shared by all processes. On a real health.db."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from fakes import FakeProvider, ManualClock, attempt, middle

from aicmo.check_state import RECENT, SelfCheck
from aicmo.errors import StoreDamaged
from aicmo.gateways import Answer, Attempt, HealthRegistry, Outcome, Quota
from aicmo.gateways.limits import Allowance, LimitGate
from aicmo.gateways.selfcheck import AT_ONCE, SelfCheckRegistry, SelfCheckService
from aicmo.store.checks import CheckDb
from aicmo.store.health import HealthDb
from aicmo.store.limits import LimitDb


class Checkable(FakeProvider):
    check_cost = ""

    async def check(self) -> Attempt:
        return await self.work()


class Costly(Checkable):
    check_cost = "1 credit"


class Metered(Checkable):
    left = 40

    async def quota(self) -> Answer[Quota]:
        return Answer(attempt(self.name, Outcome.OK), Quota("credits", self.left, 100, None))


class Desk:
    """One process: what a workspace plugs together, by hand, on a file that others may have open too."""

    def __init__(self, path: Path, clock: ManualClock) -> None:
        self.clock = clock
        self.db = HealthDb(path)
        self.limits = LimitDb(self.db)
        self.checks = CheckDb(self.db)
        self.health = HealthRegistry(self.db, clock=clock, rng=middle)
        self.registry = SelfCheckRegistry(self.checks)

    def service(self, *providers: FakeProvider, per_hour: int = 0) -> SelfCheckService:
        rates = {"hour": per_hour} if per_hour else {}
        allowed = {provider.name: Allowance(rates) for provider in providers}
        gate = LimitGate(self.limits, allowed, clock=self.clock)
        return SelfCheckService(providers, self.health, self.registry, gate=gate, clock=self.clock, rng=middle)

    def close(self) -> None:
        for each in (self.checks, self.limits, self.db):
            each.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "health.db", ManualClock())
    yield desk
    asyncio.run(desk.health.close())
    desk.close()


async def test_what_a_check_finds_is_read_by_another_process(desk: Desk, tmp_path: Path) -> None:
    await desk.service(Metered("a"), Checkable("b", Outcome.AUTH)).check_all()
    other = CheckDb(desk.db)
    known = SelfCheckRegistry(other).known()
    other.close()
    assert {name: check.outcome for name, check in known.items()} == {"a": "ok", "b": "auth"}
    assert (known["a"].quota_left, known["a"].quota_limit) == (40, 100)
    assert known["a"].checked_at == desk.clock.now()
    assert desk.db.get("b").state == "blocked"


async def test_the_last_forty_are_kept_and_a_failure_is_a_gap(desk: Desk) -> None:
    provider = Checkable("a", *[Outcome.INPUT] * 3)
    service = desk.service(provider)
    for _ in range(RECENT + 1):
        await service.check(provider)
    recent = desk.registry.known()["a"].recent
    assert len(recent) == RECENT and recent[:3] == (None, None, 0)


async def test_a_provider_that_is_closed_is_not_asked_before_its_time(desk: Desk) -> None:
    provider = Checkable("a", *[Outcome.TRANSIENT] * 3)
    service = desk.service(provider)
    for _ in range(3):
        await service.check(provider)
    assert desk.db.get("a").state == "cooling"
    skipped = await service.check(provider)
    assert skipped.attempt.outcome is Outcome.SKIPPED and skipped.attempt.retry_at is not None
    assert provider.calls == 3
    assert (await service.check(provider, early=True)).attempt.outcome is Outcome.OK
    assert desk.db.get("a").state == "probing"


async def test_checks_use_up_the_same_rate_as_calls(desk: Desk) -> None:
    provider = Checkable("a")
    service = desk.service(provider, per_hour=2)
    for _ in range(2):
        assert (await service.check(provider)).attempt.outcome is Outcome.OK
    refused = (await service.check(provider)).attempt
    assert refused.outcome is Outcome.SKIPPED and "rate" in refused.detail
    assert provider.calls == 2


async def test_a_check_that_costs_something_is_never_made_by_itself_and_says_so(desk: Desk) -> None:
    provider = Costly("a")
    service = desk.service(provider)
    (found,) = await service.check_all(early=True)
    assert found.attempt.outcome is Outcome.SKIPPED and "1 credit" in found.attempt.detail
    assert provider.calls == 0 and desk.registry.known() == {}
    assert (await service.check(provider, paid=True)).attempt.outcome is Outcome.OK


async def test_who_has_no_check_is_left_alone(desk: Desk) -> None:
    (found,) = await desk.service(FakeProvider("a")).check_all()
    assert found.attempt.outcome is Outcome.SKIPPED and "no check" in found.attempt.detail


async def test_at_most_four_are_asked_side_by_side(desk: Desk) -> None:
    running = most = 0

    class Slow(Checkable):
        async def check(self) -> Attempt:
            nonlocal running, most
            running += 1
            most = max(most, running)
            for _ in range(5):
                await asyncio.sleep(0)
            running -= 1
            return attempt(self.name, Outcome.OK)

    found = await desk.service(*(Slow(f"p{number}") for number in range(9))).check_all()
    assert [each.provider for each in found] == [f"p{number}" for number in range(9)]
    assert most == AT_ONCE


async def test_an_adapter_that_breaks_keeps_the_others_from_nothing(desk: Desk) -> None:
    broken, fine = Checkable("a", ZeroDivisionError()), Checkable("b")
    with pytest.raises(ZeroDivisionError):
        await desk.service(broken, fine).check_all()
    assert set(desk.registry.known()) == {"b"}


async def test_periodic_checks_are_jittered_go_on_after_a_failure_and_end_when_cancelled(desk: Desk) -> None:
    provider = Checkable("a", ZeroDivisionError())
    service = desk.service(provider)
    began = desk.clock.now()
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        desk.clock.advance(seconds)
        await asyncio.sleep(0)
        if len(slept) == 3:
            raise asyncio.CancelledError

    desk.clock.sleep = sleep  # type: ignore[method-assign]
    for chance in (0.0, 0.5, 0.999):
        service._rng = lambda chance=chance: chance
        slept.clear()
        with pytest.raises(asyncio.CancelledError):
            await service.keep_checking(100.0)
        assert slept == pytest.approx([90.0 + 20 * chance] * 3)
    assert provider.calls >= 4 and desk.clock.now() > began


async def test_two_processes_do_not_check_twice_as_often(desk: Desk) -> None:
    ours, theirs = Checkable("a"), Checkable("a")
    await desk.service(ours).check_all(unless_within_s=80)
    desk.clock.advance(50)
    await desk.service(theirs).check_all(unless_within_s=80)
    assert (ours.calls, theirs.calls) == (1, 0)
    desk.clock.advance(40)
    await desk.service(theirs).check_all(unless_within_s=80)
    assert theirs.calls == 1


async def test_a_time_that_lies_ahead_puts_off_nothing(desk: Desk) -> None:
    desk.checks.update("a", lambda _: SelfCheck("a", desk.clock.now() + timedelta(days=400), "ok"))
    provider = Checkable("a")
    await desk.service(provider).check_all(unless_within_s=80)
    assert provider.calls == 1


async def test_a_store_that_fails_makes_no_check_fail_and_what_was_found_is_not_lost(desk: Desk) -> None:
    class Away:
        away = True

        def load_all(self) -> dict[str, SelfCheck]:
            if self.away:
                raise StoreDamaged("It is broken.")
            return desk.checks.load_all()

        def update(self, provider: str, change: object) -> SelfCheck:
            if self.away:
                raise StoreDamaged("It is broken.")
            return desk.checks.update(provider, change)  # type: ignore[arg-type]

    store = Away()
    registry = SelfCheckRegistry(store)  # type: ignore[arg-type]
    service = SelfCheckService([Checkable("a")], desk.health, registry, clock=desk.clock)
    (found,) = await service.check_all()
    assert found.attempt.outcome is Outcome.OK
    assert registry.known()["a"].outcome == "ok" and "It is broken." in registry.degraded
    store.away = False
    assert registry.known()["a"].outcome == "ok"
    await service.check_all()
    assert registry.degraded == "" and set(desk.checks.load_all()) == {"a"}


async def test_a_cancelled_check_gives_its_lease_back(desk: Desk) -> None:
    started = asyncio.Event()

    class Hanging(Checkable):
        async def check(self) -> Attempt:
            if self.answers:
                return await self.work()
            started.set()
            await asyncio.Event().wait()
            raise AssertionError

    provider = Hanging("a", *[Outcome.TRANSIENT] * 3)
    service = desk.service(provider)
    for _ in range(3):
        await service.check(provider)
    checking = asyncio.create_task(service.check(provider, early=True))
    await started.wait()
    assert desk.db.get("a").lease_owner
    checking.cancel()
    await asyncio.gather(checking, return_exceptions=True)
    assert not desk.db.get("a").lease_owner
