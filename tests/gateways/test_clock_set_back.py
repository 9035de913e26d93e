"""A wall clock that is set back keeps no provider closed for longer than it would have been."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from fakes import FakeProvider, ManualClock, attempt, middle

from aicmo.gateways import HealthRegistry, Outcome
from aicmo.gateways.breaker import COSTLY_COOLING_CAP_S
from aicmo.gateways.set_back import as_of
from aicmo.provider_state import BLOCKED, COOLING, OK, ProviderState
from aicmo.store.health import HealthDb

A = FakeProvider("a")
LATE = timedelta(seconds=1)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def registry(tmp_path: Path, clock: ManualClock) -> AsyncIterator[HealthRegistry]:
    db = HealthDb(tmp_path / "health.db")
    opened = HealthRegistry(db, clock=clock, rng=middle)
    yield opened
    await opened.close()
    db.close()


CLOSED_BY = [
    (Outcome.TRANSIENT, None, 11.25),
    (Outcome.RATE_LIMITED, timedelta(minutes=5), 300.0),
    (Outcome.QUOTA, None, 3600.0),
    (Outcome.AUTH, None, 3600.0),
]


@pytest.mark.parametrize("set_back", [timedelta(minutes=10), timedelta(hours=5), timedelta(days=400)], ids=str)
@pytest.mark.parametrize(("outcome", "named", "wait_s"), CLOSED_BY)
async def test_it_is_tried_again_after_the_wait_that_it_had(
    outcome: Outcome, named: timedelta | None, wait_s: float, set_back: timedelta, registry: HealthRegistry,
    clock: ManualClock,
) -> None:  # fmt: skip
    for _ in range(3 if outcome is Outcome.TRANSIENT else 1):
        admission = await registry.admit(A)
        found = attempt("a", outcome, retry_at=clock.now() + named if named else None)
        await registry.record(A, found, admission)
    clock.at -= set_back
    assert not (await registry.admit(A)).allowed
    clock.advance(wait_s - 1)
    assert not (await registry.admit(A)).allowed
    clock.advance(1)
    assert (await registry.admit(A)).allowed


async def test_a_time_that_is_too_far_away_for_its_cause_counts_from_now(
    registry: HealthRegistry, clock: ManualClock
) -> None:
    state = ProviderState("a", COOLING, open_reason="transient", trips=1, open_until=clock.now() + timedelta(days=3))
    await registry._shared.update("a", lambda found: (state, None))
    for _ in range(10):
        assert not (await registry.admit(A)).allowed
        clock.advance(COSTLY_COOLING_CAP_S / 10)
    assert (await registry.admit(A)).probe


def test_what_was_written_in_time_stays_as_it_is(clock: ManualClock) -> None:
    now = clock.now()
    well = ProviderState("a", OK, last_ok_at=now + LATE, updated_at=now + LATE)
    ill = replace(well, state=BLOCKED, open_reason="quota", closed_at=now, open_until=now + timedelta(days=30))
    for state in (ProviderState("a"), well, ill):
        assert as_of(state, now) == (state, None)
