"""A CRM of somebody else's, as rows of two tables: what is read of it and what it makes of what it is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Table = Literal["contacts", "interactions"]
Cell = str | int | float | bool | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CrmRecord:
    id: str
    """The CRM's own."""
    created_at: datetime | None
    cells: Mapping[str, Cell]
    """By the name of the column. An empty cell is absent, and an unticked box with it."""


@dataclass(frozen=True, slots=True)
class RecordPage:
    records: tuple[CrmRecord, ...]
    next_page: str
    """Ask for this page next; empty when this was the last. Good for some minutes, so never stored."""


@dataclass(frozen=True, slots=True)
class Upserted:
    """What became of the rows given, in their order."""

    ids: tuple[str, ...]
    """The CRM's own id of each."""
    created: frozenset[str]
    """Those of the ids that are new; the others were changed."""
