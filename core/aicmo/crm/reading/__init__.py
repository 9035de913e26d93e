"""Read a table of people from whatever a program saved: CSV and its kin, JSON, NDJSON, vCard.

What a file is shows in its first bytes, never in its name. Encoding and delimiter are found there too; then rows
stream, so memory does not grow with the file. A file that is not UTF-8 in places is read all the same: a cell that
cannot be UTF-8 is read as Windows-1252 and counted. Nothing in a file can stop the reading but its end; a row that
cannot be read says why.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from aicmo.crm.reading.delimited import open_delimited
from aicmo.crm.reading.encoding import mended
from aicmo.crm.reading.source import SAMPLE_BYTES, STDIN, open_source
from aicmo.crm.reading.table import SAMPLE_ROWS, Row, Table, UnreadableRow

__all__ = ["SAMPLE_BYTES", "SAMPLE_ROWS", "STDIN", "Row", "Table", "UnreadableRow", "mended", "open_table"]

_JSON = re.compile(r'\{|\[\s*[\[{"\]]')


@contextlib.contextmanager
def open_table(source: Path | BinaryIO, *, encoding: str | None = None) -> Iterator[Table]:
    """Open ``source``, a file or a binary stream (``Path("-")`` is standard input), and read its header.

    Raises ``NotFound`` when there is no such file, ``InvalidInput`` when it is empty, not text or not a table.
    """
    with open_source(source, encoding=encoding) as found:
        begins = found.head.lstrip("\ufeff \t\r\n")
        if begins[:11].upper() == "BEGIN:VCARD":
            from aicmo.crm.reading.vcards import open_vcards as opener
        elif _JSON.match(begins):
            from aicmo.crm.reading.records import open_records as opener
        else:
            opener = open_delimited
        with opener(found) as table:
            yield table
