"""Read a table of people from whatever a spreadsheet saved.

The encoding and the delimiter are found from the first ``SAMPLE_BYTES``; then rows stream, so memory does not grow with
the file. A file that is not UTF-8 in places is read all the same: a cell that cannot be UTF-8 is read as
Windows-1252 and counted. Nothing in a file can stop the reading but its end; a row that cannot be read says why.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from aicmo.errors import InvalidInput, NotFound
from aicmo.text import one_line

SAMPLE_BYTES = 256 * 1024
SAMPLE_ROWS = 20
DELIMITERS = ",;\t|"
STDIN = Path("-")

_BOMS = (  # UTF-32 first: its little-endian mark begins with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NOT_TABLES = (
    (b"PK\x03\x04", "is a workbook or an archive, not text", "Save the sheet as CSV and import that."),
    (b"\xd0\xcf\x11\xe0", "is an old Excel workbook, not text", "Save the sheet as CSV and import that."),
    (b"BEGIN:VCARD", "is a vCard file", "Export the contacts as CSV and import that."),
    (b"{", "looks like JSON", "Export the contacts as CSV and import that."),
    (b"[{", "looks like JSON", "Export the contacts as CSV and import that."),
    (b"<", "looks like HTML or XML", "Export the contacts as CSV and import that."),
)
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\r\x0b\x0c\x1b"))
_UNDECODED = re.compile("[\udc80-\udcff]")
_SEPARATOR_LINE = re.compile(r"sep=(.)\r?\n?", re.IGNORECASE)  # Excel's own first line


@dataclass(frozen=True, slots=True)
class UnreadableRow:
    reason: str


@dataclass(slots=True)
class Table:
    """A table being read. Iterate ``rows`` once."""

    name: str
    """The file's name, or ``standard input``."""
    header: tuple[str, ...]
    sample: tuple[tuple[str, ...], ...]
    """The first rows under the header, at most ``SAMPLE_ROWS``; read again by ``rows``."""
    encoding: str
    delimiter: str
    size: int | None
    """Bytes in the file; None for a stream."""
    mended_cells: int = field(default=0, init=False)
    """Cells so far that were not UTF-8 in a UTF-8 file."""
    _stream: BinaryIO
    _reader: Iterator[list[str]]

    def rows(self) -> Iterator[list[str] | UnreadableRow]:
        """The rows under the header as they stand, empty lines among them."""
        reader = self._reader
        while True:
            first = _line_number(reader) + 1
            try:
                for row in reader:
                    yield row
                    first = _line_number(reader) + 1
                return
            except csv.Error as error:
                yield UnreadableRow(_why_unreadable(error, first, _line_number(reader)))

    def mend(self, cell: str) -> str:
        """``mended(cell)``, counted."""
        better = mended(cell)
        self.mended_cells += better is not cell
        return better

    def fraction_read(self) -> float | None:
        """0 to 1; None for a stream, whose end nobody knows."""
        return min(self._stream.tell() / self.size, 1.0) if self.size else None


@contextlib.contextmanager
def open_table(source: Path | BinaryIO, *, encoding: str | None = None) -> Iterator[Table]:
    """Open ``source``, a file or a binary stream (``Path("-")`` is standard input), and read its header.

    Raises ``NotFound`` when there is no such file, ``InvalidInput`` when it is empty, not text or not a table.
    """
    with contextlib.ExitStack() as stack:
        if isinstance(source, Path) and source != STDIN:
            name = one_line(source.name, limit=200)
            stream: BinaryIO = stack.enter_context(_opened(source))
            size: int | None = source.stat().st_size if source.is_file() else None
        else:
            stream, size = (sys.stdin.buffer if isinstance(source, Path) else source), None
            name = "standard input" if isinstance(source, Path) else str(getattr(source, "name", "the stream"))
        sample = _read_sample(stream)
        _refuse_what_is_no_text(sample, name)
        encoding = _checked_encoding(encoding) if encoding else detect_encoding(sample)
        begun = io.BufferedReader(_Begun(sample, stream), SAMPLE_BYTES)  # type: ignore[type-var]  # a stub's slip
        text = io.TextIOWrapper(begun, encoding=encoding, errors=_on_undecodable(encoding), newline="")
        stack.callback(text.detach)  # standard input stays open
        head = _decoded(sample, encoding)
        separator = _SEPARATOR_LINE.match(head)
        if separator:
            text.readline()
            head = head[separator.end() :]
        complete = len(sample) < SAMPLE_BYTES
        delimiter = separator[1] if separator else detect_delimiter(head, complete=complete)
        reader = csv.reader(text, delimiter=delimiter)
        yield Table(
            name=name,
            header=_header(reader, name),
            sample=tuple(map(tuple, _first_rows(head, delimiter, complete=complete)[1:])),
            encoding=encoding,
            delimiter=delimiter,
            size=size,
            _stream=stream,
            _reader=reader,
        )


def detect_encoding(sample: bytes) -> str:
    """The codec for a file that begins with ``sample``.

    A byte order mark decides; else UTF-8 if it can be; else what charset-normalizer thinks of the script; else
    Windows-1252, which is what Western spreadsheets write.
    """
    for mark, codec in _BOMS:
        if sample.startswith(mark):
            return codec
    if wide := _wide_without_mark(sample):
        return wide
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample, final=False)
    except UnicodeDecodeError:
        return _detect_legacy(sample)
    return "utf-8"


def detect_delimiter(head: str, *, complete: bool = True) -> str:
    """Which of ``DELIMITERS`` cuts the first rows of ``head`` most evenly; the comma for a single column."""

    def evenness(delimiter: str) -> tuple[float, int]:
        widths = [len(row) for row in _first_rows(head, delimiter, complete=complete)]
        if not widths or widths[0] < 2:
            return 0.0, 0
        return sum(width == widths[0] for width in widths) / len(widths), widths[0]

    return max(DELIMITERS, key=evenness)


def mended(cell: str) -> str:
    """``cell``; read as Windows-1252 if it is not UTF-8."""
    if not _UNDECODED.search(cell):
        return cell
    return cell.encode("utf-8", "surrogateescape").decode("cp1252", "replace")


# --- inside -----------------------------------------------------------------------------------------------------------


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        raise NotFound(f"There is no file {path}.") from error
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.") from error


def _read_sample(stream: BinaryIO) -> bytes:
    sample = b""
    while len(sample) < SAMPLE_BYTES and (piece := stream.read(SAMPLE_BYTES - len(sample))):
        sample += piece
    return sample


class _Begun(io.RawIOBase):
    """A stream with what was already read from it put back: a pipe cannot be rewound."""

    def __init__(self, start: bytes, rest: BinaryIO) -> None:
        self._start, self._rest = memoryview(start), rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]  # the stub's buffer type is not public
        piece = self._start[: len(buffer)] or self._rest.read(len(buffer))
        self._start = self._start[len(buffer) :]
        buffer[: len(piece)] = piece
        return len(piece)


def _refuse_what_is_no_text(sample: bytes, name: str) -> None:
    stripped = sample.lstrip(b"\xef\xbb\xbf \t\r\n")
    if not stripped:
        raise InvalidInput(f"{name} is empty.", hint="The first line names the columns, such as: email,first_name")
    for start, what, hint in _NOT_TABLES:
        if stripped.startswith(start):
            raise InvalidInput(f"{name} {what}.", hint=hint)
    if detect_encoding(sample[:4096]).startswith(("utf-16", "utf-32")):
        return
    if len(sample) - len(sample.translate(None, _CONTROLS)) > len(sample) / 20:
        raise InvalidInput(f"{name} is not text.", hint="Export the contacts as CSV and import that.")


def _wide_without_mark(sample: bytes) -> str:
    """UTF-16 without a mark, betrayed by every other byte being NUL."""
    head = sample[:4096]
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if odd > len(head) / 3 and even < odd / 8:
        return "utf-16-le"
    if even > len(head) / 3 and odd < even / 8:
        return "utf-16-be"
    return ""


_OTHER_SCRIPTS = ("cp1251", "cp1253", "cp1255", "cp1256", "cp932", "gb18030", "big5", "cp949", "euc_jp", "koi8_r")


def _detect_legacy(sample: bytes) -> str:
    from charset_normalizer import from_bytes

    best = from_bytes(sample[:65_536], cp_isolation=["cp1252", *_OTHER_SCRIPTS]).best()
    return best.encoding if best is not None and best.encoding in _OTHER_SCRIPTS else "cp1252"


def _checked_encoding(encoding: str) -> str:
    try:
        return codecs.lookup(encoding).name
    except LookupError as error:
        raise InvalidInput(f"There is no encoding {one_line(encoding, limit=40)}.") from error


def _on_undecodable(encoding: str) -> str:
    return "surrogateescape" if encoding in ("utf-8", "utf-8-sig") else "replace"


def _decoded(sample: bytes, encoding: str) -> str:
    return codecs.getincrementaldecoder(encoding)("replace").decode(sample, final=False)


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


def _line_number(reader: Iterator[list[str]]) -> int:
    number: int = reader.line_num  # type: ignore[attr-defined]  # csv.reader's own; its type has no public name
    return number


def _why_unreadable(error: csv.Error, first: int, last: int) -> str:
    where = f"line {first}" if first >= last else f"lines {first} to {last}"
    if "field larger" in str(error):
        return f"{where}: a cell of more than {csv.field_size_limit():,} characters; is a closing quote missing?"
    return f"{where}: {one_line(str(error), limit=120)}"
