"""What is remembered of a provider, as plain data.

``gateways`` decides what a state means and ``store`` writes it down; neither knows the other, so the shape of the
record stands here, between them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache

OK = "ok"
COOLING = "cooling"
"""Closed for a time that is known; opens by itself."""
BLOCKED = "blocked"
"""Closed until something changes: a credential, a quota's reset. Looked at again at ``open_until`` all the same."""

PROBING = "probing"
"""It answers again, and is called by one caller at a time until it has proved itself."""

FORCED = "forced"
DISABLED = "disabled"
"""A person's word that stands above the state until ``override_until``: use it all the same, or do not use it."""

EVENTS_KEPT = 200


@dataclass(frozen=True, slots=True)
class ProviderState:
    """One provider, as all processes see it. Times are UTC and aware. The defaults are a provider nobody has called."""

    name: str
    state: str = OK
    gen: int = 0
    """Grows with every change of state and every probe; a result that began in an older generation decides nothing."""
    consecutive_failures: int = 0
    successes: float = 0.0
    """Decayed sum of successes, as of ``updated_at``."""
    observations: float = 0.0
    """Decayed count of everything that counts, as of ``updated_at``; at most 20."""
    latency_s: float | None = None
    """Decayed mean of successful calls, in seconds; ``None`` before the first."""
    updated_at: datetime | None = None
    open_until: datetime | None = None
    """When a cooling or blocked provider is tried again."""
    open_reason: str = ""
    """What closed it: an outcome class (``transient``, ``rate_limited``, ``quota``, ``auth``), ``slow``, ``flapping``
    or ``reputation``."""
    trips: int = 0
    """How many times in a row it was closed or failed a probe; the cooling time grows with it."""
    lease_owner: str = ""
    """Who carries the one call that is allowed now, until ``lease_until``."""
    lease_until: datetime | None = None
    last_ok_at: datetime | None = None
    last_error_at: datetime | None = None
    last_error_class: str = ""
    last_error_code: str = ""
    last_error_text: str = ""
    config_fingerprint: str = ""
    """Of the credential and address that were refused; a different one unblocks."""
    quota_reset_at: datetime | None = None
    closed_at: datetime | None = None
    """Since when it has been out of service; ``None`` while it is in service."""
    proved: int = 0
    """Real calls that went well since it answered a probe."""
    pace: str = ""
    """The last ten successes, the newest last: ``.`` in good time, ``s`` slow."""
    flips: str = ""
    """When it last went out of service or came back: RFC 3339 times, at most six, oldest first."""
    holds: int = 0
    """How many times in a row it was held back for flapping; the hold grows with it."""
    refusals: str = ""
    """Whose mail it last refused for its content: ``hash@RFC 3339 time``, at most three."""
    override: str = ""
    """``forced``, ``disabled``, or empty."""
    override_until: datetime | None = None
    override_at: datetime | None = None
    """Since when a person's word stands."""
    back_at: datetime | None = None
    """When it was last put back in service, or first answered again; ``None`` when it was never away."""
    poor: bool = False
    """Shown as doing badly: from a score below 0.80 until one above 0.90, so that the word does not flicker."""
    latency_spread_s: float | None = None
    """Decayed mean of how far successful calls were from ``latency_s``; ``None`` before the first."""
    recent: str = ""
    """Milliseconds of the last twenty calls, oldest first; ``-`` for one that failed."""
    elsewhere: int = 0
    """What its last trouble cost: pieces of work that another provider did in its place,"""
    wasted: int = 0
    """calls to it that failed,"""
    unknown: int = 0
    """and calls to it of which nobody knows what came."""
    inputs: str = ""
    """Samples of our own bad input, when the last calls were nothing else: see ``gateways.refused_input``."""


@cache
def never_called(name: str) -> ProviderState:
    """The state of a provider of which nothing is known."""
    return ProviderState(name)


@dataclass(frozen=True, slots=True)
class StateChange:
    """A provider went from one state to another, and why."""

    name: str
    at: datetime
    before: str
    after: str
    why: str
    """One plain line for a person, without secrets."""
    by: str = ""
    """The process that saw it: ``aicmo run, pid 4121``; empty when that was not written down."""


Change = Callable[[ProviderState], tuple[ProviderState, StateChange | None]]
"""A pure step from the stored state to the next; run inside the store's transaction, so no update is lost."""
