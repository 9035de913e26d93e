"""From a row of a table to what it says of one person, in batches."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from aicmo.crm.address import NotAnAddress, normalise
from aicmo.crm.fields import canonical
from aicmo.crm.importing.optouts import OptOutColumns
from aicmo.crm.mapping import FIELDS, ColumnMapping, fold, split_name
from aicmo.crm.reading import Table, UnreadableRow
from aicmo.crm.spreadsheet import unescaped
from aicmo.errors import InvalidInput
from aicmo.store import tags as tag_store
from aicmo.store.contacts import STAGES, Entry
from aicmo.store.fields import CustomField
from aicmo.store.suppressions import SuppressionReason
from aicmo.text import one_line, shown

MAX_VALUE = 10_000
"""Characters in a value; a row with a longer one is rejected, never cut."""
MAX_TAGS = 10_000
"""Different tags in one import: more means that the column holds something else."""
BATCH_ROWS = 15_000
"""Of a transaction. Each writes most pages of the index of addresses anew, so larger is faster; memory is the limit."""
BATCH_CHARACTERS = 16_000_000
"""A batch ends here, too, so that wide rows do not fill the memory."""


class Rejection(NamedTuple):
    number: int
    row: list[str]
    """Empty when it could not be read."""
    reason: str


@dataclass(slots=True)
class Batch:
    rows_read: int
    """Of the file, up to the end of this batch, blank ones among them."""
    entries: list[Entry] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    """Of the entries' rows: 1 is the first under the header."""
    rejections: list[Rejection] = field(default_factory=list)
    opt_outs: dict[str, SuppressionReason] = field(default_factory=dict)
    """By address."""
    opted_out: int = 0
    """Entries whose row says so."""
    characters: int = 0


class TagSpelling:
    """One spelling for each tag: the store's, or the first in the file."""

    def __init__(self, names: Mapping[str, str]) -> None:
        """``names``: the store's, by key."""
        self._names = dict(names)
        self._met: set[str] = set()

    def spelled(self, text: str) -> frozenset[str]:
        """The tags that ``text`` lists. Raises ``InvalidInput`` for a long one, or one too many."""
        return frozenset(self._spelled(name) for name in tag_store.split_tags(text))

    def _spelled(self, name: str) -> str:
        key = tag_store.tag_key(name)
        if key not in self._met:
            if len(self._met) == MAX_TAGS:
                raise InvalidInput(f"more than {MAX_TAGS:,} different tags; is that column one of tags?")
            self._met.add(key)
        return self._names.setdefault(key, name)


class RowReader:
    def __init__(
        self,
        table: Table,
        columns: ColumnMapping,
        spelling: TagSpelling,
        *,
        tags: Iterable[str] = (),
        typed: Mapping[str, CustomField] | None = None,
        batch_rows: int = BATCH_ROWS,
        stop_at: int = 0,
    ) -> None:
        """``tags`` are everybody's; ``typed`` are the custom fields that have a type, by key; a batch ends at row
        ``stop_at``."""
        self._table, self._batch_rows, self._stop_at = table, batch_rows, stop_at
        self._width = len(table.header)
        self._custom = [(key, column, _form(typed or {}, key)) for key, column in columns.custom.items()]
        # A field without a column reads the empty cell that stands behind every row.
        (self._email, self._first, self._last, self._name, self._company, self._title, self._phone, self._stage,
         self._tags) = (columns.fields.get(name, -1) for name in FIELDS)  # fmt: skip
        self._opt_outs = OptOutColumns(table.header, columns.ignored)
        everybody = frozenset().union(*map(spelling.spelled, tags))
        tidy = _unquoted if _is_mailchimps(table.header) else str
        self._tagged = functools.lru_cache(maxsize=1024)(lambda text: everybody | spelling.spelled(tidy(text)))

    def batches(self) -> Iterator[Batch]:
        number = 0
        batch = Batch(0)
        for number, row in enumerate(self._table.rows(), 1):
            if isinstance(row, UnreadableRow):
                batch.rejections.append(Rejection(number, [], row.reason))
            elif (together := "".join(row)) and not together.isspace():
                batch.characters += len(together)
                try:
                    self._add(batch, number, row, together)
                except NotAnAddress as error:
                    batch.rejections.append(Rejection(number, row, error.reason))
                except InvalidInput as error:
                    batch.rejections.append(Rejection(number, row, error.message))
            taken = len(batch.entries) + len(batch.rejections)
            if taken >= self._batch_rows or batch.characters >= BATCH_CHARACTERS or number == self._stop_at:
                batch.rows_read = number
                yield batch
                batch = Batch(number)
        if batch.entries or batch.rejections:
            batch.rows_read = number
            yield batch

    def _add(self, batch: Batch, number: int, row: list[str], together: str) -> None:
        if len(row) != self._width:
            row = self._fitted(row)
        if _is_clean(together):
            cells = list(map(str.strip, row))
        else:
            cells = [cell.strip() if _is_clean(cell) else self._cleaned(cell, n) for n, cell in enumerate(row)]
        cells.append("")
        address, email, domain = normalise(cells[self._email])
        first, last, stage = cells[self._first], cells[self._last], cells[self._stage].upper()
        if not first and not last:
            first, last = split_name(cells[self._name])
        if stage and stage not in STAGES:
            raise InvalidInput(f"there is no stage {shown(stage)}")
        entry = Entry(
            address,
            email,
            first,
            last,
            cells[self._company],
            cells[self._title],
            cells[self._phone],
            domain,
            stage,
            {key: form(value) if form else value for key, column, form in self._custom if (value := cells[column])},
            self._tagged(cells[self._tags]),
        )
        if self._opt_outs and (reason := self._opt_outs.reason(cells)):
            batch.opt_outs.setdefault(address, reason)
            batch.opted_out += 1
        batch.entries.append(entry)
        batch.numbers.append(number)

    def _fitted(self, row: list[str]) -> list[str]:
        if any(cell.strip() for cell in row[self._width :]):
            raise InvalidInput(f"{len(row)} cells where the header has {self._width}")
        return row[: self._width] + [""] * (self._width - len(row))

    def _cleaned(self, cell: str, column: int) -> str:
        value = one_line(unescaped(self._table.mend(cell)))
        if len(value) > MAX_VALUE:
            raise InvalidInput(f"{shown(self._table.header[column], limit=40)} is longer than {MAX_VALUE:,} characters")
        return value


def _is_clean(text: str) -> bool:
    """Whether trimming is all that ``text`` can need: most rows are like that, and the thorough way is slow.

    What ``text.plain`` takes away is not printable, and neither is any white space but the space.
    """
    return text.isprintable() and "  " not in text and "'" not in text and len(text) <= MAX_VALUE


def _form(typed: Mapping[str, CustomField], key: str) -> Callable[[str], str] | None:
    """How a typed field writes a value; ``None`` for plain text."""
    if key not in typed:
        return None
    known = typed[key]

    def form(text: str) -> str:
        try:
            return canonical(known.type, known.options, text)
        except InvalidInput as error:
            raise InvalidInput(f"{known.title}: {error.message}") from None

    return functools.lru_cache(maxsize=1024)(form)


def _is_mailchimps(header: Iterable[str]) -> bool:
    return {"leid", "euid"} <= set(map(fold, header))


def _unquoted(tags: str) -> str:
    """Mailchimp writes every tag in quotes of its own: ``"vip","press"``."""
    return tags.replace('"', "")
