"""The tables an import leaves beside the store: the rows it rejected, and the plan of a dry run."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO, TextIO

from aicmo.crm.importing.plan import PLANNED_ROWS, PlannedRow
from aicmo.crm.importing.rows import Rejection
from aicmo.crm.reading import mended
from aicmo.crm.spreadsheet import create_csv, escaped, unescaped
from aicmo.errors import InvalidInput

MAX_REASONS = 20
"""Different reasons that a result keeps; the file of rejected rows has them all."""
_PLAN_COLUMNS = ("row", "action", "email", "reason", "field", "there", "offered")


class RejectedFile(contextlib.AbstractContextManager["RejectedFile"]):
    """The rejected rows under their own header, with the reason. There is no file before there is a first one."""

    def __init__(self, path: Path | None, header: Sequence[str]) -> None:
        self._path, self._header = path, header
        self._file: TextIO | None = None
        self.reasons: dict[str, int] = {}

    @property
    def written(self) -> Path | None:
        return self._path if self._file is not None else None

    def write(self, rejections: Iterable[Rejection]) -> None:
        for _, row, reason in rejections:
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

    def close(self) -> None:
        """Everything is in the file. Closing twice is harmless."""
        if self._file is not None:
            self._file.close()

    def __exit__(self, *error: object) -> None:
        self.close()


class PlanFile(contextlib.AbstractContextManager["PlanFile"]):
    """What would become of every row, one line each; a row in conflict has a line for each value."""

    def __init__(self, path: Path | None) -> None:
        self._file = None if path is None else create_csv(path)
        self.first: list[PlannedRow] = []
        """Of all rows, at most ``PLANNED_ROWS``."""
        if self._file is not None:
            csv.writer(self._file, lineterminator="\n").writerow(_PLAN_COLUMNS)

    def write(self, rejections: Iterable[Rejection], planned: Iterable[PlannedRow]) -> None:
        rejected = (PlannedRow(each.number, "reject", "", each.reason, ()) for each in rejections)
        rows = sorted([*planned, *rejected])  # as they stand in the table
        self.first += rows[: PLANNED_ROWS - len(self.first)]
        if self._file is None:
            return
        writer = csv.writer(self._file, lineterminator="\n")
        for row, action, email, reason, conflicts in rows:
            for field, there, offered in conflicts or [("", "", "")]:
                writer.writerow([row, action, *map(escaped, (email, reason, field, there, offered))])

    def __exit__(self, *error: object) -> None:
        if self._file is not None:
            self._file.close()


def rejected_name(name: str, *, folder: Path | None = None) -> str:
    """What the rejected rows of a file are called: ``people.rejected.csv`` for ``people.csv``.

    Another ending stays in the name, ``people.json.rejected.csv``, so that the two have a file each. So do files of one
    name from two folders where ``folder`` is said: ``people.3f9a2c.rejected.csv``, for a place that holds them both.
    """
    of = f".{hashlib.sha256(os.fsencode(folder.absolute())).hexdigest()[:6]}" if folder is not None else ""
    return f"{name.removesuffix('.csv')}{of}.rejected.csv"


def check_writable(path: Path, source: Path | BinaryIO, what: str) -> None:
    """Refuse a file before anything is imported, not at the first row for it. ``what``: ``The rejected rows``."""
    if isinstance(source, Path) and path.absolute() == source.absolute():
        raise InvalidInput(f"{what} cannot be written over the file that is imported.")
    if path.is_dir() or not os.access(path if path.exists() else path.absolute().parent, os.W_OK):
        raise InvalidInput(f"{path} cannot be written.", hint=f"Name another file for {what.lower()}.")
