"""Import contacts from a table: each row creates somebody, updates them, or says why it cannot.

The file is read once, in batches; while the writing thread applies one, the next is read. A batch is decided and stored
in one transaction, so what an import has counted is what is there, also after it was cancelled. A dry run decides with
the same code, and keeps what it would have written in a temporary database of its own. Nothing here touches an opt-out:
suppression is kept by address, apart from contacts.
"""

from __future__ import annotations

import contextlib
import csv
import functools
import os
import pickle
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple, TextIO

from aicmo.clock import SYSTEM_CLOCK, Clock
from aicmo.crm.address import NotAnAddress, normalise
from aicmo.crm.mapping import FIELDS, MAX_CUSTOM_FIELDS, ColumnMapping, map_columns, split_name
from aicmo.crm.reading import Table, UnreadableRow, mended, open_table
from aicmo.crm.spreadsheet import create_csv, escaped, unescaped
from aicmo.errors import AicmoError, InvalidInput
from aicmo.store import Database, contacts, imports
from aicmo.store import tags as tag_store
from aicmo.store.contacts import STAGES, Entry
from aicmo.text import one_line, shown

Policy = Literal["fill", "overwrite", "keep"]
"""What a row may do to somebody who is already there: fill empty fields only; replace with what is not empty; nothing.

Under ``fill`` and ``overwrite`` tags are added. A row whose address came earlier in the file meets what that row left.
"""
POLICIES: tuple[Policy, ...] = ("fill", "overwrite", "keep")

MAX_VALUE = 10_000
"""Characters in a value; a row with a longer one is rejected, never cut."""
MAX_TAGS = 10_000
"""Different tags in one import: more means that the column holds something else."""
BATCH_ROWS = 10_000
"""Of a transaction. Each writes most pages of the index of addresses anew, so larger is faster; 20,000 gain little."""
BATCH_CHARACTERS = 16_000_000
"""A batch ends here, too, so that wide rows do not fill the memory."""
MAX_REASONS = 20
"""Different reasons that a result keeps; the file of rejected rows has them all."""


@dataclass(frozen=True, slots=True)
class ImportCounts:
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    """Already there, and the row had nothing to add."""
    skipped: int = 0
    """Already there, and the policy is ``keep``."""
    rejected: int = 0

    @property
    def rows(self) -> int:
        """Rows that were not blank: the sum of the others."""
        return self.created + self.updated + self.unchanged + self.skipped + self.rejected

    def __add__(self, other: ImportCounts) -> ImportCounts:
        return ImportCounts(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))

    def as_dict(self) -> dict[str, int]:
        return {"rows": self.rows, **{name: getattr(self, name) for name in self.__slots__}}


@dataclass(frozen=True, slots=True)
class ImportProgress:
    counts: ImportCounts
    fraction: float | None
    """Of the file that was read, 0 to 1; None for a stream, whose end nobody knows."""


@dataclass(frozen=True, slots=True)
class ImportResult:
    status: Literal["done", "cancelled"]
    """When cancelled, what ``counts`` says is in the store and nothing else."""
    counts: ImportCounts
    import_id: int | None
    """None for a dry run."""
    warnings: tuple[str, ...]
    rejected_file: Path | None
    """Where the rejected rows are, if there are any and a file was asked for; a dry run writes none."""
    reasons: Mapping[str, int]
    """Why rows were rejected, and how many each time: the first ``MAX_REASONS`` reasons."""
    mapping: ColumnMapping


class Rejection(NamedTuple):
    row: list[str]
    reason: str


@dataclass(slots=True)
class _Batch:
    entries: list[Entry] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    characters: int = 0

    def is_full(self) -> bool:
        rows = len(self.entries) + len(self.rejections)
        return rows >= BATCH_ROWS or self.characters >= BATCH_CHARACTERS


def import_contacts(
    db: Database,
    source: Path | BinaryIO,
    *,
    mapping: Mapping[str, str] | None = None,
    policy: Policy = "fill",
    tags: Iterable[str] = (),
    dry_run: bool = False,
    rejected_file: Path | None = None,
    encoding: str | None = None,
    clock: Clock = SYSTEM_CLOCK,
    progress: Callable[[ImportProgress], None] | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> ImportResult:
    """Import the table in ``source``, a file or a binary stream (``Path("-")`` is standard input).

    ``mapping`` names columns' fields (see ``map_columns``); everybody imported gets ``tags``. ``progress`` is called
    and ``cancelled`` is asked after every batch, on the calling thread. Blank rows are not counted.
    Raises ``NotFound`` or ``InvalidInput`` before anything is written, and whatever the store raises; the batches that
    were counted until then are kept.
    """
    if policy not in POLICIES:
        raise InvalidInput(f"There is no policy {shown(policy)}.", hint=f"Choose one of: {', '.join(POLICIES)}.")
    with contextlib.ExitStack() as stack:
        table = stack.enter_context(open_table(source, encoding=encoding))
        if rejected_file is not None:
            _check_writable(rejected_file, source)
        columns = map_columns(table.header, table.sample, mapping)
        reader = _RowReader(table, columns, _TagSpelling(db), tags)
        target: _StoreTarget | _DryTarget
        target = _DryTarget(db, policy) if dry_run else _StoreTarget(db, policy, table.name, clock)
        stack.enter_context(target)
        rejected = stack.enter_context(_RejectedFile(None if dry_run else rejected_file, table.header))
        counts, stopped = ImportCounts(), False
        under_way: tuple[_Batch, Future[ImportCounts]] | None = None
        for batch in chain(reader.batches(), (None,)):
            if under_way is not None:
                counts += under_way[1].result()
                rejected.write(under_way[0].rejections)
                if progress is not None:
                    progress(ImportProgress(counts, table.fraction_read()))
            if batch is None or (stopped := cancelled()):
                break
            under_way = batch, target.submit(batch)
        target.end("cancelled" if stopped else "done")
    return ImportResult(
        status="cancelled" if stopped else "done",
        counts=counts,
        import_id=target.import_id,
        warnings=tuple(_warnings(table, columns, counts)),
        rejected_file=rejected.written,
        reasons=rejected.reasons,
        mapping=columns,
    )


# --- from a row to an entry -------------------------------------------------------------------------------------------


class _TagSpelling:
    """One spelling for each tag: the store's, or the first in the file."""

    def __init__(self, db: Database) -> None:
        self._names = db.read(tag_store.spellings)
        self._room = MAX_TAGS

    def spelled(self, text: str) -> frozenset[str]:
        """The tags that ``text`` lists. Raises ``InvalidInput`` for a long one, or one too many."""
        return frozenset(self._spelled(name) for name in tag_store.split_tags(text))

    def _spelled(self, name: str) -> str:
        key = tag_store.tag_key(name)
        if key not in self._names:
            if not self._room:
                raise InvalidInput(f"more than {MAX_TAGS:,} different tags; is that column one of tags?")
            self._room -= 1
            self._names[key] = name
        return self._names[key]


class _RowReader:
    def __init__(self, table: Table, columns: ColumnMapping, spelling: _TagSpelling, tags: Iterable[str]) -> None:
        self._table = table
        self._width = len(table.header)
        self._custom = tuple(columns.custom.items())
        # A field without a column reads the empty cell that stands behind every row.
        (self._email, self._first, self._last, self._name, self._company, self._title, self._phone, self._stage,
         self._tags) = (columns.fields.get(name, -1) for name in FIELDS)  # fmt: skip
        everybody = frozenset().union(*map(spelling.spelled, tags))
        self._tagged = functools.lru_cache(maxsize=1024)(lambda text: everybody | spelling.spelled(text))

    def batches(self) -> Iterator[_Batch]:
        batch = _Batch()
        for row in self._table.rows():
            if isinstance(row, UnreadableRow):
                batch.rejections.append(Rejection([], row.reason))
                continue
            together = "".join(row)
            if not together or together.isspace():
                continue
            batch.characters += len(together)
            try:
                batch.entries.append(self._entry(row, together))
            except NotAnAddress as error:
                batch.rejections.append(Rejection(row, error.reason))
            except InvalidInput as error:
                batch.rejections.append(Rejection(row, error.message))
            if batch.is_full():
                yield batch
                batch = _Batch()
        if batch.entries or batch.rejections:
            yield batch

    def _entry(self, row: list[str], together: str) -> Entry:
        if len(row) != self._width:
            row = self._fitted(row)
        if _is_clean(together):
            cells = [cell.strip() for cell in row]
        else:
            cells = [cell.strip() if _is_clean(cell) else self._cleaned(cell, n) for n, cell in enumerate(row)]
        cells.append("")
        address, email, domain = normalise(cells[self._email])
        first, last, stage = cells[self._first], cells[self._last], cells[self._stage].upper()
        if not first and not last:
            first, last = split_name(cells[self._name])
        if stage and stage not in STAGES:
            raise InvalidInput(f"there is no stage {shown(stage)}")
        return Entry(
            address,
            email,
            first,
            last,
            cells[self._company],
            cells[self._title],
            cells[self._phone],
            domain,
            stage,
            {key: value for key, column in self._custom if (value := cells[column])},
            self._tagged(cells[self._tags]),
        )

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
    """Whether trimming is all that ``text`` can need: most rows are like that, and the thorough way is slow."""
    return text.isascii() and text.isprintable() and "  " not in text and "'" not in text and len(text) <= MAX_VALUE


# --- what becomes of a batch ------------------------------------------------------------------------------------------


class Decision(NamedTuple):
    created: list[Entry]
    updated: list[tuple[int, Entry]]
    counts: ImportCounts


def decide(entries: Iterable[Entry], known: Mapping[str, tuple[int, Entry]], policy: Policy) -> Decision:
    """What to write for ``entries`` in their order, where ``known`` holds who is already there, by address."""
    created: dict[str, Entry] = {}
    updated: dict[str, tuple[int, Entry]] = {}
    updates = unchanged = skipped = births = 0
    for entry in entries:
        address = entry.address
        if address in created:
            number, old = 0, created[address]
        elif address in known:
            number, old = updated.get(address) or known[address]
        else:
            created[address] = entry
            births += 1
            continue
        if policy == "keep":
            skipped += 1
            continue
        if not old.stage:  # of one this import has created
            old = old._replace(stage=STAGES[0])
        new = merged(old, entry, policy)
        if new == old:
            unchanged += 1
            continue
        updates += 1
        if address in created:
            created[address] = new
        else:
            updated[address] = number, new
    return Decision(list(created.values()), list(updated.values()), ImportCounts(births, updates, unchanged, skipped))


def merged(old: Entry, new: Entry, policy: Policy) -> Entry:
    """``old`` with what ``new`` adds under ``policy``. What is empty in ``new`` never erases anything."""
    strong, weak = (old, new) if policy == "fill" else (new, old)
    return Entry(
        old.address,
        strong.email,
        strong.first_name or weak.first_name,
        strong.last_name or weak.last_name,
        strong.company or weak.company,
        strong.title or weak.title,
        strong.phone or weak.phone,
        old.domain,
        strong.stage or weak.stage,
        {**weak.fields, **strong.fields},
        old.tags | new.tags,
    )


class _StoreTarget(contextlib.AbstractContextManager[None]):
    """Batches go into the store, each in one transaction with the counts it adds to."""

    def __init__(self, db: Database, policy: Policy, source: str, clock: Clock) -> None:
        self._db, self._policy, self._clock = db, policy, clock
        self._counts = ImportCounts()
        self._ended = False
        self.import_id: int = db.write(lambda connection: imports.begin(connection, source, clock.now()))

    def submit(self, batch: _Batch) -> Future[ImportCounts]:
        return self._db.submit(lambda connection: self._apply(connection, batch))

    def _apply(self, connection: sqlite3.Connection, batch: _Batch) -> ImportCounts:
        known = contacts.find(connection, (entry.address for entry in batch.entries))
        decision = decide(batch.entries, known, self._policy)
        now = self._clock.now()
        contacts.insert(connection, decision.created, now, import_id=self.import_id)
        contacts.update(connection, decision.updated, now)
        counts = decision.counts + ImportCounts(rejected=len(batch.rejections))
        self._counts += counts
        imports.record(connection, self.import_id, self._counts.as_dict())
        return counts

    def end(self, status: Literal["done", "cancelled"]) -> None:
        self._db.write(lambda connection: imports.end(connection, self.import_id, status, self._clock.now()))
        self._ended = True

    def __exit__(self, *error: object) -> None:
        if not self._ended:  # the error that brought us here matters more than this note
            with contextlib.suppress(AicmoError):
                self.end("cancelled")


class _DryTarget(contextlib.AbstractContextManager[None]):
    """Batches are decided and forgotten. What they would have written lies in a temporary file that SQLite deletes."""

    import_id = None

    def __init__(self, db: Database, policy: Policy) -> None:
        self._db, self._policy = db, policy
        self._would_be = sqlite3.connect("", isolation_level=None)
        self._would_be.execute("CREATE TABLE entry (address TEXT PRIMARY KEY, id INTEGER, entry BLOB) WITHOUT ROWID")

    def submit(self, batch: _Batch) -> Future[ImportCounts]:
        done: Future[ImportCounts] = Future()
        done.set_result(self._apply(batch))
        return done

    def _apply(self, batch: _Batch) -> ImportCounts:
        addresses = [entry.address for entry in batch.entries]
        known = self._db.read(lambda connection: contacts.find(connection, addresses))
        for address in addresses:
            for number, blob in self._would_be.execute("SELECT id, entry FROM entry WHERE address = ?", (address,)):
                known[address] = number, pickle.loads(blob)  # written below, seen by nobody else
        decision = decide(batch.entries, known, self._policy)
        written = [(0, entry) for entry in decision.created] + decision.updated
        rows = ((entry.address, number, pickle.dumps(entry)) for number, entry in written)
        self._would_be.execute("BEGIN")
        self._would_be.executemany("INSERT OR REPLACE INTO entry VALUES (?, ?, ?)", rows)
        self._would_be.execute("COMMIT")
        return decision.counts + ImportCounts(rejected=len(batch.rejections))

    def end(self, status: Literal["done", "cancelled"]) -> None:
        """Nothing to record."""

    def __exit__(self, *error: object) -> None:
        self._would_be.close()


# --- what is told afterwards ------------------------------------------------------------------------------------------


class _RejectedFile(contextlib.AbstractContextManager["_RejectedFile"]):
    """The rejected rows under their own header, with the reason. There is no file before there is a first one."""

    def __init__(self, path: Path | None, header: tuple[str, ...]) -> None:
        self._path, self._header = path, header
        self._file: TextIO | None = None
        self.reasons: dict[str, int] = {}

    @property
    def written(self) -> Path | None:
        return self._path if self._file is not None else None

    def write(self, rejections: Iterable[Rejection]) -> None:
        for row, reason in rejections:
            if reason in self.reasons or len(self.reasons) < MAX_REASONS:
                self.reasons[reason] = self.reasons.get(reason, 0) + 1
            if self._path is None:
                continue
            if self._file is None:
                self._file = create_csv(self._path)
                csv.writer(self._file, lineterminator="\n").writerow([*map(escaped, self._header), "reason"])
            cells = [self._repaired(cell) for cell in row] + [""] * (len(self._header) - len(row))
            csv.writer(self._file, lineterminator="\n").writerow([*cells, reason])

    @staticmethod
    def _repaired(cell: str) -> str:
        """The cell as it was, in UTF-8, and so that a spreadsheet does not run it."""
        return escaped(unescaped(mended(cell)))

    def __exit__(self, *error: object) -> None:
        if self._file is not None:
            self._file.close()


def _check_writable(path: Path, source: Path | BinaryIO) -> None:
    """Refuse a file of rejected rows before anything is imported, not at the first rejected row."""
    if isinstance(source, Path) and path.absolute() == source.absolute():
        raise InvalidInput("The rejected rows cannot be written over the file that is imported.")
    if path.is_dir() or not os.access(path if path.exists() else path.absolute().parent, os.W_OK):
        raise InvalidInput(f"{path} cannot be written.", hint="Name another file for the rejected rows.")


def _warnings(table: Table, columns: ColumnMapping, counts: ImportCounts) -> Iterator[str]:
    if not counts.rows:
        yield f"{table.name} has no rows under its header."
    if not table.encoding.startswith(("utf", "ascii")):
        yield f"{table.name} is not UTF-8; it was read as {table.encoding}. Another encoding can be named."
    if table.mended_cells:
        yield f"{table.mended_cells:,} cells were not UTF-8 and were read as Windows-1252."
    if columns.left_out:
        titles = ", ".join(map(shown, columns.left_out[:5]))
        yield f"Only {MAX_CUSTOM_FIELDS} columns can be custom fields; {len(columns.left_out)} were left out: {titles}."
