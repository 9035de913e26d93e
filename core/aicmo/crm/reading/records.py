"""JSON: an array of objects, an object that holds one, or one object after the other (NDJSON).

Objects need not have the same names, so the file is read twice: once for the names, once for the values. What is nested
becomes a column of its own: ``{"company": {"name": "Acme"}}`` is ``company name``, and a list of words is their list.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any, TextIO

from aicmo.crm.reading.source import Source
from aicmo.crm.reading.table import SAMPLE_ROWS, Row, Table, UnreadableRow
from aicmo.errors import InvalidInput
from aicmo.text import one_line

MAX_RECORD = 32_000_000
"""Characters in one object."""
MAX_NAMES = 1_000
"""Different names in one file: more, and it is not one of people."""
_PIECE = 256 * 1024
_OWN = "fields"
"""What holds a record's own columns, here and at Airtable: it leaves no trace in their names."""
_Record = dict[str, str]
_DECODER = json.JSONDecoder(strict=False, parse_int=str, parse_float=str, parse_constant=str)


@contextlib.contextmanager
def open_records(source: Source) -> Iterator[Table]:
    """Raises ``InvalidInput`` when there are no objects."""
    with source.kept() as kept:
        names: dict[str, int] = {}
        sample: list[_Record] = []
        trouble = ""
        with kept.text() as text:
            for record in _records(text, kept.head):
                if isinstance(record, UnreadableRow):
                    trouble = trouble or record.reason
                    continue
                for name in record:
                    names.setdefault(name, len(names))
                if len(names) > MAX_NAMES:
                    raise InvalidInput(f"{kept.name} has more than {MAX_NAMES:,} different names in its objects.")
                if len(sample) < SAMPLE_ROWS and any(record.values()):
                    sample.append(record)
        if not names:
            raise InvalidInput(
                f"{kept.name} holds no list of objects{': ' if trouble else ''}{trouble}.",
                hint='People in JSON look like [{"email": "ann@example.com"}], or one such object on each line.',
            )
        kept.rewind()
        with kept.text() as text:
            rows = (tuple(_row(each, names)) for each in sample)
            yield Table(kept, tuple(names), tuple(rows), lambda: _rows(_records(text, kept.head), names))


def _rows(records: Iterator[_Record | UnreadableRow], names: dict[str, int]) -> Iterator[Row]:
    for record in records:
        yield record if isinstance(record, UnreadableRow) else _row(record, names)


def _row(record: _Record, names: dict[str, int]) -> list[str]:
    cells = [""] * len(names)
    for name, value in record.items():
        cells[names[name]] = value
    return cells


# --- from text to objects ---------------------------------------------------------------------------------------------


def _records(text: TextIO, head: str) -> Iterator[_Record | UnreadableRow]:
    found = _of_lines(text) if _is_a_line_each(head) else _of_document(_Scanner(text))
    for number, value in enumerate(found, 1):
        if isinstance(value, UnreadableRow):
            yield value
        elif isinstance(value, dict):
            yield dict(_flat("", value))
        else:
            yield UnreadableRow(f"record {number} is not an object")


def _is_a_line_each(head: str) -> bool:
    """Whether the first line is an object by itself, and another one begins under it."""
    first, _, rest = head.lstrip("\ufeff \t\r\n").partition("\n")
    if not rest.lstrip().startswith("{"):
        return False
    try:
        return isinstance(_DECODER.decode(first), dict)
    except (ValueError, RecursionError):
        return False


def _of_lines(text: TextIO) -> Iterator[Any]:
    number = 0
    while line := text.readline(MAX_RECORD):
        number += 1
        if len(line) == MAX_RECORD and not line.endswith("\n"):
            while (rest := text.readline(_PIECE)) and not rest.endswith("\n"):
                pass
            yield UnreadableRow(f"line {number}: an object of more than {MAX_RECORD:,} characters")
        elif line := line.strip("\ufeff \t\r\n"):
            try:
                yield _DECODER.decode(line)
            except json.JSONDecodeError as error:
                yield UnreadableRow(f"line {number}: not JSON ({one_line(error.msg, limit=80)})")
            except RecursionError:
                yield UnreadableRow(f"line {number}: nested too deeply")


def _of_document(scanner: _Scanner) -> Iterator[Any]:
    try:
        while opening := scanner.next_character():
            if opening == "[":
                yield from scanner.elements()
            elif opening == "{":
                yield from _of_object(scanner)
            else:
                yield scanner.value()
    except json.JSONDecodeError as error:
        where = f"character {scanner.passed + error.pos + 1:,}"
        yield UnreadableRow(f"{where}: not JSON ({one_line(error.msg, limit=80)}); nothing behind it was read")
    except RecursionError:
        yield UnreadableRow(f"character {scanner.passed + 1:,}: nested too deeply; nothing behind it was read")


def _of_object(scanner: _Scanner) -> Iterator[Any]:
    """The objects of the list that this object holds; itself, when it holds none."""
    members: dict[str, Any] = {}
    held = False
    for name in scanner.names():
        if scanner.next_character() == "[" and scanner.next_character(1) == "{" and not held and not _is_one(members):
            held = True
            yield from scanner.elements()
        else:
            members[name] = scanner.value()
    if not held:
        yield members


def _is_one(members: dict[str, Any]) -> bool:
    """Whether these are a person's, so that a list among them is theirs."""
    return any(isinstance(value, str) and "@" in value[1:-1] for value in members.values())


class _Scanner:
    """A JSON text that is read piece by piece. Raises ``json.JSONDecodeError`` with ``pos`` behind ``passed``."""

    def __init__(self, text: TextIO) -> None:
        self._text = text
        self._buffer, self._at = "", 0
        self._ended = False
        self.passed = 0
        """Characters that were dropped in front of the ones in hand."""

    def next_character(self, further: int = 0) -> str:
        """The next one that is not a space, or the one ``further`` behind it; empty at the end. Nothing is taken."""
        place, left = self._at, further
        while True:
            while place < len(self._buffer):
                if self._buffer[place] not in "\ufeff \t\r\n":
                    if not left:
                        if not further:
                            self._at = place
                        return self._buffer[place]
                    left -= 1
                place += 1
            if self._ended:
                return ""
            place -= self._fill(_PIECE)

    def take(self, wanted: str) -> str:
        """The next character, which must be one of ``wanted``."""
        found = self.next_character()
        if not found or found not in wanted:
            raise json.JSONDecodeError(f"expected {' or '.join(wanted)}", self._buffer, self._at)
        self._at += 1
        return found

    def elements(self) -> Iterator[Any]:
        """The values of the array that begins here."""
        self.take("[")
        if self.next_character() == "]":
            self.take("]")
            return
        while True:
            yield self.value()
            if self.take(",]") == "]":
                return

    def names(self) -> Iterator[str]:
        """The names in the object that begins here. After each one its value must be taken."""
        self.take("{")
        if self.next_character() == "}":
            self.take("}")
            return
        while True:
            name = self.value()
            if not isinstance(name, str):
                raise json.JSONDecodeError("a name is not a string", self._buffer, self._at)
            self.take(":")
            yield name
            if self.take(",}") == "}":
                return

    def value(self) -> Any:
        """The value that begins here, whole."""
        self.next_character()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._buffer, self._at)
                if end < len(self._buffer) or self._ended:  # a number may go on in the next piece
                    self._at = end
                    return value
            except json.JSONDecodeError as error:
                if self._ended or not _may_go_on(error, len(self._buffer)):
                    raise
            if len(self._buffer) - self._at > MAX_RECORD:
                raise json.JSONDecodeError(f"a value of more than {MAX_RECORD:,} characters", self._buffer, self._at)
            self._fill(max(_PIECE, len(self._buffer) - self._at))

    def _fill(self, characters: int) -> int:
        """Read on, and drop what was taken: how many characters that were."""
        dropped = self._at
        piece = self._text.read(characters)
        self._ended = not piece
        self._buffer = self._buffer[dropped:] + piece
        self.passed += dropped
        self._at = 0
        return dropped


def _may_go_on(error: json.JSONDecodeError, length: int) -> bool:
    """Whether it is only the text in hand that ends too early."""
    return error.pos >= length - 16 or error.msg.startswith("Unterminated string")


# --- from objects to cells --------------------------------------------------------------------------------------------


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            own = one_line(name, limit=200)
            yield from _flat(prefix if own == _OWN else f"{prefix} {own}".strip(), inner)
    elif isinstance(value, list) and any(isinstance(each, dict | list) for each in value):
        for number, inner in enumerate(value, 1):
            yield from _flat(f"{prefix} {number}".strip(), inner)
    else:
        yield prefix, _cell(value)


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(filter(None, map(_cell, value)))
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
