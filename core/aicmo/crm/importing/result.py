"""What an import counts and tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aicmo.crm.importing.counts import ImportCounts
from aicmo.crm.importing.plan import PlannedRow
from aicmo.crm.mapping import ColumnMapping

Status = Literal["done", "cancelled"]


@dataclass(frozen=True, slots=True)
class ImportProgress:
    counts: ImportCounts
    fraction: float | None
    """Of the file that was read, 0 to 1; None for a stream, whose end nobody knows."""


@dataclass(frozen=True, slots=True)
class ImportResult:
    status: Status
    """When cancelled, what ``counts`` says is in the store and nothing else."""
    counts: ImportCounts
    import_id: int | None
    """None for a dry run."""
    warnings: tuple[str, ...]
    rejected_file: Path | None
    """Where the rejected rows are, if there are any and a file was asked for; a dry run writes none."""
    reasons: Mapping[str, int]
    """Why rows were rejected, and how many each time: the first ``MAX_REASONS`` reasons."""
    mapping: ColumnMapping
    titles: tuple[str, ...]
    """Of the columns."""
    plan: tuple[PlannedRow, ...]
    """What would become of the first ``PLANNED_ROWS`` rows; empty unless it was a dry run."""
    resumed_at: int
    """Rows of the file that an interrupted import had read before this one went on with it."""
