"""How well a provider does, as figures: what a call adds to what is remembered of those before it.

Decayed sums with a cap and a prior, so a score moves alike at one call a second and at one an hour; the latency of
successes alone, for a failure is no fast answer; and what the last trouble cost. Nothing here opens or closes anybody.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from aicmo.gateways.attempt import Outcome
from aicmo.provider_state import OK, ProviderState

HALF_LIFE_S = 15 * 60.0
CAP = 20
"""At most this many observations are remembered, so that a long good past does not hide a bad present."""
PRIOR_WEIGHT, PRIOR = 10.0, 0.95
"""What is believed of a provider that nobody has called: worth ten observations at 95 %."""
POOR_BELOW, WELL_ABOVE = 0.80, 0.90
"""A provider that serves is shown as doing badly from a score below the one until a score above the other."""
SLOW_TIMES, SLOW_FLOOR_S, PACE_LENGTH, PACE_SLOW = 3.0, 10.0, 10, 5
"""A success is slow beyond three times the usual and ten seconds; five slow ones of the last ten close."""
RECENT = 20
"""Calls whose latency is remembered one by one."""
FAILED = "-"
"""In their place, one that failed."""


def score(state: ProviderState, now: datetime) -> float:
    """How well it does, 0–1; 0.95 when nothing was observed lately. ``observations`` says how much stands behind it."""
    weight = _decay(state, now)
    return (state.successes * weight + PRIOR_WEIGHT * PRIOR) / (state.observations * weight + PRIOR_WEIGHT)


def does_poorly(state: ProviderState, now: datetime) -> bool:
    """Whether it is to be shown so. A score that recovers by time alone must pass the same upper mark."""
    return score(state, now) < (WELL_ABOVE if state.poor else POOR_BELOW)


def latencies_ms(state: ProviderState) -> tuple[int | None, ...]:
    """Of the last calls, oldest first; ``None`` for one that failed."""
    return tuple(None if each == FAILED else int(each) for each in state.recent.split())


def with_successes(state: ProviderState, now: datetime, latencies_s: Sequence[float]) -> ProviderState:
    """Successes of so many seconds each."""
    usual, spread, pace = state.latency_s, state.latency_spread_s, state.pace
    for latency_s in latencies_s:
        limit_s = SLOW_FLOOR_S if usual is None else max(SLOW_TIMES * usual, SLOW_FLOOR_S)
        pace = (pace + ("s" if usual is not None and latency_s > limit_s else "."))[-PACE_LENGTH:]
        if usual is None:
            usual, spread = latency_s, 0.0
            continue
        off_s = min(latency_s, limit_s) - usual
        usual += off_s / CAP
        spread = (spread or 0.0) + (abs(off_s) - (spread or 0.0)) / CAP
    return replace(
        _observed(state, now, len(latencies_s), success=True),
        latency_s=usual,
        latency_spread_s=spread,
        pace=pace,
        recent=_with_recent(state, [str(round(each * 1000)) for each in latencies_s[-RECENT:]]),
        last_ok_at=now,
        inputs="",
    )


def with_failure(state: ProviderState, now: datetime) -> ProviderState:
    return replace(_observed(state, now, 1, success=False), recent=_with_recent(state, [FAILED]))


def with_cost(state: ProviderState, outcome: Outcome) -> ProviderState:
    """A call that came to nothing, put on the bill of its trouble; the first failure in service begins a new bill."""
    if state.state == OK and not state.consecutive_failures:
        state = replace(state, elsewhere=0, wasted=0, unknown=0)
    if outcome is Outcome.AMBIGUOUS:
        return replace(state, unknown=state.unknown + 1)
    return replace(state, wasted=state.wasted + 1)


def _with_recent(state: ProviderState, more: Sequence[str]) -> str:
    return " ".join([*state.recent.split(), *more][-RECENT:])


def _observed(state: ProviderState, now: datetime, count: int, *, success: bool) -> ProviderState:
    """``count`` observations at once: the first ages the past by the time gone by, the others by the cap alone."""
    cap = 1 - 1 / CAP
    kept = min(_decay(state, now), cap) * cap ** (count - 1)
    gained = (1 - cap**count) / (1 - cap)
    observed = replace(
        state,
        successes=state.successes * kept + (gained if success else 0.0),
        observations=state.observations * kept + gained,
        updated_at=now,
    )
    return replace(observed, poor=does_poorly(observed, now))


def _decay(state: ProviderState, now: datetime) -> float:
    if state.updated_at is None:
        return 1.0
    elapsed_s = max((now - state.updated_at).total_seconds(), 0.0)  # a clock set back ages nothing
    return math.exp(-elapsed_s * math.log(2) / HALF_LIFE_S)
