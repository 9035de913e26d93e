"""Health as a person reads it: who serves each capability, how well, and what to do about those that do not.

Made from the stored state alone; nobody is called.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from aicmo.gateways import breaker
from aicmo.gateways.providers import PROVIDERS
from aicmo.provider_state import BLOCKED, OK, ProviderState

UNSUPPORTED = "unsupported"
NO_DATA = "no data"
SLOW = "slow"
DEGRADED_BELOW = 0.80
"""A provider that serves but scores less is shown as slow (a warning); see the hysteresis of the resilience notes, 4.2.
"""


@dataclass(frozen=True, slots=True)
class ProviderHealth:
    name: str
    kind: str
    state: str
    """``ok``, ``slow``, ``cooling``, ``blocked``, ``no data`` (never called) or ``unsupported`` (no such adapter here).
    """
    score: float | None
    """0-1; ``None`` when nothing was observed."""
    observations: float
    """How much stands behind the score, decayed; at most 20."""
    latency_ms: float | None
    last_success_at: datetime | None
    last_error: str
    last_error_at: datetime | None
    reason: str
    """Why it is closed: the outcome class; empty when it is not."""
    next_probe_at: datetime | None


@dataclass(frozen=True, slots=True)
class CapabilityHealth:
    capability: str
    status: str
    """``ok``: the first choice serves. ``warning``: another one does. ``critical``: nobody. ``unknown``: nobody was
    asked yet."""
    serving: str
    """The provider that a call made now would reach; empty when none."""
    providers: tuple[ProviderHealth, ...]


@dataclass(frozen=True, slots=True)
class Recommendation:
    severity: str
    provider: str
    cause: str
    action: str


@dataclass(frozen=True, slots=True)
class HealthReport:
    status: str
    """The worst of the capabilities; ``unknown`` when there are none."""
    capabilities: tuple[CapabilityHealth, ...]
    recommendations: tuple[Recommendation, ...]
    degraded: str
    """Why the state may not be the whole truth; empty when it is."""


ACTIONS: Mapping[str, tuple[str, str]] = {
    "auth": ("critical", "Set the right password or user name; it is used again as soon as it changes."),
    "quota": ("warning", "Wait for the allowance to be renewed, or raise it with the provider."),
    "rate_limited": ("warning", "Lower its limits in the configuration; it is used again by itself."),
    "transient": (
        "warning",
        "Nothing: it is tried again by itself. If it stays away, look at the provider's status page.",
    ),
}
"""Why a provider is closed -> how bad that is, and the one thing to do."""

_WORST_FIRST = ("critical", "warning", "unknown", "ok")


def health_report(
    chains: Mapping[str, Sequence[tuple[str, str]]],
    states: Mapping[str, ProviderState],
    now: datetime,
    *,
    degraded: str = "",
) -> HealthReport:
    """``chains`` is capability -> (provider name, kind) in order; ``states`` what is stored of them."""
    capabilities = tuple(_capability(name, chain, states, now) for name, chain in chains.items())
    seen = {provider.name: provider for capability in capabilities for provider in capability.providers}
    recommendations = tuple(
        Recommendation(
            ACTIONS[provider.reason][0],
            provider.name,
            provider.last_error or provider.reason,
            ACTIONS[provider.reason][1],
        )
        for provider in seen.values()
        if provider.reason in ACTIONS
    )
    statuses = {capability.status for capability in capabilities}
    status = next((each for each in _WORST_FIRST if each in statuses), "unknown")
    return HealthReport(status, capabilities, recommendations, degraded)


def _capability(
    name: str, chain: Sequence[tuple[str, str]], states: Mapping[str, ProviderState], now: datetime
) -> CapabilityHealth:
    providers = tuple(_provider(provider, kind, states.get(provider), now) for provider, kind in chain)
    usable = [provider.name for provider in providers if provider.state in (OK, SLOW, NO_DATA)]
    serving = usable[0] if usable else ""
    if not serving:
        status = "critical" if any(provider.reason for provider in providers) else "unknown"
    elif all(provider.state == NO_DATA for provider in providers):
        status = "unknown"
    else:
        status = "ok" if serving == providers[0].name and providers[0].state != SLOW else "warning"
    return CapabilityHealth(name, status, serving, providers)


def _provider(name: str, kind: str, state: ProviderState | None, now: datetime) -> ProviderHealth:
    if state is None or kind not in PROVIDERS:
        word = NO_DATA if kind in PROVIDERS else UNSUPPORTED
        return ProviderHealth(name, kind, word, None, 0.0, None, None, "", None, "", None)
    until = breaker.closed_until(state, now)
    score = breaker.score(state, now) if state.observations >= 1 else None
    word = state.state
    if word == OK:
        word = SLOW if score is not None and score < DEGRADED_BELOW else OK
    return ProviderHealth(
        name=name,
        kind=kind,
        state=word,
        score=score,
        observations=round(state.observations, 1),
        latency_ms=round(state.latency_s * 1000, 1) if state.latency_s is not None else None,
        last_success_at=state.last_ok_at,
        last_error=" ".join(part for part in (state.last_error_code, state.last_error_text) if part),
        last_error_at=state.last_error_at,
        reason=state.open_reason if word in (BLOCKED, "cooling") else "",
        next_probe_at=until,
    )
