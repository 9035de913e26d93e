"""``aicmo <noun> <verb>``: one module per noun, named in the table below and loaded when it is used.

stdout is data, stderr is talk, the exit code is a promise. ``verb.py`` gives every verb the same options, ``output.py``
is the only writer to stdout. A verb loads Textual only to open the app.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence

NOUNS = {
    "contact": "aicmo_tui.cli.contact:contact",
    "field": "aicmo_tui.cli.field:field",
    "note": "aicmo_tui.cli.note:note",
    "today": "aicmo_tui.cli.today:today",
    "change": "aicmo_tui.cli.change:change",
    "undo": "aicmo_tui.cli.change:undo",
    "redo": "aicmo_tui.cli.change:redo",
    "import": "aicmo_tui.cli.imports:import_",
    "segment": "aicmo_tui.cli.segment:segment",
    "company": "aicmo_tui.cli.company:company",
    "suppression": "aicmo_tui.cli.suppression:suppression",
    "content": "aicmo_tui.cli.content:content",
    "campaign": "aicmo_tui.cli.campaign:campaign",
    "calendar": "aicmo_tui.cli.calendar:calendar",
    "run": "aicmo_tui.cli.run:run",
    "report": "aicmo_tui.cli.report:report",
    "health": "aicmo_tui.cli.health:health",
    "init": "aicmo_tui.cli.init:init",
    "config": "aicmo_tui.cli.config:config",
    "auth": "aicmo_tui.cli.auth:auth",
    "demo": "aicmo_tui.cli.demo:demo",
}
"""Noun (or verb without one) -> ``"module:command"``, in the order that help shows them."""


def main(argv: Sequence[str] | None = None) -> None:
    """The ``aicmo`` command. Exits with the code that says how it went."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    from aicmo_tui.cli.verb import run_command

    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal that cannot show a letter gets its number
        sys.stdout.reconfigure(errors="backslashreplace")
    code = run_command(arguments)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has seen enough (`| head`); nothing is wrong, and nobody is left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code)
