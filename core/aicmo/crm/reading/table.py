"""What every format is read as: a header, and rows of cells under it that stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from aicmo.crm.reading.encoding import mended
from aicmo.crm.reading.source import Source

SAMPLE_ROWS = 20


@dataclass(frozen=True, slots=True)
class UnreadableRow:
    reason: str


Row: TypeAlias = list[str] | UnreadableRow


@dataclass(slots=True)
class Table:
    """A table being read. Iterate ``rows`` once."""

    _source: Source
    header: tuple[str, ...]
    """The columns' titles; of records, every name that any of them has."""
    sample: tuple[tuple[str, ...], ...]
    """The first rows under the header that are not empty, at most ``SAMPLE_ROWS``; read again by ``rows``."""
    _rows: Callable[[], Iterator[Row]]
    mended_cells: int = field(default=0, init=False)
    """Cells so far that were not UTF-8 in a UTF-8 file."""

    @property
    def name(self) -> str:
        """The file's name, or ``standard input``."""
        return self._source.name

    @property
    def encoding(self) -> str:
        return self._source.encoding

    def rows(self) -> Iterator[Row]:
        """The rows under the header as they stand, empty ones among them: the same number at every reading."""
        return self._rows()

    def mend(self, cell: str) -> str:
        """``mended(cell)``, counted."""
        better = mended(cell)
        self.mended_cells += better is not cell
        return better

    def fraction_read(self) -> float | None:
        """0 to 1; None for a stream, whose end nobody knows."""
        return self._source.fraction_read()
