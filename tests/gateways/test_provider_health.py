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

from aicmo.gateways import Applied, Attempt, HealthRegistry, Outcome
from aicmo.gateways.breaker import COSTLY_COOLING_CAP_S, score, since, succeeded, take_probe
from aicmo.gateways.health_store import this_process
from aicmo.gateways.notices import notices
from aicmo.gateways.observed import latencies_ms
from aicmo.provider_state import BLOCKED, COOLING, OK, PROBING, ProviderState, StateChange
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
    assert (admission.allowed, admission.reason) == (False, "left alone after failures (refused)")
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


async def test_cooling_grows_up_to_its_cap_and_ends_with_two_real_successes(
    open_registry: Open, clock: ManualClock
) -> None:
    registry = open_registry()
    await happens(registry, *[Outcome.TRANSIENT] * 3)
    waited = []
    for _ in range(6):
        until = (await registry.admit(A)).until
        assert until is not None
        waited.append((until - clock.now()).total_seconds())
        clock.advance(waited[-1])
        await happens(registry, Outcome.TRANSIENT)
    assert waited == [11.25, 22.5, 45, 90, 180, 225]  # 60 s is the cap where a free check can find out
    clock.advance(COSTLY_COOLING_CAP_S)
    await happens(registry, Outcome.OK)
    assert registry.states()["a"].state == PROBING
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
    await happens(ours, Outcome.OK)
    assert (await theirs.admit(A)).settled


def test_who_read_the_clock_a_moment_earlier_does_not_take_the_probe_from_who_has_it(clock: ManualClock) -> None:
    """Two processes read the clock and then wait for the file; who read it first may get the file last."""
    due = ProviderState("first", state=COOLING, open_until=clock.now(), open_reason="transient")
    earlier, later = clock.now(), clock.now() + timedelta(milliseconds=3)
    taken, _ = take_probe(due, later, "second to look, first to write")
    assert take_probe(taken, earlier, "first to look") == (taken, None)


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
    assert registry.states()["a"].state == PROBING


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


async def test_of_several_times_named_at_once_the_latest_is_kept(open_registry: Open, clock: ManualClock) -> None:
    ours, theirs = open_registry(), open_registry()
    admissions = [await each.admit(A) for each in (ours, theirs, ours, theirs)]
    for registry, admission, wait_s in zip((ours, theirs, ours, theirs), admissions, (5, 300, 60, 10), strict=True):
        retry_at = clock.now() + timedelta(seconds=wait_s)
        told = attempt("a", Outcome.RATE_LIMITED, code="429", retry_at=retry_at)
        await registry.record(A, told, admission)
    clock.advance(299)
    assert not (await ours.admit(A)).allowed
    clock.advance(1)
    assert (await theirs.admit(A)).allowed


async def test_a_time_named_to_who_called_in_impatience_is_kept_too(open_registry: Open, clock: ManualClock) -> None:
    registry = open_registry()
    await happens(registry, *[Outcome.TRANSIENT] * 3)
    admission = await registry.admit_all_the_same(A, impatient=True)
    assert admission is not None
    until = clock.now() + timedelta(minutes=10)
    await registry.record(A, attempt("a", Outcome.RATE_LIMITED, code="429", retry_at=until), admission)
    clock.advance(599)
    assert not (await registry.admit(A)).allowed


@pytest.mark.parametrize("wait_s", [20, 240])
async def test_one_that_is_down_and_says_until_when_is_not_called_before(
    wait_s: int, open_registry: Open, clock: ManualClock
) -> None:
    registry = open_registry()
    until = clock.now() + timedelta(seconds=wait_s)
    await happens(registry, Outcome.TRANSIENT, code="503", retry_at=until)
    clock.advance(wait_s - 1)
    assert not (await registry.admit(A)).allowed
    clock.advance(1)
    assert (await registry.admit(A)).probe


async def test_its_last_trouble_has_a_bill_which_the_next_one_begins_anew(
    open_registry: Open, clock: ManualClock
) -> None:
    registry = open_registry()
    await happens(registry, Outcome.OK, Outcome.TRANSIENT, Outcome.AMBIGUOUS, Outcome.TRANSIENT)
    registry.served_elsewhere("a", 214)
    await registry.flush()
    state = open_registry().states()["a"]
    assert (state.elsewhere, state.wasted, state.unknown) == (214, 2, 1)
    await registry.reset("a")
    await happens(registry, Outcome.OK)
    await registry.flush()
    assert registry.states()["a"].elsewhere == 214, "what it cost is told when it is over, too"
    await happens(registry, Outcome.TRANSIENT)
    state = registry.states()["a"]
    assert (state.elsewhere, state.wasted, state.unknown) == (0, 1, 0)


async def test_the_last_twenty_calls_are_remembered_one_by_one_and_checks_are_not(open_registry: Open) -> None:
    registry = open_registry()
    for number in range(25):
        await happens(registry, Outcome.OK, latency_s=number / 10)
    await happens(registry, Outcome.TRANSIENT)
    await registry.probe(Checked("a"))
    state = open_registry().states()["a"]
    assert latencies_ms(state) == (*(100 * number for number in range(6, 25)), None)


async def test_the_usual_latency_is_told_with_how_far_calls_are_from_it(open_registry: Open) -> None:
    registry = open_registry()
    await happens(registry, *[Outcome.OK] * 100, latency_s=0.1)
    await registry.flush()
    assert registry.states()["a"].latency_spread_s == 0
    for number in range(200):
        await happens(registry, Outcome.OK, latency_s=0.05 if number % 2 else 0.15)
    await registry.flush()
    state = registry.states()["a"]
    assert state.latency_s == pytest.approx(0.1, abs=0.01)
    assert state.latency_spread_s == pytest.approx(0.05, abs=0.01)
    await happens(registry, Outcome.TRANSIENT, latency_s=30.0)
    assert registry.states()["a"].latency_s == state.latency_s, "a failure is no latency"


async def test_each_change_says_which_process_saw_it(tmp_path: Path, clock: ManualClock) -> None:
    db = HealthDb(tmp_path / "health.db")
    registry = HealthRegistry(db, clock=clock, by="aicmo run, pid 4121")
    await registry.disable("a", clock.now() + timedelta(minutes=1))
    await registry.close()
    assert [each.by for each in db.events()] == ["aicmo run, pid 4121"]
    db.close()


def test_a_process_is_known_by_its_verb_and_by_nothing_else_of_its_command_line() -> None:
    def told(line: str) -> str:
        return this_process(line.split()).partition(", pid ")[0]

    assert told("/usr/bin/aicmo run --max-seconds 9") == "aicmo run"
    assert told("aicmo contact add ada@example.com") == "aicmo contact add"
    assert told("aicmo health --disable smtp-main") == "aicmo health"
    assert told("aicmo") == "aicmo"
    assert told("aicmo --config /secret/place run") == "aicmo"
    assert this_process([]).startswith("python, pid ")


async def test_it_is_known_since_when_it_stands_as_it_does(open_registry: Open, clock: ManualClock) -> None:
    registry = open_registry()

    def stands_since() -> object:
        return since(registry.states().get("a", ProviderState("a")), clock.now())

    await happens(registry, Outcome.OK)
    assert stands_since() is None
    gone = clock.now()
    await happens(registry, *[Outcome.TRANSIENT] * 3)
    clock.advance(5)
    assert stands_since() == gone
    disabled = clock.now()
    await registry.disable("a", clock.now() + timedelta(minutes=1))
    clock.advance(5)
    assert stands_since() == disabled
    clock.advance(60)
    assert stands_since() == gone, "the word is over, the trouble is not"
    back = clock.now()
    await registry.reset("a")
    clock.advance(5)
    assert stands_since() == back


async def test_in_a_rehearsal_everything_happens_and_nothing_is_written(
    tmp_path: Path, open_registry: Open, clock: ManualClock
) -> None:
    await happens(open_registry(), *[Outcome.TRANSIENT] * 3)
    before = dump(tmp_path / "health.db")
    registry = open_registry()
    registry.rehearse()
    assert (await registry.reset("a")).state == OK
    await registry.disable("b", clock.now() + timedelta(minutes=5))
    assert {name: (it.state, it.override) for name, it in registry.states().items()} == {
        "a": ("ok", ""),
        "b": ("ok", "disabled"),
    }
    await registry.close()
    assert dump(tmp_path / "health.db") == before


def dump(path: Path) -> list[str]:
    db = sqlite3.connect(path)
    rows = list(db.iterdump())
    db.close()
    return rows


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
    assert until is not None and until <= clock.now() + timedelta(seconds=COSTLY_COOLING_CAP_S)


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
    from aicmo.gateways.breaker import after

    state, _ = succeeded(ProviderState("a"), clock.now(), [0.1] * 50)
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
        state, _ = succeeded(state, clock.now(), [0.1])
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


# --- what else closes, and how that ends ------------------------------------------------------------------------------


class Checked(FakeProvider):
    """Has a free check, which answers as told, then well."""

    check_cost = ""

    def __init__(self, name: str, *checks: Outcome) -> None:
        super().__init__(name)
        self.checks = list(checks)

    async def check(self) -> Attempt:
        return attempt(self.name, self.checks.pop(0) if self.checks else Outcome.OK, Applied.NO)


async def test_five_failures_close_one_that_at_least_answers(open_registry: Open) -> None:
    registry = open_registry()
    await happens(registry, *[Outcome.TRANSIENT] * 4, code="503")
    assert registry.states()["a"].state == OK
    await happens(registry, Outcome.TRANSIENT, code="503")
    assert registry.states()["a"].state == COOLING


async def test_a_brown_out_closes_although_it_never_fails_often_in_a_row(open_registry: Open) -> None:
    registry = open_registry()
    for _ in range(20):
        if not (await registry.admit(A)).allowed:
            break
        for outcome in (Outcome.OK, *[Outcome.TRANSIENT] * 4):
            admission = await registry.admit(A)
            if admission.allowed:
                await registry.record(
                    A, attempt("a", outcome, code="503" if outcome is not Outcome.OK else ""), admission
                )
    state = registry.states()["a"]
    assert (state.state, state.consecutive_failures < 5) == (COOLING, True)
    assert score(state, ManualClock().now()) < 0.5


async def test_a_success_that_takes_three_times_as_long_as_usual_is_slow_and_half_of_ten_close(
    clock: ManualClock,
) -> None:
    state = ProviderState("a")
    for latency_s in [6.0] * 10 + [17.0] * 20:  # under three times the usual: not slow
        state, change = succeeded(state, clock.now(), [latency_s])
        assert change is None
    state = ProviderState("a")
    for latency_s in [6.0] * 10 + [60.0] * 4:
        state, change = succeeded(state, clock.now(), [latency_s])
        assert change is None
    state, change = succeeded(state, clock.now(), [60.0])
    assert change is not None and (state.state, state.open_reason) == (COOLING, "slow")


async def test_one_that_was_always_slow_is_not(clock: ManualClock) -> None:
    state, change = succeeded(ProviderState("a"), clock.now(), [40.0] * 30)
    assert (state.state, change) == (OK, None)


async def test_the_longer_it_was_away_the_less_often_it_is_asked(open_registry: Open, clock: ManualClock) -> None:
    registry, provider = open_registry(), Checked("a", *[Outcome.TRANSIENT] * 200)
    await happens(registry, *[Outcome.TRANSIENT] * 3, provider=provider)
    waits: list[tuple[float, float]] = []
    began = clock.monotonic()
    while clock.monotonic() - began < 4 * 3600:
        until = (await registry.look(provider)).until
        assert until is not None
        waits.append((clock.monotonic() - began, (until - clock.now()).total_seconds()))
        clock.at = until
        clock._monotonic += waits[-1][1]
        await registry.probe(provider)
    assert all(wait <= 60 for away, wait in waits if away < 480)
    assert all(wait <= max(away / 8, 60) for away, wait in waits)
    assert 600 < waits[-1][1] <= 900
    provider.checks.clear()
    clock.advance(900)
    assert (await registry.probe(provider)).outcome is Outcome.OK
    await happens(registry, Outcome.OK, Outcome.OK, provider=provider)
    assert (await registry.admit(provider)).settled
    assert len(registry.events()) == 2  # one line when it went, one when it came back


async def test_one_that_comes_and_goes_is_held_back_and_for_longer_each_time(
    open_registry: Open, clock: ManualClock
) -> None:
    registry, held = open_registry(), []
    for _ in range(5):
        await happens(registry, *[Outcome.TRANSIENT] * 3)
        state = registry.states()["a"]
        assert state.open_until is not None
        if state.open_reason == "flapping":
            held.append((state.open_until - clock.now()).total_seconds())
        clock.advance((state.open_until - clock.now()).total_seconds())
        await happens(registry, Outcome.OK, Outcome.OK)
    assert held == [300, 600]
    clock.advance(7200)
    await happens(registry, *[Outcome.TRANSIENT] * 3)
    state = registry.states()["a"]
    assert (state.open_reason, state.holds) == ("transient", 0)


async def test_a_quota_without_an_end_is_tried_by_one_call_and_not_by_all(
    open_registry: Open, clock: ManualClock
) -> None:
    registry = open_registry()
    await happens(registry, Outcome.QUOTA)
    clock.advance(3600)
    assert [(await registry.admit(A)).allowed for _ in range(3)] == [True, False, False]


async def test_a_check_brings_it_back_to_real_calls_one_at_a_time(open_registry: Open, clock: ManualClock) -> None:
    registry, provider = open_registry(), Checked("a")
    await happens(registry, *[Outcome.TRANSIENT] * 3, provider=provider)
    early = await registry.probe(provider)
    assert (early.outcome, early.retry_at) == (Outcome.SKIPPED, registry.states()["a"].open_until)
    assert (await registry.probe(provider, early=True)).outcome is Outcome.OK  # a person asked
    assert registry.states()["a"].state == PROBING
    first, second = await registry.admit(provider), await registry.admit(provider)
    assert (first.allowed, first.first, second.allowed) == (True, False, False)


async def test_a_check_changes_neither_score_nor_streak_and_its_failure_changes_both(open_registry: Open) -> None:
    registry, provider = open_registry(), Checked("a", Outcome.OK, Outcome.TRANSIENT)
    await happens(registry, *[Outcome.TRANSIENT] * 2, provider=provider)
    before = registry.states()["a"]
    await registry.probe(provider)
    state = registry.states()["a"]
    assert (state.observations, state.consecutive_failures) == (before.observations, 2)
    await registry.probe(provider)
    assert registry.states()["a"].state == COOLING


async def test_where_nobody_makes_real_calls_good_checks_for_a_while_are_enough(
    open_registry: Open, clock: ManualClock
) -> None:
    registry, provider = open_registry(), Checked("a")
    await happens(registry, *[Outcome.TRANSIENT] * 3, provider=provider)
    for _ in range(20):
        clock.advance(60)
        await registry.probe(provider)
    assert registry.states()["a"].state == OK


async def test_a_check_that_costs_is_made_only_when_that_is_said(open_registry: Open) -> None:
    registry, provider = open_registry(), Checked("a")
    provider.check_cost = "one credit"
    refused = await registry.probe(provider)
    assert (refused.outcome, refused.detail) == (Outcome.SKIPPED, "its check costs one credit")
    assert (await registry.probe(provider, paid=True)).outcome is Outcome.OK
    assert (await registry.probe(A)).detail == "it has no check that does no work"


async def test_a_persons_word_stands_above_the_state_until_it_expires(open_registry: Open, clock: ManualClock) -> None:
    ours, theirs = open_registry(), open_registry()
    until = clock.now() + timedelta(hours=1)
    await ours.disable("a", until)
    closed = await theirs.admit(A)
    assert (closed.allowed, closed.cause, closed.until) == (False, "disabled", until)
    await ours.force("a", until)
    await happens(theirs, *[Outcome.TRANSIENT] * 9)  # counted, and closes nothing
    assert ours.states()["a"].observations > 5
    clock.advance(3600)
    assert (await theirs.admit(A)).settled
    assert [it.after for it in ours.events()] == ["ok", "forced", "disabled"]


async def test_an_override_is_for_a_month_at_most(open_registry: Open, clock: ManualClock) -> None:
    registry = open_registry()
    await registry.disable("a", clock.now() + timedelta(days=9999))
    clock.advance(31 * 86_400)
    assert (await registry.admit(A)).allowed


async def test_a_reset_puts_it_back_in_service_with_a_clean_slate(open_registry: Open) -> None:
    registry = open_registry()
    await happens(registry, *[Outcome.TRANSIENT] * 3)
    await registry.disable("a", ManualClock().now() + timedelta(days=1))
    await registry.reset("a")
    assert (await registry.admit(A)).settled


async def test_a_reputation_block_ends_after_a_day(open_registry: Open, clock: ManualClock) -> None:
    registry = open_registry()
    for whom in "xyz":
        admission = await registry.admit(A)
        await registry.record(A, attempt("a", Outcome.CONTENT, code="550 5.7.1"), admission, concerning=whom)
    state = registry.states()["a"]
    assert (state.state, state.open_reason, state.last_error_code) == (BLOCKED, "reputation", "550 5.7.1")
    assert "because it refuses what is sent (550 5.7.1" in (await registry.admit(A)).reason
    assert (await registry.admit(A)).until == clock.now() + timedelta(days=1)
    clock.advance(86_400)
    assert (await registry.admit(A)).probe


async def test_a_message_that_is_too_big_tells_nothing_of_reputation(open_registry: Open) -> None:
    registry = open_registry()
    for whom in "xyz":
        admission = await registry.admit(A)
        too_big = attempt("a", Outcome.CONTENT, code="552 5.3.4", permanent=True)
        await registry.record(A, too_big, admission, concerning=whom)
    assert (await registry.admit(A)).settled


async def test_what_was_learned_while_the_store_was_away_is_written_when_it_is_back(
    tmp_path: Path, clock: ManualClock, open_registry: Open
) -> None:
    ours, theirs = open_registry(), open_registry()
    blocker = sqlite3.connect(tmp_path / "health.db", isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    await happens(ours, Outcome.AUTH)
    blocker.execute("ROLLBACK")
    blocker.close()
    assert (await theirs.admit(A)).allowed  # nobody could tell it
    clock.advance(6)
    await ours.admit(A)
    await ours.flush()
    assert (await theirs.admit(A)).cause == "auth"
    assert ours.degraded == ""


async def test_successes_wait_while_another_process_holds_the_store(
    tmp_path: Path, clock: ManualClock, open_registry: Open
) -> None:
    registry = open_registry()
    blocker = sqlite3.connect(tmp_path / "health.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    await happens(registry, *[Outcome.OK] * 5)
    await registry.flush()
    assert registry.degraded == ""
    blocker.execute("ROLLBACK")
    blocker.close()
    await registry.flush()
    assert registry.states()["a"].observations > 4


async def test_a_person_is_told_of_what_lasts_and_never_that_it_is_back_when_not_that_it_was_gone(
    clock: ManualClock,
) -> None:
    def change(after: str, at_s: float, why: str = "") -> StateChange:
        return StateChange("a", clock.now() + timedelta(seconds=at_s), "", after, why)

    def told(*changes: StateChange) -> list[str]:
        return [it.after for it in notices(changes, clock.now() + timedelta(seconds=1000))]

    assert told(change(COOLING, 0), change(OK, 20)) == []
    assert told(change(COOLING, 0), change(OK, 90)) == [COOLING, OK]
    assert told(change(BLOCKED, 0), change(OK, 20)) == [BLOCKED, OK]
    ups_and_downs = [change((COOLING, OK)[n % 2], 30 * n, "flapping: no answer" if n == 6 else "") for n in range(12)]
    assert told(*ups_and_downs) == [COOLING, OK]


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
