"""Bring in who must not be written to: one address a line, or a table with a column of addresses.

A mail service's export says itself why (see ``importing.optouts``), and of whom it says that they are still subscribed,
nobody is suppressed. A list comes in whole or not at all.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from aicmo.clock import SYSTEM_CLOCK, Clock
from aicmo.crm.address import NotAnAddress, normalise
from aicmo.crm.importing.optouts import OptOutColumns
from aicmo.crm.mapping import address_column
from aicmo.crm.reading import Row, Table, UnreadableRow, open_table
from aicmo.crm.spreadsheet import unescaped
from aicmo.errors import InvalidInput
from aicmo.store import Database, suppressions
from aicmo.store.suppressions import SuppressionReason
from aicmo.text import one_line, shown

MAX_REJECTIONS = 20
"""That a result names; the others are counted."""


@dataclass(slots=True)
class SuppressionCounts:
    rows: int = 0
    """Not blank; the sum of the others."""
    added: int = 0
    unchanged: int = 0
    """Suppressed already; the older reason stays."""
    skipped: int = 0
    """The file says that they did not opt out."""
    rejected: int = 0

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


@dataclass(slots=True)
class SuppressionResult:
    counts: SuppressionCounts = field(default_factory=SuppressionCounts)
    rejections: list[str] = field(default_factory=list)
    """``row 7: “x”: no @``, the first ``MAX_REJECTIONS``."""


def import_suppressions(
    db: Database,
    source: Path | BinaryIO,
    *,
    reason: str = SuppressionReason.MANUAL,
    encoding: str | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> SuppressionResult:
    """Suppress everybody in ``source``; ``reason`` is for those of whom the file does not say why.

    Raises ``NotFound`` or ``InvalidInput``; nothing is changed then.
    """
    default = reason_named(reason)
    with open_table(source, encoding=encoding) as table:
        # Without a header the first line is somebody.
        headless = any(_is_address(cell) for cell in table.header)
        header = tuple(f"column {number}" for number in range(len(table.header))) if headless else table.header
        sample = (table.header, *table.sample) if headless else table.sample
        column = address_column(header, sample)
        told = OptOutColumns(header)
        rows: Iterator[Row] = chain([list(table.header)] if headless else [], table.rows())
        cause = f"import of {table.name}"

        def work(connection: sqlite3.Connection) -> SuppressionResult:
            result, now = SuppressionResult(), clock.now()
            for number, row in enumerate(rows, 1):
                if not isinstance(row, UnreadableRow) and not any(cell.strip() for cell in row):
                    continue
                result.counts.rows += 1
                try:
                    address, why = _read(table, row, column, told, default)
                except InvalidInput as error:
                    result.counts.rejected += 1
                    if len(result.rejections) < MAX_REJECTIONS:
                        result.rejections.append(f"row {number}: {error.message}")
                    continue
                if why is None:
                    result.counts.skipped += 1
                elif suppressions.add(connection, address, why, cause, now):
                    result.counts.added += 1
                else:
                    result.counts.unchanged += 1
            return result

        return db.write(work)


def reason_named(text: str) -> SuppressionReason:
    """Raises ``InvalidInput``."""
    for reason in SuppressionReason:
        if reason == one_line(text).lower():
            return reason
    raise InvalidInput(f"There is no reason {shown(text)}.", hint=f"Choose one of: {', '.join(SuppressionReason)}.")


def _read(
    table: Table, row: Row, column: int, told: OptOutColumns, default: SuppressionReason
) -> tuple[str, SuppressionReason | None]:
    """The address, and why it is suppressed; ``None`` when the row says that it is not."""
    if isinstance(row, UnreadableRow):
        raise InvalidInput(row.reason)
    cells = [one_line(unescaped(table.mend(cell))) for cell in row] + [""] * (len(table.header) - len(row))
    address = normalise(cells[column]).address
    if not told:
        return address, default
    if found := told.reason(cells):
        return address, found
    return address, None if told.stayed(cells) else default


def _is_address(cell: str) -> bool:
    try:
        normalise(cell)
    except NotAnAddress:
        return False
    return True
