"""A text or a file in the person's own editor (``$VISUAL``, ``$EDITOR``, else ``vi``)."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path

from aicmo.errors import InvalidInput
from aicmo.text import plain, shown

TAKE_A_LINE = frozenset({"vi", "vim", "nvim", "nano", "pico", "emacs", "emacsclient", "micro", "kak", "joe", "ne"})
"""Editors that go to a line when told ``+LINE`` before the file; any other would take that for a file's name."""


def edited(text: str, folder: Path) -> str:
    """What the editor left of ``text``, in a file in ``folder`` that is its owner's alone and gone afterwards.

    Raises ``InvalidInput`` when the editor cannot be started or says it failed; the text is then as it was.
    """
    with tempfile.NamedTemporaryFile("w+", encoding="utf-8", suffix=".md", dir=folder) as file:
        file.write(text)
        file.flush()
        _run([*_editor(), file.name])
        return plain(Path(file.name).read_text(encoding="utf-8", errors="replace"))


def edit_file(path: Path, line: int = 1) -> None:
    """Open ``path`` itself, at ``line`` if the editor is known to take one. Raises ``InvalidInput`` as above."""
    command = _editor()
    at = [f"+{line}"] if Path(command[0]).name in TAKE_A_LINE else []
    _run([*command, *at, str(path)])


def _editor() -> list[str]:
    return shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")


def _run(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise InvalidInput(f"The editor {shown(command[0])} failed: {error}.", hint="Set EDITOR to another.") from error
