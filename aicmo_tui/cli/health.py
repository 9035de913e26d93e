"""``aicmo health``: who serves, how well, and what to do about it. Speaks the exit codes of monitoring plugins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aicmo.clock import rfc3339
from aicmo_tui.cli import output
from aicmo_tui.cli.verb import Run, verb

if TYPE_CHECKING:
    from datetime import datetime

    from aicmo.gateways.status import HealthReport

EXIT_CODES = {"ok": 0, "warning": 1, "critical": 2, "unknown": 3}
"""The Monitoring Plugins Development Guidelines' codes; this verb alone speaks them."""
GLYPHS = {"ok": "●", "slow": "◐", "cooling": "▲", "blocked": "✕", "no data": "○", "unsupported": "○"}


@verb(failure_code=EXIT_CODES["unknown"])
@click.option("--status", is_flag=True, help="The stored state, without asking any provider.")
def health(run: Run, status: bool) -> int:
    """Who serves each capability, how well, and what to do. Exits 0 ok, 1 warning, 2 critical, 3 unknown."""
    with run.open_workspace() as workspace:
        report: HealthReport = workspace.health()
    if not status:
        run.say("The stored state; no provider was asked.")
    output.document(_record(report), run.form, _told(report))
    return EXIT_CODES[report.status]


def _record(report: HealthReport) -> dict[str, Any]:
    return {
        "schema": "aicmo.health/1",
        "status": report.status,
        "degraded": report.degraded or None,
        "capabilities": [
            {
                "capability": capability.capability,
                "status": capability.status,
                "serving": capability.serving or None,
                "providers": [
                    {
                        "name": provider.name,
                        "kind": provider.kind,
                        "state": provider.state,
                        "score": None if provider.score is None else round(provider.score, 3),
                        "observations": provider.observations,
                        "latency_ms": provider.latency_ms,
                        "last_success_at": _time(provider.last_success_at),
                        "last_error": provider.last_error or None,
                        "next_probe_at": _time(provider.next_probe_at),
                        "quota": None,
                    }
                    for provider in capability.providers
                ],
            }
            for capability in report.capabilities
        ],
        "recommendations": [
            {"severity": each.severity, "provider": each.provider, "cause": each.cause, "action": each.action}
            for each in report.recommendations
        ],
    }


def _time(moment: datetime | None) -> str | None:
    return rfc3339(moment) if moment else None


def _told(report: HealthReport) -> list[str]:
    lines = [f"health: {report.status}"]
    if report.degraded:
        lines.append(f"▲ {report.degraded}")
    if not report.capabilities:
        lines.append("No chains are configured. Begin with: aicmo init")
    for capability in report.capabilities:
        lines.append(f"{capability.capability}: {capability.status}, served by {capability.serving or 'nobody'}")
        for provider in capability.providers:
            score = "-" if provider.score is None else f"{provider.score:.2f}"
            after = f" · {provider.last_error}" if provider.reason else ""
            state = f"{GLYPHS[provider.state]} {provider.name}  {provider.state}"
            lines.append(f"  {state}  {score} (n {provider.observations:g}){after}")
    lines += [f"DO {each.provider}: {each.action}" for each in report.recommendations]
    return lines
