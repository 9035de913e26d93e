"""Health as a person reads it: who serves each capability, how well, and what to do about those that do not.

Made from what is stored alone; nobody is called. What is not known is called so: a provider nobody has called is not
healthy, and what was seen too long ago says nothing of now.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from aicmo.check_state import SelfCheck
from aicmo.gateways import breaker, observed, refused_input
from aicmo.gateways.attempt import Outcome, Quota
from aicmo.gateways.limits import Estimate
from aicmo.gateways.providers import PROVIDERS
from aicmo.gateways.recommendations import Recommendation, recommend
from aicmo.provider_state import BLOCKED, COOLING, DISABLED, FORCED, OK, PROBING, ProviderState, StateChange
from aicmo.token_state import TokenStanding

UNSUPPORTED = "unsupported"
NO_DATA = "no data"
SLOW = "slow"
FLAPPING = breaker.FLAPPING
SERVING = frozenset({OK, SLOW, PROBING, FORCED, NO_DATA})
"""The states in which a call would be let through."""
LOW_BELOW = 0.2
"""Less than this share of a quota or budget is a warning."""
UNKNOWN_SINCE_S = 3600.0
"""Sends whose outcome has been unknown for longer are critical: by now the evidence would have come."""
SKEW_S = 300.0
"""What is stored further in the future was written by a clock that was wrong, or is read by one."""
SECOND_HELPS = frozenset({"email_sending", "lead_enrichment", "email_verification"})
"""Where a second provider can do the same work. A CRM base, a mailbox and a website are one of a kind."""

_WORST_FIRST = ("critical", "warning", "unknown", "ok")


@dataclass(frozen=True, slots=True)
class ToldQuota:
    """What a provider said was left."""

    quota: Quota
    told_at: datetime

    @property
    def low(self) -> bool:
        left, limit = self.quota.left, self.quota.limit
        return left is not None and (left <= 0 or (limit is not None and left < LOW_BELOW * limit))


@dataclass(frozen=True, slots=True)
class LoweredRate:
    """A rate that the provider itself allows less of than is configured."""

    span: str
    """``second``, ``minute``, ``hour`` or ``day``."""
    allowed: int
    """What is used: the provider's word."""
    configured: int
    until: datetime
    """When its word is no longer believed, unless it says so again."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a provider's last trouble cost."""

    elsewhere: int
    """Pieces of work that another provider did in its place."""
    wasted: int
    """Calls to it that failed."""
    unknown: int
    """Calls to it of which nobody knows what came."""

    @property
    def told(self) -> str:
        return f"{self.elsewhere:,} sent elsewhere, {self.wasted:,} wasted, {self.unknown:,} unknown"


@dataclass(frozen=True, slots=True)
class ProviderHealth:
    name: str
    kind: str
    state: str
    """``ok``, ``slow``, ``cooling``, ``flapping`` (held back), ``probing`` (answers again, one call at a time),
    ``blocked``, ``disabled`` and ``forced`` (a person's word), ``no data`` (never called) or ``unsupported`` (no such
    adapter here)."""
    score: float | None
    """0-1; ``None`` when nothing was observed."""
    observations: float
    """How much stands behind the score, decayed; at most 20."""
    latency_ms: float | None
    last_success_at: datetime | None
    last_error: str
    last_error_at: datetime | None
    reason: str
    """Why it is closed: the outcome class, ``reputation``, ``disabled``, ``config`` and the like; empty when it is not.
    """
    next_probe_at: datetime | None
    since: datetime | None = None
    """Since when it is so: out of service, back in it, or under a person's word; ``None`` when it was never away."""
    closed_at: datetime | None = None
    """Since when it has been out of service."""
    latency_spread_ms: float | None = None
    """How far successful calls are from ``latency_ms``, on average."""
    recent_ms: tuple[int | None, ...] = ()
    """Of its last calls, oldest first, ``None`` for one that failed; of its last self-checks where nobody called it."""
    cost: Cost | None = None
    """``None`` when its last trouble cost nothing, or it had none."""
    refused_input: tuple[str, ...] = ()
    """Samples of our own bad input, when its last calls were refused for nothing else."""
    lowered: tuple[LoweredRate, ...] = ()
    override_until: datetime | None = None
    """When a person's word ends; ``None`` when there is none."""
    check: SelfCheck | None = None
    """Its last self-check; ``None`` before the first."""
    quota: ToldQuota | None = None
    """``None`` when the provider tells none, or was not asked yet."""
    budgets: tuple[Estimate, ...] = ()
    """Of this month, one per unit that has a limit; ``cost`` is 0."""
    token: TokenStanding | None = None
    """``None`` when it logs in without OAuth tokens of ours."""

    @property
    def seen_at(self) -> datetime | None:
        """When anything was last heard of it."""
        checked_at = self.check.checked_at if self.check else None
        return max((at for at in (self.last_success_at, self.last_error_at, checked_at) if at), default=None)


@dataclass(frozen=True, slots=True)
class CapabilityHealth:
    capability: str
    status: str
    """``ok``: the first choice serves, and well. ``warning``: another one does, or its quota runs low. ``critical``:
    nobody does. ``unknown``: nobody was asked, or not lately."""
    serving: str
    """The provider that a call made now would reach; empty when none."""
    providers: tuple[ProviderHealth, ...]
    since: datetime | None = None
    """Since when that one serves, where it is known."""


@dataclass(frozen=True, slots=True)
class HealthReport:
    status: str
    """The worst of the capabilities; ``critical`` also without a network or with sends unknown for an hour;
    ``unknown`` when there are no capabilities, or the store cannot be used."""
    capabilities: tuple[CapabilityHealth, ...]
    recommendations: tuple[Recommendation, ...]
    degraded: str
    """Why the state may not be the whole truth; empty when it is."""
    unknown_sends: int | None = 0
    """Deliveries whose outcome nobody knows; ``None`` when the ledger could not be read."""
    changes: tuple[StateChange, ...] = ()
    """The last changes of state, newest first."""


@dataclass(frozen=True, slots=True)
class UnknownSends:
    """What the ledger says of deliveries that may or may not have happened."""

    count: int = 0
    since: datetime | None = None
    """Of the oldest."""
    campaign_id: int | None = None
    """Where the oldest is."""


@dataclass(frozen=True, slots=True)
class Beside:
    """What a report says besides the providers' stored state. The defaults are: nothing of note."""

    checks: Mapping[str, SelfCheck] = field(default_factory=dict)
    budgets: Mapping[str, tuple[Estimate, ...]] = field(default_factory=dict)
    tokens: Mapping[str, TokenStanding] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    """Provider -> why its configuration cannot be used."""
    lowered: Mapping[str, tuple[LoweredRate, ...]] = field(default_factory=dict)
    changes: Sequence[StateChange] = ()
    unknown: UnknownSends | None = UnknownSends()
    """``None`` when the ledger could not be read."""
    offline: bool = False
    degraded: str = ""
    degraded_action: str = ""
    stale_after_s: float = float("inf")


NOTHING_BESIDE = Beside()


def health_report(
    chains: Mapping[str, Sequence[tuple[str, str]]],
    states: Mapping[str, ProviderState],
    now: datetime,
    beside: Beside = NOTHING_BESIDE,
) -> HealthReport:
    """``chains`` is capability -> (provider name, kind) in order; ``states`` what is stored of them."""
    capabilities = tuple(_capability(name, chain, states, now, beside) for name, chain in chains.items())
    statuses = {capability.status for capability in capabilities}
    long_unknown = beside.unknown is not None and _older(beside.unknown.since, now, UNKNOWN_SINCE_S)
    if beside.offline or long_unknown:
        statuses.add("critical")
    status = next((each for each in _WORST_FIRST if each in statuses), "unknown")
    if beside.degraded:
        status = "unknown"
    recommendations = tuple(_recommendations(capabilities, now, beside))
    unknown = beside.unknown.count if beside.unknown is not None else None
    return HealthReport(status, capabilities, recommendations, beside.degraded, unknown, tuple(beside.changes))


def _capability(
    name: str, chain: Sequence[tuple[str, str]], states: Mapping[str, ProviderState], now: datetime, beside: Beside
) -> CapabilityHealth:
    providers = tuple(_provider(provider, kind, states.get(provider), now, beside) for provider, kind in chain)
    serving = next((provider for provider in providers if provider.state in SERVING), None)
    if serving is None:
        status = "critical" if any(provider.reason for provider in providers) else "unknown"
        return CapabilityHealth(name, status, "", providers)
    first = serving is providers[0]
    if first and (serving.state == NO_DATA or _older(serving.seen_at, now, beside.stale_after_s)):
        status = "unknown"
    elif first and serving.state == OK and not _runs_low(serving):
        status = "ok"
    else:
        status = "warning"
    return CapabilityHealth(name, status, serving.name, providers, _since(serving, providers))


def _provider(name: str, kind: str, state: ProviderState | None, now: datetime, beside: Beside) -> ProviderHealth:
    if kind not in PROVIDERS:
        return ProviderHealth(name, kind, UNSUPPORTED, None, 0.0, None, None, "", None, "", None)
    if name in beside.refused:
        return ProviderHealth(name, kind, BLOCKED, None, 0.0, None, None, beside.refused[name], None, "config", None)
    check = beside.checks.get(name)
    if state is None:
        state = ProviderState(name)
        word = NO_DATA if check is None else OK
    else:
        word = _word(state, now)
    until = breaker.closed_until(state, now)
    override = breaker.override_of(state, now)
    score = observed.score(state, now) if state.observations >= 1 else None
    if word == OK and score is not None and observed.does_poorly(state, now):
        word = SLOW
    reason = "" if word in SERVING else override or state.open_reason
    return ProviderHealth(
        name=name,
        kind=kind,
        state=word,
        score=score,
        observations=round(state.observations, 1),
        latency_ms=round(state.latency_s * 1000, 1) if state.latency_s is not None else _last_latency(check),
        last_success_at=state.last_ok_at,
        last_error=" ".join(part for part in (state.last_error_code, state.last_error_text) if part),
        last_error_at=state.last_error_at,
        reason=reason,
        next_probe_at=state.override_until if override == DISABLED else until,
        since=breaker.since(state, now),
        closed_at=state.closed_at,
        latency_spread_ms=round(state.latency_spread_s * 1000, 1) if state.latency_spread_s is not None else None,
        recent_ms=observed.latencies_ms(state) or (check.recent if check else ()),
        cost=Cost(state.elsewhere, state.wasted, state.unknown)
        if state.elsewhere or state.wasted or state.unknown
        else None,
        refused_input=tuple(sample.told for sample in refused_input.repeated(state.inputs, now)),
        lowered=beside.lowered.get(name, ()),
        override_until=state.override_until if override else None,
        check=check,
        quota=_quota(check),
        budgets=beside.budgets.get(name, ()),
        token=beside.tokens.get(name),
    )


def _word(state: ProviderState, now: datetime) -> str:
    if override := breaker.override_of(state, now):
        return override
    if state.state in (COOLING, BLOCKED) and not breaker.closed_until(state, now) and not breaker.needs_probe(state):
        return OK  # its limit has passed: the next call goes there
    if state.state == COOLING and state.open_reason == FLAPPING:
        return FLAPPING
    return state.state


def _last_latency(check: SelfCheck | None) -> float | None:
    found = [each for each in check.recent if each is not None] if check else []
    return float(found[-1]) if found else None


def _quota(check: SelfCheck | None) -> ToldQuota | None:
    if check is None or check.quota_told_at is None:
        return None
    quota = Quota(check.quota_unit, check.quota_left, check.quota_limit, check.quota_resets_at)
    return ToldQuota(quota, check.quota_told_at)


def _runs_low(provider: ProviderHealth) -> bool:
    ends = provider.token is not None and provider.token.needs_person
    return ends or (provider.quota is not None and provider.quota.low) or any(map(_budget_low, provider.budgets))


def _budget_low(budget: Estimate) -> bool:
    return budget.limit is not None and budget.limit - budget.used < max(LOW_BELOW * budget.limit, 1)


def _since(serving: ProviderHealth, providers: Sequence[ProviderHealth]) -> datetime | None:
    """When the last of those before it went, or it came itself, whichever was later."""
    before = providers[: providers.index(serving)]
    return max((each.since for each in (*before, serving) if each.since), default=None)


def _older(moment: datetime | None, now: datetime, seconds: float) -> bool:
    return moment is not None and (now - moment).total_seconds() > seconds


# --- what to do -----------------------------------------------------------------------------------------------------


def _recommendations(
    capabilities: Sequence[CapabilityHealth], now: datetime, beside: Beside
) -> Iterator[Recommendation]:
    """The worst first: what concerns everything, then each provider once, then what could be better."""
    if beside.degraded:
        yield recommend("store", detail=beside.degraded, action=beside.degraded_action)
    if beside.offline:
        yield recommend("network", detail="nobody outside can be reached")
    if beside.unknown is not None and beside.unknown.count:
        detail = f"{beside.unknown.count} messages may or may not have gone"
        yield recommend("unknown", capability=str(beside.unknown.campaign_id), detail=detail)
    if not capabilities:
        yield recommend("no chain", detail="no capability has a provider")
    providers = {provider.name: provider for capability in capabilities for provider in capability.providers}
    if any(_ahead(provider, now) for provider in providers.values()):
        yield recommend("clock", detail=f"it says {now:%Y-%m-%d %H:%M} UTC")
    about = [advice for provider in providers.values() for advice in _about(provider)]
    yield from sorted(about, key=lambda advice: ("critical", "warning", "info").index(advice.severity))
    for capability in capabilities:
        yield from _about_chain(capability, now, beside.stale_after_s)


def _about(provider: ProviderHealth) -> Iterator[Recommendation]:
    if provider.state == UNSUPPORTED:
        yield recommend("unsupported", provider=provider.name, detail=f"there is no provider of kind {provider.kind}")
    elif provider.state in (FORCED, DISABLED):
        until, said = provider.override_until, f"{provider.state} by hand"
        yield recommend(provider.state, provider=provider.name, until=until, detail=said)
    elif provider.token is not None and provider.token.needs_person and provider.reason in ("", Outcome.AUTH):
        yield recommend(provider.token.trouble, provider=provider.name, detail=provider.token.why)
    elif provider.reason:
        cause = provider.reason if provider.reason in _CLOSES else Outcome.TRANSIENT.value
        yield recommend(cause, provider=provider.name, until=provider.next_probe_at, detail=provider.last_error)
    if provider.quota is not None and provider.quota.low and provider.reason != Outcome.QUOTA:
        quota = provider.quota.quota
        of = f" of {quota.limit:,}" if quota.limit is not None else ""
        yield recommend("quota_low", provider=provider.name, detail=f"{quota.left:,}{of} {quota.unit} are left")
    for budget in provider.budgets:
        if budget.limit is not None and _budget_low(budget):
            left = max(budget.limit - budget.used, 0)
            detail = f"{left:,} of this month's {budget.limit:,} {budget.unit} are left"
            yield recommend("budget_low", provider=provider.name, detail=detail)
    if provider.refused_input:
        detail = f"its last {len(provider.refused_input)} calls were refused for what we sent"
        yield recommend("input_repeated", provider=provider.name, detail=detail, samples=provider.refused_input)
    for rate in provider.lowered:
        detail = f"it allows {rate.allowed:,} calls a {rate.span}, and {rate.configured:,} are set"
        yield recommend("rate_told", provider=provider.name, detail=detail)
    if provider.check is not None and provider.check.outcome == Outcome.INPUT:
        yield recommend("input", provider=provider.name, detail=provider.check.detail)


_CLOSES = frozenset({"auth", "config", "quota", "reputation", "rate_limited", "transient", "slow", "flapping"})


def _about_chain(capability: CapabilityHealth, now: datetime, stale_after_s: float) -> Iterator[Recommendation]:
    providers = capability.providers
    if not providers:
        yield recommend("no provider", capability=capability.capability, detail=f"{capability.capability} has nobody")
        return
    serving = next((provider for provider in providers if provider.name == capability.serving), None)
    if serving is not None and (serving.state == NO_DATA or _older(serving.seen_at, now, stale_after_s)):
        seen = f"last seen {_span(now - serving.seen_at)} ago" if serving.seen_at else "nobody has asked it yet"
        yield recommend("stale", provider=serving.name, detail=seen)
    if len(providers) == 1 and capability.capability in SECOND_HELPS and providers[0].state != UNSUPPORTED:
        detail = f"{capability.capability} has no second provider"
        yield recommend("single", provider=providers[0].name, capability=capability.capability, detail=detail)


def _ahead(provider: ProviderHealth, now: datetime) -> bool:
    return provider.seen_at is not None and provider.seen_at > now + timedelta(seconds=SKEW_S)


def _span(span: timedelta) -> str:
    minutes = round(span.total_seconds() / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h" if minutes < 2880 else f"{minutes // 1440} d"
