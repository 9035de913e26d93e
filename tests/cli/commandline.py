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


OAUTH = """
[providers.mailbox]
kind = "imap"
host = "127.0.0.1"
security = "none"
username = "ada@example.com"
auth = "xoauth2"

[providers.mailbox.oauth]
token_url = "{url}"
client_id = "sandbox-client"
client_secret_cmd = ["echo", "sandbox-client-3f7c51"]
refresh_token_cmd = ["echo", "sandbox-refresh-9d20e4"]
"""


def config_text(sandbox: RunningSandbox | None = None, *, sender: str = CONFIG) -> str:
    ports = {name: where.port for name, where in sandbox.smtp.items()} if sandbox else NOBODY_LISTENS
    mailbox = OAUTH.format(url=sandbox.http["oauth"].base_url) if sandbox else ""
    return sender + "".join(SERVER.format(name=name, port=port) for name, port in ports.items()) + mailbox


ENRICHMENT = """
[providers.apollo]
kind = "apollo"
base_url = "{apollo}"
api_key = "{apollo_key}"

[providers.dropcontact]
kind = "dropcontact"
base_url = "{dropcontact}"
api_key = "{dropcontact_key}"
poll_seconds = 1
"""


def with_enrichment(config: str, sandbox: RunningSandbox) -> str:
    """The same configuration, with the sandbox's Apollo and Dropcontact."""
    chains = '[chains]\nlead_enrichment = ["apollo"]\nemail_verification = ["dropcontact"]'
    addresses = {name: sandbox.http[name].base_url for name in ("apollo", "dropcontact")}
    keys = {f"{name}_key": sandbox.keys[name] for name in addresses}
    return config.replace("[chains]", chains) + ENRICHMENT.format(**addresses, **keys)


CRM = """
[providers.airtable]
kind = "airtable"
base_url = "{url}"
api_key = "{key}"
base_id = "appSandboxAAAAAAA"
"""


def with_crm(config: str, sandbox: RunningSandbox) -> str:
    """The same configuration, with the sandbox's Airtable."""
    block = CRM.format(url=sandbox.http["airtable"].base_url, key=sandbox.keys["airtable"])
    return config.replace("[chains]", '[chains]\ncrm_sync = ["airtable"]') + block


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
        yield from _verbs((noun,), command)


def _verbs(words: tuple[str, ...], command: click.Command) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if not isinstance(command, click.Group):
        yield words, command
        return
    for name, verb in command.commands.items():
        yield from _verbs((*words, name), verb)


VERBS = {" ".join(words): command for words, command in every_verb()}

PEOPLE = """\
email,first name,tags,phone
sent@one.example,Ann,all,+49 30 1234567
dead@one.example,Bob,all,030 1234567
lost@one.example,Cy,all,
late@two.example,Di,late,
"""

CALLS: dict[str, tuple[list[str], int]] = {
    "contact import": (["{folder}/people.csv"], 0),
    "contact list": (["tag:all"], 0),
    "contact count": ([], 0),
    "contact show": (["sent@one.example"], 0),
    "contact add": (["new@three.example", "--tag", "x"], 0),
    "contact edit": (["tag:all", "--title", "Reader"], 0),
    "contact tag": (["tag:all", "--add", "seen"], 0),
    "contact delete": (["tag:late"], 0),
    "contact why": (["sent@one.example"], 0),
    "contact timeline": (["sent@one.example"], 0),
    "contact note": (["sent@one.example", "likes engines"], 0),
    "contact next": (["sent@one.example", "call", "--on", "+3d"], 0),
    "contact duplicates": ([], 0),
    "contact merge": (["sent@one.example", "late@two.example"], 0),
    "contact distinct": (["sent@one.example", "late@two.example"], 0),
    "contact erase": (["sent@one.example"], 0),
    "contact consent": (["sent@one.example", "--purpose", "news", "--given", "--source", "a fair"], 0),
    "contact enrich": (["tag:all"], 0),
    "contact verify": (["tag:all"], 0),
    "contact sync": (["tag:late"], 0),
    "contact conflicts": ([], 0),
    "company list": ([], 0),
    "company show": (["one.example"], 0),
    "contact export": (["tag:all"], 0),
    "field list": ([], 0),
    "field add": (["city", "--type", "text"], 0),
    "field change": (["budget", "--title", "Money"], 0),
    "field delete": (["budget"], 0),
    "note pin": (["1"], 0),
    "note edit": (["1", "likes trains"], 0),
    "note delete": (["1"], 0),
    "today": ([], 0),
    "calendar": ([], 0),
    "change list": ([], 0),
    "undo": ([], 0),
    "redo": ([], 0),
    "segment list": ([], 0),
    "segment create": (["Late", "tag:late"], 0),
    "segment show": (["titled"], 0),
    "segment edit": (["titled", "--query", "has:title"], 0),
    "segment delete": (["titled"], 0),
    "segment diff": (["titled"], 0),
    "segment remember": (["titled"], 0),
    "import list": ([], 0),
    "import show": (["1"], 0),
    "import undo": (["1"], 5),  # they were written to since
    "suppression list": ([], 0),
    "suppression add": (["dead@two.example"], 0),
    "suppression remove": (["dead@one.example"], 0),
    "suppression import": (["{folder}/people.csv"], 0),
    "content create": (["--title", "T", "--subject", "S", "--body", "{folder}/body.md"], 0),
    "content edit": (["1", "--subject", "Another"], 0),
    "content list": ([], 0),
    "content show": (["1"], 0),
    "content preview": (["1"], 0),
    "content versions": (["2", "--channel", "x"], 0),
    "content diff": (["2"], 0),
    "content restore": (["2", "1"], 0),
    "content reset": (["2", "--channel", "x"], 0),
    "content approve": (["2", "--channel", "linkedin"], 0),
    "content unapprove": (["2"], 0),
    "content note": (["2", "look", "again"], 0),
    "content notes": (["2"], 0),
    "content settle": (["1"], 0),
    "content check": (["1"], 0),
    "campaign create": (["--name", "N", "--content", "1", "--to", "tag:late"], 0),
    "campaign edit": (["2", "--to", "tag:late", "--hours", "09:00-17:00"], 0),
    "campaign list": ([], 0),
    "campaign show": (["1"], 0),
    "campaign check": (["2"], 0),
    "campaign preview": (["2"], 0),
    "campaign test": (["2"], 0),
    "campaign approve": (["2"], 0),
    "campaign start": (["2"], 0),
    "campaign pause": (["3"], 0),
    "campaign resume": (["4"], 0),
    "campaign cancel": (["3"], 0),
    "campaign retry": (["1"], 0),
    "campaign resolve": (["1", "--as", "sent"], 0),
    "campaign deliveries": (["1"], 0),
    "campaign step add": (["2", "--content", "1", "--wait", "3d", "--if", "not_clicked"], 0),
    "campaign step list": (["5"], 0),
    "campaign step edit": (["5", "2", "--wait", "2d"], 0),
    "campaign step move": (["5", "3", "--before", "2"], 0),
    "campaign step remove": (["5", "2"], 0),
    "campaign join": (["5"], 0),
    "campaign people": (["5"], 0),
    "campaign variant add": (["2", "--subject", "Other news"], 0),
    "campaign variant list": (["6"], 0),
    "campaign variant remove": (["6", "B"], 0),
    "campaign ab": (["6", "--goal", "replies"], 0),
    "campaign winner": (["7", "B"], 0),
    "run": ([], 0),
    "report summary": ([], 0),
    "health": (["--disable", "smtp-a"], 0),
    "init": ([*"--name A --email a@b.example --postal-address x --host h.example --no-check".split()], 0),
    "config show": ([], 0),
    "config path": ([], 0),
    "auth list": ([], 0),
    "auth refresh": (["mailbox"], 0),
    "demo": (["--headless", "--seconds", "0.3"], 0),
}
"""Verb -> what to say after it so that it does something in the filled workspace, and the exit code then."""


def arguments(verb: str, folder: Path) -> tuple[list[str], int]:
    words, code = CALLS[verb]
    return [*verb.split(), *(word.format(folder=folder) for word in words)], code
