"""A text in the person's own editor (``$VISUAL``, ``$EDITOR``, else ``vi``)."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path

from aicmo.errors import InvalidInput
from aicmo.text import plain, shown


def edited(text: str, folder: Path) -> str:
    """What the editor left of ``text``, in a file in ``folder`` that is its owner's alone and gone afterwards.

    Raises ``InvalidInput`` when the editor cannot be started or says it failed; the text is then as it was.
    """
    command = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    with tempfile.NamedTemporaryFile("w+", encoding="utf-8", suffix=".md", dir=folder) as file:
        file.write(text)
        file.flush()
        try:
            subprocess.run([*command, file.name], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise InvalidInput(
                f"The editor {shown(command[0])} failed: {error}.", hint="Set EDITOR to another."
            ) from error
        return plain(Path(file.name).read_text(encoding="utf-8", errors="replace"))
