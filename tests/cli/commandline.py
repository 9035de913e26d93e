"""The command line as the tests call it, and a workspace in which every verb has something to do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from aicmo.sandbox import RunningSandbox
from aicmo_tui.cli import NOUNS

CONFIG = """
[sender]
name = "Ada Lovelace"
email = "ada@example.com"
postal_address = "1 Analytical Way, London"

[chains]
email_sending = ["smtp-a", "smtp-b"]
"""
SERVER = """
[providers.{name}]
kind = "smtp"
host = "127.0.0.1"
port = {port}
security = "none"
connections = 2
"""
NOBODY_LISTENS = {"smtp-a": 9, "smtp-b": 9}
"""Ports of the discard service, which nobody runs."""


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout; fails when there is anything else."""
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, Any]:
        """The one error object on stderr, where stdout is empty."""
        assert self.out == ""
        (name, error), *more = json.loads(self.err).items()
        assert name == "error" and not more
        return error


CommandLine = Callable[..., Answer]
"""``aicmo("contact", "list", code=0)``: run it, expect this exit code (``None``: any)."""


def config_text(sandbox: RunningSandbox | None = None, *, sender: str = CONFIG) -> str:
    ports = {name: where.port for name, where in sandbox.smtp.items()} if sandbox else NOBODY_LISTENS
    return sender + "".join(SERVER.format(name=name, port=port) for name, port in ports.items())


def write_config(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    file.chmod(0o600)
    return file


def every_verb() -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """All verbs, by walking the table of nouns."""
    for noun, target in NOUNS.items():
        module, _, name = target.partition(":")
        command = getattr(import_module(module), name)
        if isinstance(command, click.Group):
            for verb in command.commands.values():
                assert verb.name
                yield (noun, verb.name), verb
        else:
            yield (noun,), command


VERBS = {" ".join(words): command for words, command in every_verb()}

PEOPLE = """\
email,first name,tags
sent@one.example,Ann,all
dead@one.example,Bob,all
lost@one.example,Cy,all
late@two.example,Di,late
"""

CALLS: dict[str, tuple[list[str], int]] = {
    "contact import": (["{folder}/people.csv"], 0),
    "contact list": (["tag:all"], 0),
    "contact count": ([], 0),
    "contact show": (["sent@one.example"], 0),
    "contact add": (["new@three.example", "--tag", "x"], 0),
    "contact tag": (["tag:all", "--add", "seen"], 0),
    "contact export": (["tag:all"], 0),
    "suppression list": ([], 0),
    "suppression add": (["dead@two.example"], 0),
    "suppression remove": (["dead@one.example"], 0),
    "content create": (["--title", "T", "--subject", "S", "--body", "{folder}/body.md"], 0),
    "content edit": (["1", "--subject", "Another"], 0),
    "content list": ([], 0),
    "content show": (["1"], 0),
    "content preview": (["1"], 0),
    "campaign create": (["--name", "N", "--content", "1", "--to", "tag:late"], 0),
    "campaign list": ([], 0),
    "campaign show": (["1"], 0),
    "campaign check": (["2"], 0),
    "campaign test": (["2"], 0),
    "campaign approve": (["2"], 0),
    "campaign start": (["2"], 0),
    "campaign pause": (["3"], 0),
    "campaign resume": (["4"], 0),
    "campaign cancel": (["3"], 0),
    "campaign retry": (["1"], 0),
    "campaign resolve": (["1", "--as", "sent"], 0),
    "campaign deliveries": (["1"], 0),
    "run": ([], 0),
    "report summary": ([], 0),
    "health": (["--status"], 0),
    "init": ([*"--name A --email a@b.example --postal-address x --host h.example --no-check".split()], 0),
    "config show": ([], 0),
    "config path": ([], 0),
    "demo": (["--headless", "--seconds", "0.3"], 0),
}
"""Verb -> what to say after it so that it does something in the filled workspace, and the exit code then."""


def arguments(verb: str, folder: Path) -> tuple[list[str], int]:
    words, code = CALLS[verb]
    return [*verb.split(), *(word.format(folder=folder) for word in words)], code
