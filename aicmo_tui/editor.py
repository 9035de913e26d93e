"""A text or a file in the person's own editor (``$VISUAL``, ``$EDITOR``, else ``vi``).

The editor has the terminal; the app goes on behind it, a send above all, and draws nothing until it is back.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from aicmo.errors import InvalidInput
from aicmo.text import plain, shown

if TYPE_CHECKING:
    from textual.app import App

T = TypeVar("T")

TAKE_A_LINE = frozenset({"vi", "vim", "nvim", "nano", "pico", "emacs", "emacsclient", "micro", "kak", "joe", "ne"})
"""Editors that go to a line when told ``+LINE`` before the file; any other would take that for a file's name."""


async def with_terminal(app: App[None], work: Callable[[], T]) -> T:
    """The result of ``work``, which blocks and has the terminal meanwhile.

    Raises what ``work`` does, but only when the terminal is the app's again: Textual leaves it as it is where what ran
    meanwhile failed.
    """
    with (
        ThreadPoolExecutor(1, thread_name_prefix="aicmo-editor") as thread,
        app.suspend(),
        app.batch_update(),
        _interrupts_ignored(),
    ):
        done = asyncio.get_running_loop().run_in_executor(thread, work)
        await asyncio.wait({done})
    return await done


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Ctrl-C in the editor is the editor's, and reaches the app as well: it must end neither the app nor the text. The
    editor itself starts with the signal as it always is."""
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def edited(text: str, folder: Path) -> str:
    """What the editor left of ``text``, in a file under ``folder`` that is its owner's alone and gone afterwards. The
    line end that editors put after the last line is no change.

    Raises ``InvalidInput`` when the editor cannot be started, says it failed or left nothing; the text is then as it
    was.
    """
    try:
        with tempfile.TemporaryDirectory(dir=folder) as place:
            file = Path(place, "text.md")
            file.write_text(text, encoding="utf-8")
            _run([*_editor(), str(file)])
            left = plain(file.read_text(encoding="utf-8", errors="replace")) if file.exists() else ""
    except OSError as error:
        raise InvalidInput(f"No file for the editor can be had in {folder}: {error.strerror}.") from error
    if text.strip() and not left.strip():
        raise InvalidInput("The editor left nothing, so the text stays as it was.", hint="To empty it, do so here.")
    return left if text.endswith("\n") else left.removesuffix("\n")


def edit_file(path: Path, line: int = 1) -> None:
    """Open ``path`` itself, at ``line`` if the editor is known to take one. Raises ``InvalidInput`` as above."""
    command = _editor()
    at = [f"+{line}"] if Path(command[0]).name in TAKE_A_LINE else []
    _run([*command, *at, str(path)])


def _editor() -> list[str]:
    named = os.environ.get("VISUAL", "").strip() or os.environ.get("EDITOR", "").strip() or "vi"
    try:
        return shlex.split(named)
    except ValueError as error:
        raise InvalidInput(f"The editor {shown(named)} lacks a quotation mark.", hint="Set EDITOR anew.") from error


def _run(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True)
    except OSError as error:
        why = f"The editor {shown(command[0])} cannot be started: {error.strerror}."
        raise InvalidInput(why, hint="Set EDITOR to another.") from error
    except subprocess.CalledProcessError as error:
        why = f"The editor {shown(command[0])} ended with status {error.returncode}, which says that it failed."
        raise InvalidInput(why, hint="Nothing was taken over.") from error
