"""``aicmo report``: what worked."""

from __future__ import annotations

from typing import Any

import click

from aicmo_tui.cli import output
from aicmo_tui.cli.verb import Run, verb


@click.group()
def report() -> None:
    """What worked. Every share comes with its numerator, denominator and interval."""


@verb(report, lists=True)
def summary(run: Run) -> None:
    """Every campaign that has begun: the ledger's counts, and the share that servers accepted."""
    with run.open_workspace() as workspace:
        found: list[dict[str, Any]] = [
            {
                "id": each.campaign.id,
                "name": each.campaign.name,
                "status": each.campaign.status.value,
                **each.counts.as_dict(),
                "accepted": each.accepted.as_dict(),
                "reached": each.reached.as_dict(),
            }
            for each in workspace.analytics.campaigns()
        ]
    if run.form.is_text:
        found = [{**row, "accepted": _told(row["accepted"]), "reached": _told(row["reached"])} for row in found]
    columns = ["id", "name", "status", "audience", "sent", "failed", "unknown", "suppressed", "accepted", "reached"]
    numbers = ["id", "audience", "sent", "failed", "unknown", "suppressed"]
    output.rows(found, run.form, columns, empty="No campaign has begun yet.", numbers=numbers)


def _told(rate: dict[str, Any]) -> str:
    if rate["value"] is None:
        return "-"
    low, high = rate["interval"]
    return f"{rate['value']:.1%} [{low:.1%}-{high:.1%}] {rate['numerator']:,}/{rate['denominator']:,}"
