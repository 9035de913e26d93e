"""What a person should know of an import beside its counts."""

from __future__ import annotations

from collections.abc import Iterator

from aicmo.crm.importing.counts import ImportCounts
from aicmo.crm.mapping import MAX_CUSTOM_FIELDS, ColumnMapping
from aicmo.crm.reading import Table
from aicmo.store.imports import SavedMapping
from aicmo.text import shown


def warnings_of(
    table: Table, columns: ColumnMapping, counts: ImportCounts, remembered: SavedMapping | None, resumed_at: int
) -> Iterator[str]:
    if resumed_at:
        yield f"An import of this file was interrupted; it went on behind row {resumed_at:,}."
    if not counts.rows:
        yield f"{table.name} has no rows under its header."
    if remembered is not None:
        said = ", ".join(f"{shown(title)} is {field}" for title, field in remembered.mapping.items())
        yield f"The columns are mapped as they were for {shown(remembered.name)}: {said}."
    if not table.encoding.startswith(("utf", "ascii")):
        yield f"{table.name} is not UTF-8; it was read as {table.encoding}. Another encoding can be named."
    if table.mended_cells:
        yield f"{table.mended_cells:,} cells were not UTF-8 and were read as Windows-1252."
    if columns.left_out:
        titles = ", ".join(map(shown, columns.left_out[:5]))
        more = ", …" if len(columns.left_out) > 5 else ""
        out = f"{len(columns.left_out):,} were left out: {titles}{more}"
        yield f"Only {MAX_CUSTOM_FIELDS} columns can be custom fields; {out}."
    if counts.opted_out:
        yield (
            f"{_rows(counts.opted_out)} marked in the file as unsubscribed, bounced or blocked: these people come in, "
            "and are suppressed; nobody writes to them."
        )
    if others := counts.suppressed - counts.opted_out:
        yield f"{_rows(others)} of people who are suppressed: they stay so, and nobody writes to them."
    if counts.conflicts:
        yield f"{_rows(counts.conflicts)} in conflict with what is there, which is left alone."
    if counts.stages_kept:
        yield f"{_rows(counts.stages_kept)} with an earlier stage than the person has: an import moves nobody back."


def _rows(count: int) -> str:
    return "1 row is" if count == 1 else f"{count:,} rows are"
