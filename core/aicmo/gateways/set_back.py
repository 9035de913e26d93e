"""A provider's times after the wall clock was set back: what now lies in the future was written a moment ago.

Without that a provider that cools for a minute would stay closed as much longer as the clock was set back. The true
times cannot be known; the latest that was written is taken for now, and the others keep their distance from it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from aicmo.gateways.breaker import Step, longest_wait
from aicmo.provider_state import ProviderState

SLACK = timedelta(seconds=5)
"""Whoever writes may have read the clock a moment after whoever reads."""
_WRITTEN = ("updated_at", "last_ok_at", "last_error_at", "closed_at", "back_at")


def is_ahead(state: ProviderState, now: datetime) -> bool:
    """Whether something was written later than now, or is to last longer than it ever could."""
    too_long = state.open_until is not None and state.open_until > now + longest_wait(state) + SLACK
    return too_long or _ahead(state, now) > SLACK


def as_of(state: ProviderState, now: datetime) -> Step:
    """The state as it would stand if the clock had always gone like this one; the same where nothing is ahead."""
    if not is_ahead(state, now):
        return state, None
    times = {name: min(at, now) for name in _WRITTEN if (at := getattr(state, name)) is not None}
    if state.open_until is not None:
        times["open_until"] = min(state.open_until - _ahead(state, now), now + longest_wait(state))
    return replace(state, **times), None


def _ahead(state: ProviderState, now: datetime) -> timedelta:
    written = [at for name in _WRITTEN if (at := getattr(state, name)) is not None]
    return max(max(written, default=now) - now, timedelta())
