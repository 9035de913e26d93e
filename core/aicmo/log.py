"""What is written down while the program works: one line an event in ``aicmo.log``, for the person who has to find out.

The log never holds a secret, a message's body or a template; addresses appear because they are what one searches for.
"""

from __future__ import annotations

import logging
from pathlib import Path

from aicmo.paths import make_private, make_private_dir
from aicmo.text import one_line

MAX_BYTES = 2_000_000
"""The log is rotated at this size; one older file is kept."""


class _OneLine(logging.Formatter):
    """Each record stays one line of plain text, whatever a provider's message contains."""

    def format(self, record: logging.LogRecord) -> str:
        return one_line(super().format(record), limit=4000)


def start_log(file: Path, *, level: int = logging.INFO) -> logging.Handler:
    """Write the records of ``aicmo`` to ``file``; the caller takes the handler off again with ``stop_log``."""
    from logging.handlers import RotatingFileHandler

    make_private_dir(file.parent)
    handler = RotatingFileHandler(file, maxBytes=MAX_BYTES, backupCount=1, encoding="utf-8", delay=False)
    make_private(file)
    handler.setFormatter(_OneLine("%(asctime)s %(process)d %(levelname)s %(name)s %(message)s"))
    logger = logging.getLogger("aicmo")
    logger.setLevel(level)
    logger.addHandler(handler)
    logger.propagate = False
    return handler


def stop_log(handler: logging.Handler) -> None:
    logging.getLogger("aicmo").removeHandler(handler)
    handler.close()
