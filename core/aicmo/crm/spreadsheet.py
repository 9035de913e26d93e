"""What we write for spreadsheets: private files, and cells that must not run.

A cell that begins like a formula is written with an apostrophe before it, and read without. The pair loses nothing:
``unescaped(escaped(text)) == text`` for every text.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TextIO

from aicmo.errors import InvalidInput

# What begins a formula, also after our own apostrophes (OWASP, CSV Injection); the last four are the full-width signs.
_FORMULA = re.compile("'*[=+\\-@\t\r\n＝＋－＠]")


def escaped(text: str) -> str:
    """``text`` as a cell that shows and does not act."""
    return "'" + text if _FORMULA.match(text) else text


def unescaped(cell: str) -> str:
    """The text ``escaped`` was given. Other cells, such as ``'tis``, stay as they are."""
    return cell[1:] if cell[:1] == "'" and _FORMULA.match(cell) else cell


def create_csv(path: Path) -> TextIO:
    """Open ``path`` for its owner alone, empty, ready for ``csv.writer``. Raises ``InvalidInput``."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.fchmod(descriptor, 0o600)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written: {error.strerror}.") from error
    return open(descriptor, "w", encoding="utf-8", newline="")
