"""Health as a file for Prometheus' textfile collector.

The file holds what is stored now and nothing that would have to be counted per call; its samples carry no timestamps,
as the collector demands, so ``aicmo_health_last_run_timestamp_seconds`` is what an alert on silence looks at.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from aicmo.errors import InvalidInput
from aicmo.gateways.attempt import Outcome
from aicmo.gateways.status import SERVING, HealthReport, ProviderHealth

STATES = (
    "ok", "slow", "cooling", "flapping", "probing", "blocked", "disabled", "forced", "no data", "unsupported",
)  # fmt: skip
"""Each is a series of its own, so that an alert can be written on the word."""

Sample = tuple[str, dict[str, str], float]
HELP = {
    "aicmo_health_status": "0 ok, 1 warning, 2 critical, 3 unknown; as aicmo health exits.",
    "aicmo_health_last_run_timestamp_seconds": "When this file was written.",
    "aicmo_store_degraded": "1 while stored state may not be the whole truth.",
    "aicmo_operations_unknown": "Sends that may or may not have happened.",
    "aicmo_chain_available": "1 while somebody serves the capability.",
    "aicmo_provider_serving": "1 for the provider that new work of the chain goes to.",
    "aicmo_provider_state": "1 for the state the provider is in, 0 for all others.",
    "aicmo_provider_health_ratio": "How well it does, 0 to 1.",
    "aicmo_provider_observations": "How much stands behind the ratio, decayed; at most 20.",
    "aicmo_provider_latency_seconds": "Of successful calls, decayed.",
    "aicmo_provider_latency_spread_seconds": "How far successful calls are from that, on average.",
    "aicmo_provider_elsewhere": "Pieces of work that others did in its place in its last trouble.",
    "aicmo_provider_wasted": "Calls to it that failed in its last trouble.",
    "aicmo_provider_last_success_timestamp_seconds": "When a call or check last went well.",
    "aicmo_provider_open_until_timestamp_seconds": "When a closed provider is tried again.",
    "aicmo_provider_quota_remaining": "What the provider says is left.",
    "aicmo_provider_quota_limit": "Of how much.",
    "aicmo_provider_quota_reset_timestamp_seconds": "When it is full again.",
    "aicmo_provider_budget_used": "Spent and reserved this month, UTC.",
    "aicmo_provider_budget_limit": "The most that may be.",
    "aicmo_provider_check_ok": "1 when the last self-check went well.",
    "aicmo_provider_check_timestamp_seconds": "When that was.",
}
"""Name -> what it means, in the order of the file. All are gauges."""
_CODES = {"ok": 0, "warning": 1, "critical": 2, "unknown": 3}


def exposition(report: HealthReport, now: datetime) -> str:
    """``report`` in the text format 0.0.4. It holds names from the configuration, and no address, text or secret."""
    samples: dict[str, list[Sample]] = {name: [] for name in HELP}
    for sample in _samples(report, now):
        samples[sample[0]].append(sample)
    lines: list[str] = []
    for name, found in samples.items():
        if found:
            lines += [f"# HELP {name} {HELP[name]}", f"# TYPE {name} gauge", *map(_line, found)]
    return "\n".join(lines) + "\n"


def write_textfile(path: Path, text: str) -> None:
    """Put ``text`` in the place of ``path`` in one step, so that nobody reads half of it. Raises ``InvalidInput``.

    The file may be read by everybody: the collector runs as a user of its own.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                os.fchmod(file.fileno(), 0o644)
            os.replace(name, path)
        except BaseException:  # half a file is taken away, whatever stopped it; raised again
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
            raise
    except OSError as error:
        raise InvalidInput(
            f"{path} cannot be written: {error.strerror}.", hint="Name a file in a folder of yours."
        ) from None


def _samples(report: HealthReport, now: datetime) -> Iterator[Sample]:
    yield "aicmo_health_status", {}, _CODES[report.status]
    yield "aicmo_health_last_run_timestamp_seconds", {}, now.timestamp()
    yield "aicmo_store_degraded", {}, bool(report.degraded)
    if report.unknown_sends is not None:
        yield "aicmo_operations_unknown", {}, report.unknown_sends
    providers: dict[str, ProviderHealth] = {}
    for chain in report.capabilities:
        yield "aicmo_chain_available", {"chain": chain.capability}, bool(chain.serving)
        for provider in chain.providers:
            labels = {"chain": chain.capability, "provider": provider.name}
            yield "aicmo_provider_serving", labels, provider.name == chain.serving
            for word in STATES:
                yield "aicmo_provider_state", {**labels, "state": word.replace(" ", "_")}, provider.state == word
            providers[provider.name] = provider
    for name, provider in providers.items():
        for metric, value in _of_one(provider):
            yield metric, {"provider": name}, value
        if provider.quota is not None:
            quota, labels = provider.quota.quota, {"provider": name, "unit": provider.quota.quota.unit}
            if quota.left is not None:
                yield "aicmo_provider_quota_remaining", labels, quota.left
            if quota.limit is not None:
                yield "aicmo_provider_quota_limit", labels, quota.limit
            if quota.resets_at is not None:
                yield "aicmo_provider_quota_reset_timestamp_seconds", labels, quota.resets_at.timestamp()
        for budget in provider.budgets:
            labels = {"provider": name, "unit": budget.unit}
            yield "aicmo_provider_budget_used", labels, budget.used
            if budget.limit is not None:
                yield "aicmo_provider_budget_limit", labels, budget.limit


def _of_one(provider: ProviderHealth) -> Iterator[tuple[str, float]]:
    if provider.score is not None:
        yield "aicmo_provider_health_ratio", provider.score
    yield "aicmo_provider_observations", provider.observations
    if provider.latency_ms is not None:
        yield "aicmo_provider_latency_seconds", provider.latency_ms / 1000
    if provider.latency_spread_ms is not None:
        yield "aicmo_provider_latency_spread_seconds", provider.latency_spread_ms / 1000
    yield "aicmo_provider_elsewhere", provider.cost.elsewhere if provider.cost else 0
    yield "aicmo_provider_wasted", provider.cost.wasted if provider.cost else 0
    if provider.last_success_at is not None:
        yield "aicmo_provider_last_success_timestamp_seconds", provider.last_success_at.timestamp()
    if provider.next_probe_at is not None and provider.state not in SERVING:
        yield "aicmo_provider_open_until_timestamp_seconds", provider.next_probe_at.timestamp()
    if provider.check is not None and provider.check.checked_at is not None:
        yield "aicmo_provider_check_ok", provider.check.outcome == Outcome.OK
        yield "aicmo_provider_check_timestamp_seconds", provider.check.checked_at.timestamp()


def _line(sample: Sample) -> str:
    name, labels, value = sample
    said = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
    return f"{name}{{{said}}} {_number(value)}" if said else f"{name} {_number(value)}"


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else f"{value:.6g}" if abs(value) < 1e6 else f"{value:.3f}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
