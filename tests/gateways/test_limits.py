"""Rates, budgets and the gate that a chain asks, within one process."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fakes import FakeProvider, ManualClock
from hypothesis import given
from hypothesis import strategies as st

from aicmo.errors import InvalidInput, StoreLocked
from aicmo.gateways import Outcome
from aicmo.gateways.limit_store import MemoryLimitStore, NoLimitStore
from aicmo.gateways.limits import (
    RESERVATION_S,
    Allowance,
    Budgets,
    LimitGate,
    Refusal,
    Reservation,
    allowance_of,
    whole,
)
from aicmo.gateways.rates import LOWERED_S, SPANS_S, RateLimiter, counted_call
from aicmo.limit_state import LimitUse, Step
from aicmo.store.health import _STEPS, HealthDb
from aicmo.store.limits import LimitDb

AWAY = NoLimitStore(StoreLocked("health.db is in use."))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def limits(tmp_path: Path) -> Iterator[LimitDb]:
    health = HealthDb(tmp_path / "health.db")
    db = LimitDb(health)
    yield db
    db.close()
    health.close()


# --- rates ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("span", SPANS_S)
async def test_all_of_a_span_may_go_at_once_and_then_nothing_until_it_has_passed(
    span: str, limits: LimitDb, clock: ManualClock
) -> None:
    limiter = RateLimiter(limits, {"p": {span: 5}}, clock=clock)
    assert [await limiter.reserve("p") for _ in range(5)] == [None] * 5
    until = await limiter.reserve("p")
    assert until is not None
    assert SPANS_S[span] <= (until - clock.at).total_seconds() <= SPANS_S[span] * 1.05
    clock.at = until - timedelta(milliseconds=1)
    assert await limiter.reserve("p") == until
    clock.at = until
    assert await limiter.reserve("p") is None


async def test_the_strictest_span_decides_and_a_refusal_counts_in_none(limits: LimitDb, clock: ManualClock) -> None:
    limiter = RateLimiter(limits, {"p": {"second": 2, "minute": 3}}, clock=clock)
    assert [await limiter.reserve("p") for _ in range(2)] == [None, None]
    for _ in range(10):
        assert await limiter.reserve("p") is not None
    clock.advance(1.1)
    assert await limiter.reserve("p") is None
    until = await limiter.reserve("p")
    assert until is not None and until > clock.at + timedelta(seconds=50)


async def test_a_provider_without_limits_touches_no_store(clock: ManualClock) -> None:
    limiter = RateLimiter(AWAY, {"p": {}}, clock=clock)
    assert (await limiter.reserve("p"), await limiter.reserve("q"), limiter.degraded) == (None, None, "")


async def test_each_provider_has_its_own_limits(limits: LimitDb, clock: ManualClock) -> None:
    limiter = RateLimiter(limits, {"p": {"day": 1}, "q": {"day": 1}}, clock=clock)
    assert (await limiter.reserve("p"), await limiter.reserve("q")) == (None, None)
    assert await limiter.reserve("p") is not None


async def test_more_at_once_than_a_span_may_see_is_an_error_not_a_wait(limits: LimitDb, clock: ManualClock) -> None:
    with pytest.raises(InvalidInput, match="2 times a minute"):
        await RateLimiter(limits, {"p": {"minute": 2}}, clock=clock).reserve("p", 3)


async def test_what_the_provider_says_of_itself_lowers_a_rate_for_an_hour_in_every_process(
    limits: LimitDb, clock: ManualClock
) -> None:
    ours, theirs = (RateLimiter(limits, {"p": {"minute": 5}}, clock=clock) for _ in range(2))
    await ours.lower("p", {"minute": 2, "day": 1})
    assert [await theirs.reserve("p") for _ in range(2)] == [None, None]
    assert await theirs.reserve("p") is not None
    clock.advance(LOWERED_S)
    assert [await theirs.reserve("p") for _ in range(5)] == [None] * 5
    assert await theirs.reserve("p") is not None


async def test_a_rate_lowered_to_nothing_is_closed_until_it_is_believed_no_more(
    limits: LimitDb, clock: ManualClock
) -> None:
    limiter = RateLimiter(limits, {"p": {"minute": 5}}, clock=clock)
    await limiter.lower("p", {"minute": 0})
    assert await limiter.reserve("p") == clock.at + timedelta(seconds=LOWERED_S)
    clock.advance(LOWERED_S)
    assert await limiter.reserve("p") is None


async def test_a_rate_is_never_raised_above_the_configured(limits: LimitDb, clock: ManualClock) -> None:
    limiter = RateLimiter(limits, {"p": {"minute": 1}}, clock=clock)
    await limiter.lower("p", {"minute": 100})
    assert await limiter.reserve("p") is None
    assert await limiter.reserve("p") is not None


async def test_of_what_a_provider_says_of_different_requests_the_least_holds(
    limits: LimitDb, clock: ManualClock
) -> None:
    limiter = RateLimiter(limits, {"p": {"minute": 9}}, clock=clock)
    for most in (4, 2, 4):
        await limiter.lower("p", {"minute": most})
    assert [await limiter.reserve("p") for _ in range(2)] == [None, None]
    assert await limiter.reserve("p") is not None


async def test_the_same_word_with_every_answer_is_written_twice_an_hour(limits: LimitDb, clock: ManualClock) -> None:
    writes = CountingLimits(limits)
    limiter = RateLimiter(writes, {"p": {"minute": 9}}, clock=clock)
    for _ in range(3600):
        await limiter.lower("p", {"minute": 4, "day": 600})
        clock.advance(1)
    assert writes.count == 2
    for _ in range(10):
        await limiter.lower("q", {"minute": 4})
    assert writes.count == 2


class CountingLimits:
    def __init__(self, limits: LimitDb) -> None:
        self._limits, self.load_all, self.count = limits, limits.load_all, 0

    def update(self, provider: str, names: Sequence[str], step: Step) -> None:
        self.count += 1
        self._limits.update(provider, names, step)


async def test_a_clock_that_was_wrong_by_years_closes_nothing_for_longer_than_a_span(
    limits: LimitDb, clock: ManualClock
) -> None:
    limiter = RateLimiter(limits, {"p": {"minute": 1}}, clock=clock)
    clock.advance(10 * 365 * 86_400)
    await limiter.lower("p", {"minute": 0})
    clock.advance(LOWERED_S)
    assert await limiter.reserve("p") is None
    clock.advance(-10 * 365 * 86_400)
    until = await limiter.reserve("p")
    assert until is not None and until <= clock.at + timedelta(seconds=63)


async def test_rates_go_on_within_this_process_when_the_store_is_away(clock: ManualClock) -> None:
    limiter = RateLimiter(AWAY, {"p": {"minute": 2}}, clock=clock)
    assert [await limiter.reserve("p") is None for _ in range(3)] == [True, True, False]
    assert "health.db is in use" in limiter.degraded


@given(
    most=st.integers(1, 6),
    gaps_ms=st.lists(st.one_of(st.none(), st.integers(0, 80), st.integers(0, 1200)), max_size=80),
    start_ms=st.integers(0, 100),
)
def test_no_span_wherever_it_begins_sees_more_and_nobody_waits_for_more_than_a_span(
    most: int, gaps_ms: list[int | None], start_ms: int
) -> None:
    """A gap of ``None``: exactly until the time that was named last."""
    use, now_ms, until_ms, granted = LimitUse("p", "second"), start_ms, None, []
    for gap_ms in gaps_ms:
        now_ms = until_ms or now_ms if gap_ms is None else now_ms + gap_ms
        use, until_ms = counted_call(use, most, now_ms, 1)
        if until_ms is None:
            granted.append(now_ms)
        else:
            assert now_ms < until_ms <= now_ms + 1050
            assert counted_call(use, most, until_ms, 1)[1] is None
    for first, beyond in zip(granted, granted[most:], strict=False):
        assert beyond - first >= 1000
    assert len(use.held) <= 21


# --- budgets ----------------------------------------------------------------------------------------------------------


def budgets_of(limits: LimitDb, clock: ManualClock, **monthly: int) -> Budgets:
    return Budgets(limits, {"p": monthly}, clock=clock)


async def taken(budgets: Budgets, **cost: int) -> Reservation:
    reservation = await budgets.reserve("p", cost)
    assert isinstance(reservation, Reservation)
    return reservation


async def test_a_budget_is_a_hard_stop_until_the_first_of_next_month(limits: LimitDb, clock: ManualClock) -> None:
    budgets = budgets_of(limits, clock, credits=10)
    await budgets.settle(await taken(budgets, credits=10), {"credits": 10})
    refusal = await budgets.reserve("p", {"credits": 1})
    assert isinstance(refusal, Refusal)
    assert (refusal.outcome, refusal.until) == (Outcome.QUOTA, datetime(2026, 12, 1, tzinfo=UTC))
    assert refusal.reason == "The budget of p is used up: 0 of 10 credits are left for 2026-11, 1 are needed."
    clock.at = datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC)
    assert isinstance(await budgets.reserve("p", {"credits": 1}), Refusal)
    clock.at = datetime(2026, 12, 1, tzinfo=UTC)
    await taken(budgets, credits=10)
    clock.at = datetime(2026, 12, 31, tzinfo=UTC)
    refusal = await budgets.reserve("p", {"credits": 1})
    assert isinstance(refusal, Refusal) and refusal.until == datetime(2027, 1, 1, tzinfo=UTC)


async def test_what_a_call_did_not_cost_comes_back(limits: LimitDb, clock: ManualClock) -> None:
    budgets = budgets_of(limits, clock, credits=10)
    first = await taken(budgets, credits=10)
    assert isinstance(await budgets.reserve("p", {"credits": 1}), Refusal)
    await budgets.settle(first, {"credits": 4})
    await budgets.settle(await taken(budgets, credits=6), {})
    await budgets.settle(await taken(budgets, credits=6), None)
    assert isinstance(await budgets.reserve("p", {"credits": 1}), Refusal)


async def test_a_call_that_cost_more_than_was_put_aside_is_booked_as_it_was(
    limits: LimitDb, clock: ManualClock
) -> None:
    budgets = budgets_of(limits, clock, credits=10)
    await budgets.settle(await taken(budgets, credits=8), {"credits": 12})
    (estimate,) = await budgets.estimate("p", {"credits": 1})
    assert (estimate.used, estimate.fits) == (12, False)


async def test_credits_and_money_are_reserved_together_or_not_at_all(limits: LimitDb, clock: ManualClock) -> None:
    budgets = budgets_of(limits, clock, credits=10, EUR=100)
    refusal = await budgets.reserve("p", {"credits": 5, "EUR": 101})
    assert isinstance(refusal, Refusal) and "EUR" in refusal.reason
    await taken(budgets, credits=10, EUR=100)


async def test_a_unit_without_a_budget_is_not_counted(limits: LimitDb, clock: ManualClock) -> None:
    budgets = budgets_of(limits, clock)
    assert await taken(budgets, credits=1000) == Reservation("p")
    assert limits.load_all() == []


async def test_a_reservation_nobody_settles_is_spent_and_a_late_settlement_gives_nothing_back(
    limits: LimitDb, clock: ManualClock
) -> None:
    budgets = budgets_of(limits, clock, credits=10)
    late = await taken(budgets, credits=6)
    clock.advance(RESERVATION_S)
    await taken(budgets, credits=4)
    (use,) = limits.load_all()
    assert (use.spent, [part.amount for part in use.held]) == (6, [4])
    await budgets.settle(late, {"credits": 1})
    assert limits.load_all()[0].spent == 6
    await budgets.settle(late, {"credits": 7})
    assert limits.load_all()[0].spent == 7


async def test_a_call_is_booked_in_the_month_in_which_it_began(limits: LimitDb, clock: ManualClock) -> None:
    budgets = budgets_of(limits, clock, credits=10)
    clock.at = datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC)
    begun = await taken(budgets, credits=10)
    clock.advance(2)
    await budgets.settle(begun, {"credits": 3})
    assert [(use.name, use.spent) for use in limits.load_all()] == [("credits 2026-11", 3)]


async def test_an_estimate_reserves_nothing(limits: LimitDb, clock: ManualClock) -> None:
    budgets = budgets_of(limits, clock, credits=10)
    await taken(budgets, credits=4)
    before = limits.load_all()
    estimates = await budgets.estimate("p", {"credits": 7, "EUR": 500})
    assert [(each.unit, each.cost, each.used, each.limit, each.fits) for each in estimates] == [
        ("credits", 7, 4, 10, False),
        ("EUR", 500, 0, None, True),
    ]
    assert limits.load_all() == before


async def test_nothing_is_paid_for_while_the_budget_cannot_be_read(clock: ManualClock) -> None:
    refusal = await Budgets(AWAY, {"p": {"credits": 10}}, clock=clock).reserve("p", {"credits": 1})
    assert isinstance(refusal, Refusal)
    assert refusal.outcome is Outcome.QUOTA and "cannot be read" in refusal.reason


async def test_a_cost_below_nothing_is_refused(limits: LimitDb, clock: ManualClock) -> None:
    with pytest.raises(InvalidInput):
        await budgets_of(limits, clock, credits=1).reserve("p", {"credits": -1})


def test_a_fraction_of_a_credit_counts_as_a_whole_one() -> None:
    assert [whole(0), whole(0.1), whole(1), whole(8.5)] == [0, 1, 1, 9]


# --- the gate ---------------------------------------------------------------------------------------------------------


async def test_the_gate_waits_a_moment_for_a_rate_and_no_longer(limits: LimitDb, clock: ManualClock) -> None:
    gate = LimitGate(limits, {"p": Allowance({"second": 1, "hour": 3})}, clock=clock)
    began = clock.at
    for _ in range(3):
        assert isinstance(await gate.take(FakeProvider("p"), cost={}), Reservation)
    assert 2.0 <= (clock.at - began).total_seconds() <= 2.2
    refusal = await gate.take(FakeProvider("p"), cost={})
    assert isinstance(refusal, Refusal)
    assert (refusal.outcome, refusal.provider) == (Outcome.RATE_LIMITED, "p")
    assert refusal.until is not None and refusal.until > clock.at + timedelta(minutes=59)


async def test_the_gate_counts_calls_and_reserves_the_rest(limits: LimitDb, clock: ManualClock) -> None:
    gate = LimitGate(limits, {"p": Allowance({"day": 10}, {"credits": 5})}, clock=clock)
    reservation = await gate.take(FakeProvider("p"), cost={"calls": 2, "credits": 5})
    assert isinstance(reservation, Reservation) and reservation.held == {"credits": 5}
    refusal = await gate.take(FakeProvider("p"), cost={"credits": 1})
    assert isinstance(refusal, Refusal) and refusal.outcome is Outcome.QUOTA
    await gate.settle(reservation, {"credits": 1})
    assert isinstance(await gate.take(FakeProvider("p"), cost={"credits": 4}), Reservation)
    assert isinstance(await gate.take(FakeProvider("q"), cost={"credits": 99}), Reservation)


async def test_the_gate_never_fails_a_call_that_was_made(clock: ManualClock) -> None:
    store = MemoryLimitStore()
    allowances = {"p": Allowance({"day": 10}, {"credits": 5})}
    reservation = await LimitGate(store, allowances, clock=clock).take(FakeProvider("p"), cost={"credits": 1})
    assert isinstance(reservation, Reservation)
    gate = LimitGate(AWAY, allowances, clock=clock)
    await gate.settle(reservation, {"credits": 1})
    assert "counts in full" in gate.degraded


async def test_a_provider_says_itself_what_it_is_allowed() -> None:
    class Paid(FakeProvider):
        limits = {"minute": 50}
        monthly = {"credits": 500}

    assert allowance_of(Paid("p")) == Allowance({"minute": 50}, {"credits": 500})
    assert allowance_of(FakeProvider("p")) == Allowance()


# --- the file ---------------------------------------------------------------------------------------------------------


async def test_uses_outlive_the_process(tmp_path: Path, clock: ManualClock) -> None:
    for expected in (True, True, False):
        health = HealthDb(tmp_path / "health.db")
        db = LimitDb(health)
        assert (await RateLimiter(db, {"p": {"day": 2}}, clock=clock).reserve("p") is None) is expected
        db.close()
        health.close()


async def test_a_file_from_before_there_were_limits_gets_them_and_keeps_what_it_holds(
    tmp_path: Path, clock: ManualClock
) -> None:
    file = tmp_path / "health.db"
    HealthDb(file).close()
    old = sqlite3.connect(file)
    for table in ("limit_use", "self_check", "provider", "state_change", "network"):
        old.execute(f"DROP TABLE {table}")
    old.executescript(_STEPS[0] + "PRAGMA user_version=1;")
    row = ("p", "ok", 3, 0, 1.0, 1.0, "", 0, "", "", "", "", "")
    old.execute(
        "INSERT INTO provider (name, state, gen, consecutive_failures, successes, observations, open_reason, trips, "
        "lease_owner, last_error_class, last_error_code, last_error_text, config_fingerprint) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        row,
    )
    old.commit()
    old.close()
    health = HealthDb(file)
    db = LimitDb(health)
    assert health.get("p").gen == 3
    assert await RateLimiter(db, {"p": {"day": 1}}, clock=clock).reserve("p") is None
    db.close()
    health.close()


def test_a_step_that_fails_leaves_everything_as_it_was(limits: LimitDb) -> None:
    def failing(uses: object) -> list[LimitUse]:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError):
        limits.update("p", ["day"], failing)
    limits.update("p", ["day"], lambda uses: uses)
    assert limits.load_all() == []
