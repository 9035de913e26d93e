"""The bytes of a file or a stream, with its beginning looked at and put back; and what no table of people can be."""

from __future__ import annotations

import contextlib
import io
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TextIO

from aicmo.crm.reading.encoding import checked_encoding, decoded, detect_encoding, on_undecodable
from aicmo.errors import InvalidInput, NotFound
from aicmo.text import one_line

SAMPLE_BYTES = 256 * 1024
_PIECE_BYTES = 256 * 1024
STDIN = Path("-")

_NOT_TABLES = (
    (b"PK\x03\x04", "is a workbook or an archive, not text", "Save the sheet as CSV and import that."),
    (b"\xd0\xcf\x11\xe0", "is an old Excel workbook, not text", "Save the sheet as CSV and import that."),
    (b"\x1f\x8b", "is compressed", "Unpack it (gunzip) and import what is in it."),
    (b"%PDF", "is a PDF, not text", "Export the contacts as CSV and import that."),
    (b"<", "looks like HTML or XML", "Export the contacts as CSV and import that."),
)
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\r\x0b\x0c\x1b"))


@dataclass(slots=True)
class Source:
    name: str
    """The file's name, or ``standard input``."""
    head: str
    """The first ``SAMPLE_BYTES``, decoded."""
    is_complete: bool
    """Whether ``head`` is all there is."""
    encoding: str
    size: int | None
    """Bytes in the file; None for a stream."""
    _sample: bytes
    _stream: BinaryIO

    @contextlib.contextmanager
    def text(self) -> Iterator[TextIO]:
        """The whole text, line ends as they are. Of a stream, once."""
        begun = io.BufferedReader(_Begun(self._sample, self._stream))  # type: ignore[type-var]  # a stub's slip
        text = io.TextIOWrapper(begun, encoding=self.encoding, errors=on_undecodable(self.encoding), newline="")
        try:
            yield text
        finally:
            text.detach()  # standard input stays open

    @contextlib.contextmanager
    def kept(self) -> Iterator[Source]:
        """The same, to be read more than once: a stream is copied into a temporary file that vanishes at the end."""
        if self._stream.seekable():
            yield self
            return
        with tempfile.TemporaryFile() as copy:
            copy.write(self._sample)
            shutil.copyfileobj(self._stream, copy)
            copy.seek(len(self._sample))
            yield Source(self.name, self.head, self.is_complete, self.encoding, None, self._sample, copy)

    def rewind(self) -> None:
        """Back to where ``text`` begins. Only within ``kept``."""
        self._stream.seek(len(self._sample))

    def fraction_read(self) -> float | None:
        """0 to 1; None for a stream, whose end nobody knows."""
        return min(self._stream.tell() / self.size, 1.0) if self.size else None


@contextlib.contextmanager
def open_source(source: Path | BinaryIO, *, encoding: str | None = None) -> Iterator[Source]:
    """Open ``source``, a file or a binary stream (``Path("-")`` is standard input).

    Raises ``NotFound`` when there is no such file, ``InvalidInput`` when it is empty or not text.
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
        encoding = checked_encoding(encoding) if encoding else detect_encoding(sample)
        complete = len(sample) < SAMPLE_BYTES
        yield Source(name, decoded(sample, encoding), complete, encoding, size, sample, stream)


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
    """A stream with what was already read from it put back: a pipe cannot be rewound.

    It is asked for large pieces, whatever is asked of it. Each question lets go of the interpreter for a moment, and in
    CPython a thread that waits begins to wait anew each time: between many small ones it would never get its turn.
    """

    def __init__(self, start: bytes, rest: BinaryIO) -> None:
        self._piece, self._rest = memoryview(start), rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]  # the stub's buffer type is not public
        self._piece = self._piece or memoryview(self._rest.read(_PIECE_BYTES))
        part = self._piece[: len(buffer)]
        self._piece = self._piece[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)


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
