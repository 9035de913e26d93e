"""When a provider is left alone, and how it comes back; over a real ``health.db`` that two registries share."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from fakes import FakeProvider, ManualClock, attempt, middle

from aicmo.gateways import HealthRegistry, Outcome
from aicmo.gateways.breaker import COOLING_CAP_S, score
from aicmo.provider_state import BLOCKED, COOLING, OK, ProviderState
from aicmo.store.health import HealthDb

Open = Callable[[], HealthRegistry]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def open_registry(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Open]:
    """A registry as another process would open it: its own connections to the same file."""
    opened: list[tuple[HealthRegistry, HealthDb]] = []

    def open_one() -> HealthRegistry:
        db = HealthDb(tmp_path / "health.db")
        registry = HealthRegistry(db, clock=clock, rng=middle)
        opened.append((registry, db))
        return registry

    yield open_one
    for registry, db in opened:
        await registry.close()
        db.close()


A = FakeProvider("a")


async def happens(registry: HealthRegistry, *outcomes: Outcome, provider: FakeProvider = A, **more: object) -> None:
    for outcome in outcomes:
        admission = await registry.admit(provider)
        assert admission.allowed, admission
        await registry.record(provider, attempt(provider.name, outcome, **more), admission)  # type: ignore[arg-type]


async def test_two_failures_are_bad_luck_and_three_close(open_registry: Open, clock: ManualClock) -> None:
    registry = open_registry()
    await happens(registry, Outcome.TRANSIENT, Outcome.AMBIGUOUS)
    assert registry.states()["a"].state == OK
    await happens(registry, Outcome.TRANSIENT, detail="refused")
    admission = await registry.admit(A)
    assert (admission.allowed, admission.reason) == (False, "cooling after transient (refused)")
    assert admission.until == clock.now() + timedelta(seconds=11.25)  # 15 s, equal jitter in the middle


async def test_a_success_between_failures_starts_the_count_anew(open_registry: Open) -> None:
    registry = open_registry()
    await happens(registry, *[Outcome.TRANSIENT, Outcome.TRANSIENT, Outcome.OK] * 5)
    assert registry.states()["a"].state == OK


@pytest.mark.parametrize(
    "outcome", [Outcome.INPUT, Outcome.RECIPIENT, Outcome.CONTENT, Outcome.CANCELLED, Outcome.MISS]
)
async def test_what_is_not_the_providers_fault_costs_it_nothing(open_registry: Open, outcome: Outcome) -> None:
    registry = open_registry()
    await happens(registry, *[outcome] * 20)
    await registry.close()
    state = registry.states().get("a", ProviderState("a"))
    assert (state.state, state.consecutive_failures) == (OK, 0)
    assert score(state, ManualClock().now()) >= 0.95


async def test_cooling_grows_up_to_its_cap_and_ends_with_the_first_success(
    open_registry: Open, clock: ManualClock
) -> None:
    registry = open_registry()
    await happens(registry, *[Outcome.TRANSIENT] * 3)
    waited = []
    for _ in range(5):
        until = (await registry.admit(A)).until
        assert until is not None
        waited.append((until - clock.now()).total_seconds())
        clock.advance(waited[-1])
        await happens(registry, Outcome.TRANSIENT)
    assert waited == [11.25, 22.5, 45, 45, 45]
    clock.advance(COOLING_CAP_S)
    await happens(registry, Outcome.OK)
    assert (await registry.admit(A)).settled
    assert [(it.before, it.after) for it in registry.events()] == [(COOLING, OK), (OK, COOLING)]
    await happens(registry, *[Outcome.TRANSIENT] * 3)
    assert (await registry.admit(A)).until == clock.now() + timedelta(seconds=11.25)


async def test_exactly_one_of_all_callers_carries_the_probe(open_registry: Open, clock: ManualClock) -> None:
    ours, theirs = open_registry(), open_registry()
    await happens(ours, *[Outcome.TRANSIENT] * 3)
    clock.advance(60)
    admissions = await asyncio.gather(*(registry.admit(A) for registry in [ours, theirs] * 25))
    carrying = [it for it in admissions if it.allowed]
    assert [it.probe for it in carrying] == [True]
    assert {it.until for it in admissions if not it.allowed} == {clock.now() + timedelta(seconds=1)}
    await theirs.record(A, attempt("a", Outcome.OK), carrying[0])
    assert (await ours.admit(A)).settled


async def test_a_probe_that_is_never_heard_of_again_is_sent_again(open_registry: Open, clock: ManualClock) -> None:
    registry = open_registry()
    await happens(registry, *[Outcome.TRANSIENT] * 3)
    clock.advance(60)
    lost = await registry.admit(A)
    clock.advance(21)
    again = await registry.admit(A)
    assert again.probe
    await registry.record(A, attempt("a", Outcome.OK), lost)  # too late: it says how things were before
    assert registry.states()["a"].state == COOLING
    await registry.record(A, attempt("a", Outcome.OK), again)
    assert registry.states()["a"].state == OK


async def test_looking_does_not_take_the_probe(open_registry: Open, clock: ManualClock) -> None:
    registry = open_registry()
    await happens(registry, *[Outcome.TRANSIENT] * 3)
    clock.advance(60)
    assert (await registry.look(A)).allowed
    assert (await registry.look(A)).allowed
    assert (await registry.admit(A)).probe
    assert not (await registry.look(A)).allowed


async def test_calls_that_were_under_way_when_it_closed_do_not_lengthen_the_cooling(open_registry: Open) -> None:
    registry = open_registry()
    admissions = [await registry.admit(A) for _ in range(20)]
    for admission in admissions:
        await registry.record(A, attempt("a", Outcome.TRANSIENT), admission)
    state = registry.states()["a"]
    assert (state.trips, state.consecutive_failures, len(registry.events())) == (1, 3, 1)


async def test_too_fast_waits_exactly_as_long_as_asked_and_needs_no_probe(
    open_registry: Open, clock: ManualClock
) -> None:
    registry = open_registry()
    until = clock.now() + timedelta(minutes=5)
    await happens(registry, Outcome.RATE_LIMITED, retry_at=until)
    assert (await registry.admit(A)).until == until
    clock.advance(300)
    assert all([(await registry.admit(A)).allowed for _ in range(3)])
    assert registry.states()["a"].trips == 0


async def test_a_spent_quota_blocks_until_its_reset(open_registry: Open, clock: ManualClock) -> None:
    registry = open_registry()
    reset = clock.now() + timedelta(hours=9)
    await happens(registry, Outcome.QUOTA, retry_at=reset)
    state = registry.states()["a"]
    assert (state.state, state.quota_reset_at, (await registry.admit(A)).until) == (BLOCKED, reset, reset)
    clock.advance(9 * 3600)
    assert (await registry.admit(A)).allowed


async def test_a_refused_credential_blocks_until_it_is_another(open_registry: Open, clock: ManualClock) -> None:
    old, new = FakeProvider("a", key="old"), FakeProvider("a", key="new")
    await happens(open_registry(), Outcome.AUTH, provider=old)
    later = open_registry()
    assert not (await later.admit(old)).allowed
    restarted = open_registry()
    assert (await restarted.look(new)).allowed
    assert (await restarted.admit(new)).allowed
    assert restarted.events()[0].why == "its credential or address was changed"
    assert (await later.admit(old)).allowed


async def test_a_refused_credential_is_tried_once_an_hour(open_registry: Open, clock: ManualClock) -> None:
    registry = open_registry()
    await happens(registry, Outcome.AUTH)
    clock.advance(3599)
    assert not (await registry.admit(A)).allowed
    clock.advance(1)
    assert (await registry.admit(A)).probe
    assert not (await registry.admit(A)).allowed


async def test_a_clock_that_was_wrong_keeps_nothing_closed_for_ever(open_registry: Open, clock: ManualClock) -> None:
    registry = open_registry()
    clock.at += timedelta(days=365)
    await happens(registry, *[Outcome.TRANSIENT] * 3)
    clock.at -= timedelta(days=365)
    until = (await registry.admit(A)).until
    assert until is not None and until <= clock.now() + timedelta(seconds=COOLING_CAP_S)


async def test_successes_are_written_at_most_once_a_second_and_when_closing(
    open_registry: Open, clock: ManualClock, tmp_path: Path
) -> None:
    registry, other = open_registry(), sqlite3.connect(tmp_path / "health.db")

    def version() -> int:
        return int(other.execute("PRAGMA data_version").fetchone()[0])

    before = version()
    await happens(registry, *[Outcome.OK] * 100)
    assert version() == before
    clock.advance(1)
    await happens(registry, *[Outcome.OK] * 100)
    await registry.close()
    assert version() > before
    other.close()
    state = registry.states()["a"]
    assert state.last_ok_at == clock.now()
    assert 19 < state.observations <= 20


@pytest.mark.parametrize("spacing_s", [0.1, 1.0, 60.0, 900.0])
async def test_the_score_means_the_same_at_any_rate_of_calls(clock: ManualClock, spacing_s: float) -> None:
    from aicmo.gateways.breaker import after, succeeded

    state = succeeded(ProviderState("a"), clock.now(), 50, 0.1)
    failures = 0
    while score(state, clock.now()) >= 0.8:
        clock.advance(spacing_s)
        failed = attempt("a", Outcome.TRANSIENT)
        state, _ = after(state, failed, gen=-1, now=clock.now(), rng=random.random)
        failures += 1
    assert 3 <= failures <= 8
    successes = 0
    while score(state, clock.now()) <= 0.9:
        clock.advance(spacing_s)
        state = succeeded(state, clock.now(), 1, 0.1)
        successes += 1
    assert 1 <= successes <= 35


async def test_successes_of_two_processes_add_up(open_registry: Open) -> None:
    ours, theirs = open_registry(), open_registry()
    await happens(ours, *[Outcome.OK] * 3)
    await happens(theirs, *[Outcome.OK] * 3)
    await ours.close()
    await theirs.close()
    expected = sum(0.95**age for age in range(6))
    assert ours.states()["a"].observations == pytest.approx(expected)


# --- the store in trouble ---------------------------------------------------------------------------------------------


async def test_a_locked_store_fails_no_call_and_is_told(
    tmp_path: Path, clock: ManualClock, open_registry: Open
) -> None:
    registry = open_registry()
    blocker = sqlite3.connect(tmp_path / "health.db", isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    await happens(registry, *[Outcome.TRANSIENT] * 3)
    assert "locked" in registry.degraded
    assert not (await registry.admit(A)).allowed  # this process still knows
    blocker.execute("ROLLBACK")
    blocker.close()
    clock.advance(60)
    await happens(registry, Outcome.OK)
    assert registry.degraded == ""


async def test_a_damaged_store_is_done_without(tmp_path: Path, clock: ManualClock) -> None:
    db = HealthDb(tmp_path / "health.db")
    registry = HealthRegistry(db, clock=clock, rng=middle)
    db.close()  # every statement is refused from now on
    await happens(registry, *[Outcome.OK] * 3, *[Outcome.TRANSIENT] * 3)
    assert not (await registry.admit(A)).allowed
    assert registry.degraded
    assert registry.states()["a"].state == COOLING
    assert registry.events()
    await registry.close()


async def test_without_a_file_the_reason_is_kept(clock: ManualClock) -> None:
    registry = HealthRegistry(clock=clock, degraded="health.db is read-only.")
    await happens(registry, Outcome.OK)
    await registry.close()
    assert registry.degraded == "health.db is read-only."


async def test_a_blocked_provider_stays_blocked_while_the_store_is_away(tmp_path: Path, clock: ManualClock) -> None:
    db = HealthDb(tmp_path / "health.db")
    await happens(HealthRegistry(db, clock=clock), Outcome.AUTH)
    registry = HealthRegistry(db, clock=clock)
    assert not (await registry.admit(A)).allowed
    db.close()
    assert not (await registry.admit(A)).allowed
    assert registry.degraded
