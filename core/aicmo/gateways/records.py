"""A CRM of somebody else's, as rows of two tables: what is read of it and what it makes of what it is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from aicmo.gateways.attempt import Answer, Attempt

Table = Literal["contacts", "interactions"]
Cell = str | int | float | bool | tuple[str, ...]
Cells = Mapping[str, Cell | None]
"""By the name of the column, as they are written; ``None`` empties a cell, and a column left out stays as it is."""
Holds = Literal["text", "number", "box", "date", "time", "choice", "choices", "modified", "computed"]
"""What a column holds. ``modified`` is when its row was last changed; that and ``computed`` cannot be written."""


@dataclass(frozen=True, slots=True)
class CrmColumn:
    id: str
    """The CRM's own."""
    name: str
    holds: Holds
    options: tuple[str, ...] = ()
    """What a ``choice`` or one of ``choices`` may be; empty when it may be anything."""
    can_merge: bool = False
    """Whether rows can be found again by it."""

    @property
    def writable(self) -> bool:
        return self.holds not in ("modified", "computed")


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


class CrmProvider(Protocol):
    """What a sync asks of a provider of ``crm_sync``. Nothing it writes becomes two when it is written twice."""

    @property
    def name(self) -> str: ...
    @property
    def label(self) -> str:
        """What a person calls it."""
        ...

    @property
    def merge_field(self) -> str:
        """The column that says which row is whose."""
        ...

    @property
    def fields(self) -> Mapping[str, str]:
        """What the configuration says of columns: column -> field."""
        ...

    @property
    def batch_size(self) -> int:
        """How many rows it takes at a time."""
        ...

    async def columns(self, table: Table) -> Answer[tuple[CrmColumn, ...]]:
        """What stands in a row; a ``MISS`` when there is no such table."""
        ...

    async def list_records(
        self,
        table: Table,
        *,
        since: datetime | None = None,
        where: Mapping[str, str] | None = None,
        page: str = "",
        columns: Sequence[str] = (),
    ) -> Answer[RecordPage]:
        """One page of the rows changed after ``since``; ``INPUT`` for a ``page`` that is forgotten."""
        ...

    async def upsert(self, table: Table, records: Sequence[Cells], merge_on: Sequence[str] = ()) -> Answer[Upserted]:
        """Write rows, found again by the columns ``merge_on``; one that is not there is created."""
        ...

    async def update(self, table: Table, records: Sequence[tuple[str, Cells]]) -> Attempt:
        """Change rows by their ids; ``MISS`` when one of them is gone, and then none is changed."""
        ...
