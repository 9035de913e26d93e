"""What is written down while the program works: one line an event in ``aicmo.log``, for the person who has to find out.

The log never holds a secret, a message's body or a template; addresses appear because they are what one searches for.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from textwrap import indent
from typing import Any

from aicmo.paths import make_private, make_private_dir
from aicmo.text import one_line, plain

MAX_BYTES = 2_000_000
"""A log that has outgrown this is put aside when the next one starts; one older file is kept."""


class _OneLine(logging.Formatter):
    """Each record is one line of plain text, whatever a provider's message contains; a traceback follows, indented."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return one_line(super().formatMessage(record), limit=4000)

    def formatException(self, ei: Any) -> str:
        return indent(plain(super().formatException(ei)), "    ")


class _File(logging.FileHandler):
    """What a full disk does not take is left out: a log disturbs nobody's work, and that the disk is full is told by
    whoever works."""

    def handleError(self, record: logging.LogRecord) -> None:
        if not isinstance(sys.exception(), OSError):
            super().handleError(record)

    def close(self) -> None:
        with suppress(OSError):
            super().close()


def start_log(file: Path, *, level: int = logging.INFO) -> logging.Handler:
    """Write the records of ``aicmo`` to ``file``; the caller takes the handler off again with ``stop_log``."""
    make_private_dir(file.parent)
    if file.exists() and file.stat().st_size > MAX_BYTES:
        make_private(file)
        file.replace(file.with_name(file.name + ".1"))
    os.close(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600))
    make_private(file)
    handler = _File(file, encoding="utf-8")
    handler.setFormatter(_OneLine("%(asctime)s %(process)d %(levelname)s %(name)s %(message)s"))
    logger = logging.getLogger("aicmo")
    logger.setLevel(level)
    logger.addHandler(handler)
    logger.propagate = False
    return handler


def stop_log(handler: logging.Handler) -> None:
    """Take off what ``start_log`` gave. Without any, records go to whoever embeds us again."""
    logger = logging.getLogger("aicmo")
    logger.removeHandler(handler)
    logger.propagate = not logger.handlers
    handler.close()


@contextmanager
def logging_to(file: Path) -> Iterator[logging.Logger]:
    """``start_log`` for the length of a block."""
    handler = start_log(file)
    try:
        yield logging.getLogger("aicmo")
    finally:
        stop_log(handler)
