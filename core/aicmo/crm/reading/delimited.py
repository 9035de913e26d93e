"""CSV, TSV and their kin: the delimiter is found, and a row that cannot be read costs itself alone."""

from __future__ import annotations

import contextlib
import csv
import io
import re
from collections.abc import Iterable, Iterator
from itertools import chain
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
        lines = _Lines(text, above=1 if separator else 0)
        reader = csv.reader(lines.and_an_empty_one, delimiter=delimiter)
        header = _header(reader, lines, source.name)
        sample = _first_rows(head, delimiter, complete=source.is_complete)[1:]
        yield Table(source, header, tuple(map(tuple, sample)), lambda: _rows(reader, lines))


def detect_delimiter(head: str, *, complete: bool = True) -> str:
    """Which of ``DELIMITERS`` cuts the first rows of ``head`` most evenly; the comma for a single column."""

    def evenness(delimiter: str) -> tuple[float, int]:
        widths = [len(row) for row in _first_rows(head, delimiter, complete=complete)]
        if not widths or widths[0] < 2:
            return 0.0, 0
        return sum(width == widths[0] for width in widths) / len(widths), widths[0]

    return max(DELIMITERS, key=evenness)


class _Lines:
    """The lines of a text and an empty one behind them: that is a row without cells, or part of the row before, if a
    quote is still open there."""

    def __init__(self, lines: Iterable[str], *, above: int = 0) -> None:
        """``above``: how many lines of the text were read before, and count in what is told of a place."""
        self.above = above
        self.ended = False
        self.and_an_empty_one = chain(lines, self._end())

    def _end(self) -> Iterator[str]:
        self.ended = True
        yield ""

    def leave_open(self, row: list[str]) -> bool:
        """Whether ``row``, the last that was read, is all that stands behind a quote that nobody closed."""
        return self.ended and bool(row)


def _rows(reader: Reader, lines: _Lines) -> Iterator[Row]:
    above = lines.above
    while True:
        last = reader.line_num
        try:
            for row in reader:
                if not lines.ended:
                    yield row
                elif lines.leave_open(row):
                    yield UnreadableRow(_why_unclosed(row, above + last + 1, above + reader.line_num - 1))
                last = reader.line_num
            return
        except csv.Error as error:
            yield UnreadableRow(_why_unreadable(error, above + last + 1, above + reader.line_num))


def _first_rows(head: str, delimiter: str, *, complete: bool) -> list[list[str]]:
    """The header and the first rows; of an incomplete ``head`` the last row may be cut and is left out."""
    rows: list[list[str]] = []
    with contextlib.suppress(csv.Error):
        lines = _Lines(io.StringIO(head, newline=""))
        for row in csv.reader(lines.and_an_empty_one, delimiter=delimiter):
            if lines.leave_open(row) and complete:
                return rows
            if any(cell.strip() for cell in row):
                rows.append(row)
            if len(rows) == SAMPLE_ROWS + 2:
                return rows[:-1]
    return rows if complete else rows[:-1]


def _header(reader: Reader, lines: _Lines, name: str) -> tuple[str, ...]:
    try:
        for row in reader:
            if lines.leave_open(row):
                first, last = lines.above + 1, lines.above + reader.line_num - 1
                raise InvalidInput(f"{name} has no header: {_why_unclosed(row, first, last)}.")
            if any(cell.strip() for cell in row):
                return tuple(one_line(cell, limit=200) for cell in row)
    except csv.Error as error:
        raise InvalidInput(f"The first line of {name} cannot be read: {error}.") from error
    raise InvalidInput(f"{name} is empty.", hint="The first line names the columns, such as: email,first_name")


def _why_unclosed(row: list[str], first: int, last: int) -> str:
    """``row`` stands on these lines of the text, and its last cell is what the quote swallowed."""
    swallowed = max(1, len(io.StringIO(row[-1], newline="").readlines()))
    return f"{_where(first, last)}: the quote that line {last - swallowed + 1} opens is never closed"


def _why_unreadable(error: csv.Error, first: int, last: int) -> str:
    where = _where(first, last)
    if "field larger" in str(error):
        return f"{where}: a cell of more than {csv.field_size_limit():,} characters; is a closing quote missing?"
    return f"{where}: {one_line(str(error), limit=120)}"


def _where(first: int, last: int) -> str:
    return f"line {first}" if first >= last else f"lines {first} to {last}"
