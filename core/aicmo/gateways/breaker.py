"""When a provider is closed, for how long, and how it opens again: pure steps from one ``ProviderState`` to the next.

::

    ok ──3 failures in a row, or a bad score, or slow──> cooling ──a probe answers──> probing ──2 real successes──> ok
     └──quota, credential, reputation──> blocked ────────────┘  └──fails──> cooling, for longer

Two different questions are kept apart. *Is it down?* is answered by failures in a row, because three of them mean the
same at one call a second and at one call an hour. *How well does it do?* is answered by decayed sums with a cap and a
prior, which moves alike at any rate of calls. No state is without an exit: cooling ends by the clock, a block by a
reset time, by a changed credential, by a person, or by one slow probe an hour; an override by its expiry.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from aicmo.clock import parse_rfc3339, rfc3339
from aicmo.gateways import refused_input
from aicmo.gateways.attempt import Attempt, Outcome
from aicmo.gateways.observed import PACE_LENGTH, PACE_SLOW, score, with_cost, with_failure, with_successes
from aicmo.provider_state import BLOCKED, COOLING, DISABLED, OK, PROBING, ProviderState, StateChange

Step = tuple[ProviderState, StateChange | None]

TRIP_AFTER = 3
"""Failures in a row without an answer (refused, timed out). At 5 % noise that is one false alarm in 10,000 calls."""
TRIP_AFTER_ANSWERED = 5
"""Failures in a row that came with a code of the provider's own: somebody is at home."""
TRIP_BELOW, TRIP_OBSERVATIONS, TRIP_BAD_IN_A_ROW = 0.5, 5, 2
"""A brown-out that never fails often enough in a row: score, observations behind it, and the last calls both bad. (The
last, because after a long outage the score takes several good calls to recover, and one bad one then proves nothing.)
"""
COOLING_S, COOLING_CAP_S, COSTLY_COOLING_CAP_S = 15.0, 60.0, 300.0
"""15 s x 2^n; the cap is the higher one where finding out takes a real call."""
AWAY_SHARE, DORMANT_S = 1 / 8, 15 * 60.0
"""Who has been away for long is asked less often: after an eighth of that time, at most every quarter of an hour."""
FLAPS, FLAP_WINDOW_S, HOLD_S, HOLD_CAP_S = 6, 30 * 60.0, 5 * 60.0, 3600.0
"""That many times out of service and back within the window: held back for 5 min x 2^n."""
PROOFS = 2
"""Real successes, one call at a time, that bring a provider back after a probe."""
CALM_S = 15 * 60.0
"""Where nobody makes real calls, checks that stay good for so long are proof enough."""
REFUSALS, REFUSAL_WINDOW_S, REPUTATION_S = 3, 3600.0, 86_400.0
"""So many people's mail refused for its content within the window: blocked for a day, or until a person says go."""
AUTH_PROBE_S = 3600.0
RATE_LIMIT_S = 60.0
"""How long a provider that names no time is left alone after "too fast"."""
QUOTA_S = 3600.0
"""The same after "allowance used up"."""
LEASE_S = 18.0
"""A probe that has not reported by then is inconclusive, and another may be sent. Where its carrier was killed, another
is so on its way within twenty seconds."""
LEASE_BELIEVED_S = 2 * LEASE_S
"""A lease that ends later was written by a clock that was wrong. It is more than ``LEASE_S`` because whoever took
the lease may have read the clock a moment after the one who finds it taken."""
OVERRIDE_LONGEST_S = 31 * 86_400.0

SLOW, FLAPPING, REPUTATION = "slow", "flapping", "reputation"
"""What can close a provider besides an outcome."""
_LONGEST_S = {
    Outcome.RATE_LIMITED.value: 86_400.0,
    Outcome.QUOTA.value: 31 * 86_400.0,
    Outcome.AUTH.value: AUTH_PROBE_S,
    REPUTATION: REPUTATION_S,
    FLAPPING: HOLD_CAP_S,
}
"""The longest a stored time is believed, by what closed the provider: a wall clock may have been wrong."""

ANSWERED = frozenset({Outcome.OK, Outcome.MISS})
BLAMELESS = frozenset({Outcome.INPUT, Outcome.RECIPIENT, Outcome.CONTENT, Outcome.CANCELLED, Outcome.SKIPPED})
"""No verdict on the provider, except that one which answered with a code of its own can be reached."""
_COUNTS_AGAINST = frozenset({Outcome.TRANSIENT, Outcome.AMBIGUOUS})
_FAILING = frozenset({Outcome.TRANSIENT.value, SLOW, FLAPPING})
"""Reasons of a provider that is ill, and not merely held back by a limit or a person."""


# --- reading a state ------------------------------------------------------------------------------------------------


def closed_until(state: ProviderState, now: datetime) -> datetime | None:
    """When it may be tried again, or ``None``: that time has come, or it is not closed at all."""
    if state.state in (OK, PROBING) or state.open_until is None:
        return None
    until = min(state.open_until, now + longest_wait(state))
    return until if until > now else None


def longest_wait(state: ProviderState) -> timedelta:
    """How long it can stay closed at the most before it is tried again, whatever the clock does."""
    usual_s = COSTLY_COOLING_CAP_S if state.trips < 5 else DORMANT_S
    return timedelta(seconds=_LONGEST_S.get(state.open_reason, usual_s))


def needs_probe(state: ProviderState) -> bool:
    """Whether one call must prove that it works before all may call.

    It was never sick when only a limit closed it whose end was known.
    """
    if state.state == OK or state.open_reason == Outcome.RATE_LIMITED:
        return False
    return state.open_reason != Outcome.QUOTA or state.quota_reset_at is None


def probe_under_way(state: ProviderState, now: datetime) -> bool:
    return state.lease_until is not None and now < state.lease_until <= now + timedelta(seconds=LEASE_BELIEVED_S)


def override_of(state: ProviderState, now: datetime) -> str:
    """``forced`` or ``disabled`` while a person's word stands; else empty."""
    if not state.override or state.override_until is None or state.override_until <= now:
        return ""
    return state.override


def since(state: ProviderState, now: datetime) -> datetime | None:
    """Since when it stands as it does: a person's word, out of service, or back in it. ``None``: it was never away."""
    if override_of(state, now):
        return state.override_at
    if state.state not in (OK, PROBING):
        return state.closed_at
    ended_at = state.override_until if state.override else None  # expired, and nobody has called since
    return max((at for at in (ended_at, state.back_at) if at is not None), default=None)


# --- a person's word ------------------------------------------------------------------------------------------------


def override(state: ProviderState, now: datetime, word: str, until: datetime) -> Step:
    """Forced or disabled until then, at most a month."""
    until = min(until, now + timedelta(seconds=OVERRIDE_LONGEST_S))
    why = f"by hand, for {_in_words(until - now)}"
    after = replace(state, override=word, override_until=until, override_at=now)
    if word == DISABLED and state.state == OK:
        after = replace(after, elsewhere=0, wasted=0, unknown=0)
    return after, StateChange(state.name, now, state.override or state.state, word, why)


def without_override(state: ProviderState, now: datetime) -> Step:
    """As it was, when the override has expired."""
    if not state.override or override_of(state, now):
        return state, None
    ended = replace(state, override="", override_until=None, override_at=None, back_at=since(state, now))
    return ended, StateChange(state.name, now, state.override, state.state, "the override has expired")


def reset(state: ProviderState, now: datetime) -> Step:
    """In service, with a clean slate; what was observed stays observed."""
    clean = replace(
        reopen(state, now, "")[0],
        gen=state.gen + 1,
        consecutive_failures=0,
        flips="",
        holds=0,
        refusals="",
        override="",
        override_until=None,
        override_at=None,
        back_at=now,
        inputs="",
    )
    return clean, StateChange(state.name, now, state.override or state.state, OK, "reset by hand")


def _in_words(span: timedelta) -> str:
    """``30 min``, ``2 h``, ``7 d``: in the greatest unit that says it exactly enough."""
    minutes = max(round(span.total_seconds() / 60), 1)
    if minutes < 120:
        return f"{minutes} min"
    return f"{round(minutes / 60)} h" if minutes < 2 * 1440 else f"{round(minutes / 1440)} d"


# --- probes ---------------------------------------------------------------------------------------------------------


def take_probe(state: ProviderState, now: datetime, owner: str, *, early: bool = False) -> Step:
    """The state with the one allowed call in ``owner``'s hands; unchanged when somebody else has it or it is not due.

    ``early``: a person asked not to wait for the end of cooling.
    """
    if state.state == OK or probe_under_way(state, now) or (closed_until(state, now) and not early):
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
        closed_at=None,
        back_at=now,
        proved=0,
        pace="",
        refusals="",
        flips=_flipped(state, now) if state.open_reason in _FAILING else state.flips,
    )
    return opened, StateChange(state.name, now, BLOCKED if state.state == BLOCKED else COOLING, OK, why)


def forgive(state: ProviderState, now: datetime, before: ProviderState, after: ProviderState) -> Step:
    """As it stood ``before`` failures that were not its own, unless more has happened to it since ``after``."""
    if state != after:
        return state, None
    restored = replace(before, gen=state.gen + 1, lease_owner="", lease_until=None)
    if state.state == before.state:
        return restored, None
    return restored, StateChange(state.name, now, state.state, before.state, "there was no network")


# --- what a call teaches --------------------------------------------------------------------------------------------


def succeeded(state: ProviderState, now: datetime, latencies_s: Sequence[float]) -> Step:
    """Successes of so many seconds each, booked. They end a streak of failures, open nothing, and close when slow."""
    booked = with_successes(state, now, latencies_s)
    if booked.state == OK:
        booked = replace(booked, consecutive_failures=0)
    pace = booked.pace
    if booked.state != OK or len(pace) < PACE_LENGTH or pace.count("s") < PACE_SLOW:
        return booked, None
    until = now + timedelta(seconds=COOLING_S)
    why = f"{pace.count('s')} of its last {PACE_LENGTH} answers were slow"
    return _close(replace(booked, pace="", trips=1), now, COOLING, until, SLOW, why)


def after(
    state: ProviderState,
    attempt: Attempt,
    *,
    gen: int,
    now: datetime,
    rng: Callable[[], float],
    fingerprint: str = "",
    cap_s: float = COOLING_CAP_S,
    synthetic: bool = False,
    concerning: str = "",
    record: str = "",
) -> Step:
    """The state after ``attempt``, which was admitted in generation ``gen``.

    A result of an older generation is counted, and decides nothing: it says how things were before; so twenty calls
    that time out together close once and grow the cooling once. Only a time that the provider named is kept whenever
    it was named. ``fingerprint`` is of the credential that was used, ``cap_s`` the longest cooling, ``rng`` gives 0–1
    for the jitter. ``synthetic``: it was a check and no real work. ``concerning`` stands for whom it was meant for,
    ``record`` for what it was about.
    """
    outcome, current = attempt.outcome, gen == state.gen
    if outcome in ANSWERED:
        if synthetic:
            return _answers(state, now) if current else (state, None)
        state, change = succeeded(state, now, (attempt.latency_s,))
        if not current or change is not None or state.state == OK:
            return state, change
        return _proven(state, now)
    if outcome in BLAMELESS:
        return _blameless(state, attempt, now, concerning, record) if current else (state, None)

    state = _with_last_error(state, attempt, now)
    if not synthetic:
        state = with_cost(state, outcome)
    if outcome in _COUNTS_AGAINST:
        state = with_failure(state, now)
    if not current:
        return _heeding(state, attempt, now)
    if outcome in _COUNTS_AGAINST:
        state = replace(state, consecutive_failures=state.consecutive_failures + 1)
        if state.state == OK and not _is_down(state, attempt, now) and not _names_a_time(attempt, now):
            return state, None
        return _cool(state, attempt, now, cap_s, rng)
    if outcome is Outcome.RATE_LIMITED:
        return _close(state, now, COOLING, _later(attempt, now, RATE_LIMIT_S), outcome.value, _why(attempt))
    if outcome is Outcome.QUOTA:
        known = attempt.retry_at if attempt.retry_at is not None and attempt.retry_at > now else None
        state = replace(state, quota_reset_at=known)
        return _close(state, now, BLOCKED, _later(attempt, now, QUOTA_S), outcome.value, _why(attempt))
    state = replace(state, config_fingerprint=fingerprint)
    return _close(state, now, BLOCKED, now + timedelta(seconds=AUTH_PROBE_S), outcome.value, _why(attempt))


def _heeding(state: ProviderState, attempt: Attempt, now: datetime) -> Step:
    """An old result decides nothing, except that nobody comes back before the time that the provider named."""
    if attempt.outcome is not Outcome.RATE_LIMITED or not _names_a_time(attempt, now) or state.state == BLOCKED:
        return state, None
    until = _later(attempt, now, RATE_LIMIT_S)
    if state.state == COOLING and state.open_until is not None and state.open_until >= until:
        return state, None
    return _close(state, now, COOLING, until, Outcome.RATE_LIMITED.value, _why(attempt))


def _names_a_time(attempt: Attempt, now: datetime) -> bool:
    """Whether the provider said when to come back (RFC 9110 10.2.3)."""
    return attempt.retry_at is not None and attempt.retry_at > now


def _is_down(state: ProviderState, attempt: Attempt, now: datetime) -> bool:
    if state.consecutive_failures >= (TRIP_AFTER_ANSWERED if attempt.code else TRIP_AFTER):
        return True
    bad_in_a_row = state.consecutive_failures >= TRIP_BAD_IN_A_ROW
    return bad_in_a_row and state.observations >= TRIP_OBSERVATIONS and score(state, now) < TRIP_BELOW


def _answers(state: ProviderState, now: datetime) -> Step:
    """A check went well, or something that proves as much: real calls may try it, one at a time."""
    if state.state == OK:
        return replace(state, last_ok_at=now), None
    if state.state == PROBING:
        if state.open_until is not None and now >= state.open_until:
            return reopen(state, now, "its checks are good")
        return _without_probe(state), None
    calm_at = now + timedelta(seconds=CALM_S)
    return replace(_without_probe(state), state=PROBING, proved=0, open_until=calm_at, back_at=now), None


def _proven(state: ProviderState, now: datetime) -> Step:
    """One more real success of a provider that is not yet back."""
    proved = state.proved + 1
    if proved >= PROOFS:
        return reopen(state, now, "it answers again")
    return replace(_answers(state, now)[0], proved=proved), None


def _blameless(state: ProviderState, attempt: Attempt, now: datetime, concerning: str, record: str) -> Step:
    if attempt.outcome is Outcome.INPUT:
        state = replace(state, inputs=refused_input.sampled(state.inputs, attempt, record, now))
    if attempt.outcome is Outcome.CONTENT and attempt.code and not attempt.permanent:
        state = _refused(state, now, concerning)
        if len(state.refusals.split()) >= REFUSALS or (state.state != OK and state.open_reason == REPUTATION):
            until = now + timedelta(seconds=REPUTATION_S)
            state = replace(_with_last_error(state, attempt, now), refusals="")
            return _close(state, now, BLOCKED, until, REPUTATION, _why(attempt))
    if state.state == OK:
        return state, None
    unheard = attempt.outcome in (Outcome.CANCELLED, Outcome.SKIPPED) or not attempt.code
    if unheard or state.state == PROBING:
        return _without_probe(state), None
    return _answers(state, now)


def _refused(state: ProviderState, now: datetime, concerning: str) -> ProviderState:
    """With one more person whose mail was refused; the same person counts once."""
    if not concerning:
        return state
    recent = [it for it in state.refusals.split() if _within(it.partition("@")[2], now, REFUSAL_WINDOW_S)]
    others = [it for it in recent if it.partition("@")[0] != concerning]
    return replace(state, refusals=" ".join([*others, f"{concerning}@{rfc3339(now)}"][-REFUSALS:]))


def _cool(state: ProviderState, attempt: Attempt, now: datetime, cap_s: float, rng: Callable[[], float]) -> Step:
    away_s = (now - state.closed_at).total_seconds() if state.closed_at else 0.0
    base_s = max(min(COOLING_S * 2.0 ** min(state.trips, 20), cap_s), min(away_s * AWAY_SHARE, DORMANT_S))
    until = now + timedelta(seconds=base_s / 2 + base_s / 2 * rng())  # equal jitter
    if _names_a_time(attempt, now):
        until = max(until, _later(attempt, now, 0.0))
    state = replace(state, trips=state.trips + 1)
    return _close(state, now, COOLING, until, Outcome.TRANSIENT.value, _why(attempt))


def _close(state: ProviderState, now: datetime, to: str, until: datetime, reason: str, why: str) -> Step:
    if state.state == OK and reason in (SLOW, REPUTATION):  # no failure has begun a bill
        state = replace(state, elsewhere=0, wasted=0, unknown=0)
    if state.state == OK and reason in _FAILING:
        calm = not any(_within(it, now, FLAP_WINDOW_S) for it in state.flips.split())
        state = replace(state, flips=_flipped(state, now), holds=0 if calm else state.holds)
        if len(state.flips.split()) >= FLAPS:
            hold_s = min(HOLD_S * 2.0**state.holds, HOLD_CAP_S)
            until, reason = now + timedelta(seconds=hold_s), FLAPPING
            state = replace(state, holds=min(state.holds + 1, 20))
    # A failed probe is no news: one line for each outage.
    ill = state.open_reason in _FAILING and reason in _FAILING
    news = state.state == OK or (state.open_reason != reason and not ill)
    closed = replace(
        _without_probe(state),
        state=to,
        gen=state.gen + 1,
        open_until=until,
        open_reason=reason,
        closed_at=state.closed_at or now,
        proved=0,
    )
    before = COOLING if state.state == PROBING else state.state
    why = f"{reason}: {why}" if reason in (SLOW, FLAPPING, REPUTATION) else why or reason
    return closed, StateChange(state.name, now, before, to, why) if news else None


def _with_last_error(state: ProviderState, attempt: Attempt, now: datetime) -> ProviderState:
    return replace(
        state,
        last_error_at=now,
        last_error_class=attempt.outcome.value,
        last_error_code=attempt.code,
        last_error_text=attempt.detail[:200],
    )


def _why(attempt: Attempt) -> str:
    return " ".join(part for part in (attempt.phase, attempt.code, attempt.detail) if part)


def _without_probe(state: ProviderState) -> ProviderState:
    return replace(state, lease_owner="", lease_until=None)


def _later(attempt: Attempt, now: datetime, default_s: float) -> datetime:
    """The provider's own time when it lies ahead, else ``default_s`` from now."""
    if attempt.retry_at is not None and attempt.retry_at > now:
        return attempt.retry_at
    return now + timedelta(seconds=default_s)


def _flipped(state: ProviderState, now: datetime) -> str:
    recent = [it for it in state.flips.split() if _within(it, now, FLAP_WINDOW_S)]
    return " ".join([*recent, rfc3339(now)][-FLAPS:])


def _within(moment: str, now: datetime, window_s: float) -> bool:
    return 0 <= (now - parse_rfc3339(moment)).total_seconds() < window_s
