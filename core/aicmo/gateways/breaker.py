"""When a provider is closed, for how long, and how it opens again: pure steps from one ``ProviderState`` to the next.

Two different questions are kept apart. *Is it down?* is answered by failures in a row, because three of them mean the
same at one call a second and at one call an hour. *How well does it do?* is answered by decayed sums with a cap and a
prior, which moves alike at any rate of calls. No state is without an exit: cooling ends by the clock, a block by a
reset time, by a changed credential, or by one slow probe an hour.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from aicmo.gateways.attempt import Attempt, Outcome
from aicmo.provider_state import BLOCKED, COOLING, OK, ProviderState, StateChange

Step = tuple[ProviderState, StateChange | None]

HALF_LIFE_S = 15 * 60.0
CAP = 20
"""At most this many observations are remembered, so that a long good past does not hide a bad present."""
PRIOR_WEIGHT, PRIOR = 10.0, 0.95
"""What is believed of a provider that nobody has called: worth ten observations at 95 %."""

TRIP_AFTER = 3
COOLING_S, COOLING_CAP_S = 15.0, 60.0
AUTH_PROBE_S = 3600.0
RATE_LIMIT_S = 60.0
"""How long a provider that names no time is left alone after "too fast"."""
QUOTA_S = 3600.0
"""The same after "allowance used up"."""
LEASE_S = 20.0
"""A probe that has not reported by then is inconclusive, and another may be sent."""

_LONGEST_S = {
    Outcome.RATE_LIMITED.value: 86_400.0,
    Outcome.QUOTA.value: 31 * 86_400.0,
    Outcome.AUTH.value: AUTH_PROBE_S,
}
"""The longest a stored time is believed, by what closed the provider: a wall clock may have been wrong."""

ANSWERED = frozenset({Outcome.OK, Outcome.MISS})
BLAMELESS = frozenset({Outcome.INPUT, Outcome.RECIPIENT, Outcome.CONTENT, Outcome.CANCELLED, Outcome.SKIPPED})
"""No verdict on the provider, except that one which answered with a code of its own can be reached."""
_COUNTS_AGAINST = frozenset({Outcome.TRANSIENT, Outcome.AMBIGUOUS})


def score(state: ProviderState, now: datetime) -> float:
    """How well it does, 0–1; 0.95 when nothing was observed lately. ``observations`` says how much stands behind it."""
    weight = _decay(state, now)
    return (state.successes * weight + PRIOR_WEIGHT * PRIOR) / (state.observations * weight + PRIOR_WEIGHT)


def closed_until(state: ProviderState, now: datetime) -> datetime | None:
    """When it may be tried again, or ``None``: that time has come, or it is not closed at all."""
    if state.state == OK or state.open_until is None:
        return None
    longest = _LONGEST_S.get(state.open_reason, COOLING_CAP_S)
    until = min(state.open_until, now + timedelta(seconds=longest))
    return until if until > now else None


def needs_probe(state: ProviderState) -> bool:
    """Whether one call must prove that it works before all may call. It was never sick when only a limit closed it."""
    return state.state != OK and state.open_reason not in (Outcome.RATE_LIMITED, Outcome.QUOTA)


def probe_under_way(state: ProviderState, now: datetime) -> bool:
    return state.lease_until is not None and now < state.lease_until <= now + timedelta(seconds=LEASE_S)


def take_probe(state: ProviderState, now: datetime, owner: str) -> Step:
    """The state with the probe in ``owner``'s hands, or unchanged when somebody else was first or it is not due."""
    if state.state == OK or closed_until(state, now) or probe_under_way(state, now):
        return state, None
    until = now + timedelta(seconds=LEASE_S)
    return replace(state, gen=state.gen + 1, lease_owner=owner, lease_until=until), None


def reopen(state: ProviderState, now: datetime, why: str) -> Step:
    """Back in service. A provider that is in service stays as it is."""
    if state.state == OK:
        return state, None
    opened = replace(
        state,
        state=OK,
        gen=state.gen + 1,
        consecutive_failures=0,
        trips=0,
        open_until=None,
        open_reason="",
        quota_reset_at=None,
        config_fingerprint="",
        lease_owner="",
        lease_until=None,
    )
    return opened, StateChange(state.name, now, state.state, OK, why)


def succeeded(state: ProviderState, now: datetime, count: int, latency_s: float) -> ProviderState:
    """``count`` successes of ``latency_s`` mean seconds, booked. Ends a streak of failures; opens nothing."""
    known = latency_s if state.latency_s is None else state.latency_s
    kept = (1 - 1 / CAP) ** count
    return replace(
        _observed(state, now, count, success=True),
        latency_s=known * kept + latency_s * (1 - kept),
        last_ok_at=now,
        consecutive_failures=0 if state.state == OK else state.consecutive_failures,
    )


def after(
    state: ProviderState,
    attempt: Attempt,
    *,
    gen: int,
    now: datetime,
    fingerprint: str = "",
    rng: Callable[[], float],
) -> Step:
    """The state after ``attempt``, which was admitted in generation ``gen``.

    A result of an older generation is counted, and decides nothing: it says how things were before. ``fingerprint`` is
    of the credential that was used; ``rng`` gives 0–1 for the jitter.
    """
    outcome, current = attempt.outcome, gen == state.gen
    if outcome in ANSWERED:
        state = succeeded(state, now, 1, attempt.latency_s)
        return reopen(state, now, "it answers again") if current else (state, None)
    if outcome in BLAMELESS:
        if not current:
            return state, None
        if outcome in (Outcome.CANCELLED, Outcome.SKIPPED) or not attempt.code:
            return _without_probe(state), None
        return reopen(replace(state, consecutive_failures=0), now, "it answers again")

    state = replace(
        state,
        last_error_at=now,
        last_error_class=outcome.value,
        last_error_code=attempt.code,
        last_error_text=attempt.detail[:200],
    )
    if outcome in _COUNTS_AGAINST:
        state = _observed(state, now, 1, success=False)
    if not current:
        return state, None
    if outcome in _COUNTS_AGAINST:
        state = replace(state, consecutive_failures=state.consecutive_failures + 1)
        if state.state == OK and state.consecutive_failures < TRIP_AFTER:
            return state, None
        base = min(COOLING_S * 2**state.trips, COOLING_CAP_S)
        until = now + timedelta(seconds=base / 2 + base / 2 * rng())  # equal jitter
        return _close(replace(state, trips=min(state.trips + 1, 10)), now, COOLING, until, attempt)
    if outcome is Outcome.RATE_LIMITED:
        return _close(state, now, COOLING, _later(attempt, now, RATE_LIMIT_S), attempt)
    if outcome is Outcome.QUOTA:
        state = replace(state, quota_reset_at=attempt.retry_at)
        return _close(state, now, BLOCKED, _later(attempt, now, QUOTA_S), attempt)
    state = replace(state, config_fingerprint=fingerprint)
    return _close(state, now, BLOCKED, now + timedelta(seconds=AUTH_PROBE_S), attempt)


def _close(state: ProviderState, now: datetime, to: str, until: datetime, attempt: Attempt) -> Step:
    reason = attempt.outcome.value
    news = (state.state, state.open_reason) != (to, reason)
    closed = replace(_without_probe(state), state=to, gen=state.gen + 1, open_until=until, open_reason=reason)
    why = " ".join(part for part in (attempt.phase, attempt.code, attempt.detail) if part) or reason
    return closed, StateChange(state.name, now, state.state, to, why) if news else None


def _without_probe(state: ProviderState) -> ProviderState:
    return replace(state, lease_owner="", lease_until=None)


def _later(attempt: Attempt, now: datetime, default_s: float) -> datetime:
    """The provider's own time when it lies ahead, else ``default_s`` from now."""
    if attempt.retry_at is not None and attempt.retry_at > now:
        return attempt.retry_at
    return now + timedelta(seconds=default_s)


def _observed(state: ProviderState, now: datetime, count: int, *, success: bool) -> ProviderState:
    """``count`` observations at once: the first ages the past by the time gone by, the others by the cap alone."""
    cap = 1 - 1 / CAP
    kept = min(_decay(state, now), cap) * cap ** (count - 1)
    gained = (1 - cap**count) / (1 - cap)
    return replace(
        state,
        successes=state.successes * kept + (gained if success else 0.0),
        observations=state.observations * kept + gained,
        updated_at=now,
    )


def _decay(state: ProviderState, now: datetime) -> float:
    if state.updated_at is None:
        return 1.0
    elapsed_s = max((now - state.updated_at).total_seconds(), 0.0)  # a clock set back ages nothing
    return math.exp(-elapsed_s * math.log(2) / HALF_LIFE_S)
