"""CSV, TSV and their kin: the delimiter is found, and a row that cannot be read costs itself alone."""

from __future__ import annotations

import contextlib
import csv
import io
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from aicmo.crm.reading.source import Source
from aicmo.crm.reading.table import SAMPLE_ROWS, Row, Table, UnreadableRow
from aicmo.errors import InvalidInput
from aicmo.text import one_line

if TYPE_CHECKING:
    from _csv import Reader

DELIMITERS = ",;\t|"
_SEPARATOR_LINE = re.compile(r"sep=(.)\r?\n?", re.IGNORECASE)  # Excel's own first line


@contextlib.contextmanager
def open_delimited(source: Source) -> Iterator[Table]:
    """Raises ``InvalidInput`` when there is no header that can be read."""
    with source.text() as text:
        head = source.head
        separator = _SEPARATOR_LINE.match(head)
        if separator:
            text.readline()
            head = head[separator.end() :]
        delimiter = separator[1] if separator else detect_delimiter(head, complete=source.is_complete)
        reader = csv.reader(text, delimiter=delimiter)
        header = _header(reader, source.name)
        sample = _first_rows(head, delimiter, complete=source.is_complete)[1:]
        yield Table(source, header, tuple(map(tuple, sample)), lambda: _rows(reader))


def detect_delimiter(head: str, *, complete: bool = True) -> str:
    """Which of ``DELIMITERS`` cuts the first rows of ``head`` most evenly; the comma for a single column."""

    def evenness(delimiter: str) -> tuple[float, int]:
        widths = [len(row) for row in _first_rows(head, delimiter, complete=complete)]
        if not widths or widths[0] < 2:
            return 0.0, 0
        return sum(width == widths[0] for width in widths) / len(widths), widths[0]

    return max(DELIMITERS, key=evenness)


def _rows(reader: Reader) -> Iterator[Row]:
    while True:
        last = reader.line_num
        try:
            for row in reader:
                yield row
                last = reader.line_num
            return
        except csv.Error as error:
            yield UnreadableRow(_why_unreadable(error, last + 1, reader.line_num))


def _first_rows(head: str, delimiter: str, *, complete: bool) -> list[list[str]]:
    """The header and the first rows; of an incomplete ``head`` the last row may be cut and is left out."""
    rows: list[list[str]] = []
    with contextlib.suppress(csv.Error):
        for row in csv.reader(io.StringIO(head, newline=""), delimiter=delimiter):
            if any(cell.strip() for cell in row):
                rows.append(row)
            if len(rows) == SAMPLE_ROWS + 2:
                return rows[:-1]
    return rows if complete else rows[:-1]


def _header(reader: Iterator[list[str]], name: str) -> tuple[str, ...]:
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                return tuple(one_line(cell, limit=200) for cell in row)
    except csv.Error as error:
        raise InvalidInput(f"The first line of {name} cannot be read: {error}.") from error
    raise InvalidInput(f"{name} is empty.", hint="The first line names the columns, such as: email,first_name")


def _why_unreadable(error: csv.Error, first: int, last: int) -> str:
    where = f"line {first}" if first >= last else f"lines {first} to {last}"
    if "field larger" in str(error):
        return f"{where}: a cell of more than {csv.field_size_limit():,} characters; is a closing quote missing?"
    return f"{where}: {one_line(str(error), limit=120)}"
