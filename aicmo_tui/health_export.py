"""What the health screen shows, as a file: CSV (the providers) or JSON (the log as well)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from aicmo.clock import rfc3339
from aicmo.crm.spreadsheet import create_csv, escaped
from aicmo.errors import InvalidInput
from aicmo.provider_state import StateChange
from aicmo.text import one_line
from aicmo_tui.screens.health_view import Row, budget, budgets


def export(name: str, rows: Sequence[Row], changes: Sequence[StateChange], now: datetime) -> Path:
    """Write a new file, its owner's alone, and say where it is. Raises ``InvalidInput``, also when there is one."""
    import csv
    import json

    path = Path(name).expanduser().absolute()
    if path.suffix not in (".csv", ".json"):
        raise InvalidInput(f"{path.name} ends neither in .csv nor in .json.", hint="Name one that does.")
    if path.exists():
        raise InvalidInput(f"{path} is there already; it was left as it is.", hint="Name another file.")
    records = [record(row) for row in rows]
    with create_csv(path) as file:
        if path.suffix == ".json":
            document = {"at": rfc3339(now), "providers": records, "log": [entry(change) for change in changes]}
            json.dump(document, file, ensure_ascii=False, indent=2)
        else:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(records[0] if records else [])
            for each in records:
                writer.writerow(["" if cell is None else escaped(str(cell)) for cell in each.values()])
    return path


def record(row: Row) -> dict[str, object]:
    """One row as plain values; times are RFC 3339, UTC."""
    provider, told = row.provider, row.provider.quota
    return {
        "capability": row.chain.capability,
        "provider": provider.name,
        "kind": provider.kind,
        "state": provider.state,
        "reason": provider.reason or None,
        "since": _time(provider.since),
        "closed_at": _time(provider.closed_at),
        "serves": row.serves,
        "serves_since": _time(row.chain.since) if row.serves else None,
        "score": None if provider.score is None else round(provider.score, 3),
        "observations": provider.observations,
        "latency_ms": provider.latency_ms,
        "cost": provider.cost.told if provider.cost else None,
        "last_success_at": _time(provider.last_success_at),
        "last_error_at": _time(provider.last_error_at),
        "last_error_class": row.error_class or None,
        "last_error": one_line(provider.last_error) or None,
        "next_probe_at": _time(provider.next_probe_at),
        "override_until": _time(provider.override_until),
        "quota_left": told.quota.left if told else None,
        "quota_unit": told.quota.unit if told else None,
        "budgets": "; ".join(budget(each, each.unit, each.within).plain for each in budgets(row)) or None,
        "do": row.advice.action if row.advice else None,
    }


def entry(change: StateChange) -> dict[str, str]:
    return {
        "at": rfc3339(change.at),
        "provider": change.name,
        "before": change.before,
        "after": change.after,
        "why": one_line(change.why),
        "seen_by": one_line(change.by),
    }


def _time(moment: datetime | None) -> str | None:
    return rfc3339(moment) if moment else None
