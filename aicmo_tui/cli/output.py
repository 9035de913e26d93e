"""The only writer to stdout, and the one that talks on stderr.

A list is printed as aligned columns, or as JSON, NDJSON or CSV; an action as a few lines, or as one JSON object.
Whatever comes from outside is made plain here once more, because a terminal obeys control characters.
"""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from shutil import get_terminal_size
from typing import Any, TextIO

from aicmo.clock import SYSTEM_CLOCK, parse_rfc3339
from aicmo.errors import InvalidInput
from aicmo.text import one_line, plain

Row = Mapping[str, Any]
_MOMENT = re.compile(r"[12]\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
BAR_CELLS = 24
WIDEST = 60
"""Cells of a column of text; what is wider ends in an ellipsis. JSON and CSV are never cut."""
NARROWEST = 12
"""What a column keeps where the terminal is too narrow for a row. Only a terminal's rows are narrowed."""


@dataclass(frozen=True, slots=True)
class Form:
    """How an answer is printed."""

    kind: str = "text"
    """``text``, ``json``, ``ndjson`` or ``csv``."""
    fields: tuple[str, ...] = ()
    """Only these, in this order; all when empty."""

    @property
    def is_text(self) -> bool:
        return self.kind == "text"


def moment(at: datetime) -> str:
    """By this computer's clock, ``Mon 23 Nov 08:00``; with the year, where it is another."""
    there, now = at.astimezone(), SYSTEM_CLOCK.now().astimezone()
    return f"{there:%a %-d %b %H:%M}" if there.year == now.year else f"{there:%a %-d %b %Y %H:%M}"


def line(text: str = "") -> None:
    """One line of data."""
    print(plain(text))


def say(text: str) -> None:
    """One line of talk."""
    print(plain(text), file=sys.stderr)


def error(document: Mapping[str, Any], as_json: bool) -> None:
    """An error: one JSON object on stderr, or a sentence and what to do about it."""
    if as_json:
        print(_dumps({"error": document}), file=sys.stderr)
        return
    say(f"aicmo: {one_line(str(document['message']))}")
    if document.get("query"):
        for each in pointed_at(str(document["query"]), int(str(document["column"]))):
            say(f"       {each}")
    if document["hint"]:
        say(f"       {one_line(str(document['hint']))}")


def pointed_at(text: str, column: int) -> tuple[str, str]:
    """What stands around a column, and a caret under it."""
    from rich.cells import cell_len

    start = max(0, column - WIDEST // 2)
    before = plain(text[start:column]).replace("\n", " ").replace("\t", " ")
    after = plain(text[column : start + WIDEST]).replace("\n", " ").replace("\t", " ")
    return before + after, " " * cell_len(before) + "^"


def document(value: Mapping[str, Any] | Sequence[Any], form: Form, text: Iterable[str]) -> None:
    """The answer of an action, or one record: ``value`` as JSON, or the lines of ``text``."""
    if form.is_text:
        for each in text:
            line(each)
    elif form.fields and isinstance(value, Mapping):
        print(_dumps(_picked(value, form.fields)))
    else:
        print(_dumps(value))


def screenful(text: Iterable[str]) -> None:
    """Lines in place of all that stands on the terminal."""
    print("\x1b[H\x1b[2J" + "\n".join(plain(each) for each in text), flush=True)


def rows(found: Iterable[Row], form: Form, columns: Sequence[str], *, empty: str, numbers: Sequence[str] = ()) -> None:
    """A list, streamed where the form allows it.

    ``columns`` are those that text and CSV show unless fields were chosen; ``numbers`` are right-aligned. ``empty`` is
    said on stderr when there is none, so that stdout stays data.
    """
    picked = (_picked(row, form.fields) for row in found) if form.fields else found
    match form.kind:
        case "json":
            _json_array(picked)
        case "ndjson":
            for row in picked:
                print(_dumps(row))
        case "csv":
            _csv(picked, form.fields or columns, sys.stdout)
        case _:
            _table(list(picked), form.fields or columns, empty, numbers)


def progress_bar(done: int, total: int) -> str:
    filled = BAR_CELLS * done // total if total else 0
    return "█" * filled + "░" * (BAR_CELLS - filled)


def _picked(row: Row, fields: Sequence[str]) -> Row:
    missing = [name for name in fields if name not in row]
    if missing:
        raise InvalidInput(f"There is no field {one_line(missing[0], limit=60)}.", hint=f"There are: {', '.join(row)}.")
    return {name: row[name] for name in fields}


def _dumps(value: Any) -> str:
    # ASCII only: valid wherever it is piped, and no character in it can act on a terminal.
    return json.dumps(value, ensure_ascii=True, separators=(", ", ": "))


def _json_array(found: Iterable[Row]) -> None:
    separator = "["
    for row in found:
        print(separator, _dumps(row), sep="", end="")
        separator = ",\n "
    print("]" if separator != "[" else "[]")


def _csv(found: Iterable[Row], columns: Sequence[str], to: TextIO) -> None:
    from aicmo.crm.spreadsheet import escaped

    writer = csv.writer(to, lineterminator="\n")
    writer.writerow(columns)
    for row in found:
        writer.writerow([escaped(_cell(row[name])) for name in columns])


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return plain(json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value))


def _for_people(value: Any) -> str:
    """A cell of a table that people read: yes or no, and moments by this computer's clock."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str) and _MOMENT.fullmatch(value):
        return f"{parse_rfc3339(value).astimezone():%Y-%m-%d %H:%M}"
    return _cell(value)


def _table(found: Sequence[Row], columns: Sequence[str], empty: str, numbers: Sequence[str]) -> None:
    if not found:
        say(empty)
        return
    from rich.cells import cell_len, set_cell_size

    cells = [
        [_fitted(one_line(_number(row[c]) if c in numbers else _for_people(row[c]))) for c in columns] for row in found
    ]
    heads = [name.replace("_", " ").upper() for name in columns]
    widths = [max(map(cell_len, column)) for column in zip(heads, *cells, strict=True)]
    if sys.stdout.isatty():
        _narrow(widths, get_terminal_size().columns)
    for each in (heads, *cells):
        parts = [
            text.rjust(width) if name in numbers else set_cell_size(_fitted(text, width), width)
            for text, width, name in zip(each, widths, columns, strict=True)
        ]
        line("  ".join(parts).rstrip())


def _narrow(widths: list[int], room: int) -> None:
    """Take from the widest column until a row fits on a line; none becomes narrower than ``NARROWEST``."""
    room -= 2 * (len(widths) - 1)
    while sum(widths) > room and max(widths) > NARROWEST:
        widths[widths.index(max(widths))] -= 1


def _fitted(text: str, width: int = WIDEST) -> str:
    from rich.cells import cell_len, set_cell_size

    return text if cell_len(text) <= width else set_cell_size(text, width - 1) + "…"


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int | float) else _cell(value)
