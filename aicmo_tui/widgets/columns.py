"""The columns of a table: what stands in them, and which of them fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from textual.content import Content

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Column(Generic[R]):
    title: str
    width: int
    """Cells it needs at least."""
    cell: Callable[[R], Content]
    priority: int = 0
    """When the table is too narrow, columns of the greatest priority leave first; 0 stays."""
    grow: int = 0
    """Its share of the cells that are left over."""
    right: bool = False


def fitted(columns: Sequence[Column[R]], width: int) -> list[tuple[Column[R], int]]:
    """Which columns fit, in their order: the least important leave until the rest fits and shares what is left."""
    kept = list(columns)
    while sum(column.width + 1 for column in kept) - 1 > width and any(column.priority for column in kept):
        kept.remove(max(reversed(kept), key=lambda column: column.priority))
    spare = max(0, width - sum(column.width + 1 for column in kept) + 1)
    shares = sum(column.grow for column in kept)
    return [(column, column.width + (spare * column.grow // shares if shares else 0)) for column in kept]
