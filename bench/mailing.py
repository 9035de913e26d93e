"""What a benchmark that sends begins with: a data folder, people, and a campaign to them by way of a sink."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from aicmo.config import load_config
from aicmo.paths import Paths
from aicmo.publishing import Draft
from aicmo.sandbox import PASSWORD, USER
from aicmo.workspace import Workspace, open_workspace
from bench.import_csv import write_people

DRAFT = Draft(
    subject="{{ first_name | default('Hello') }}, what {{ company | default('your team') }} asked for",
    preheader="Three things, two minutes",
    body="""\
Hello {{ first_name | default('there') }},

you asked how people at **{{ company | default('other companies') }}** save an hour a day. Three things changed:

1. Answers come within the hour, weekends included.
2. The price stays; the trial is now thirty days.
3. There is a [tour of two minutes](https://news.example/tour?for={{ email | urlencode }}).

Reply to this mail and a person reads it.

{{ sender.name }}
""",
)

_SENDER = """\
[sender]
name = "Ada Lovelace"
email = "ada@example.com"
postal_address = "1 Analytical Way, London"

[chains]
email_sending = [{names}]
"""
_MAILBOX = """reply_fetching = ["inbox"]

[providers.inbox]
kind = "imap"
host = "127.0.0.1"
port = {port}
security = "none"
username = "{user}"
password = "{password}"
"""
_PROVIDER = """
[providers.{name}]
kind = "smtp"
host = "127.0.0.1"
port = {port}
security = "none"
connections = {connections}
"""


def furnish(folder: Path, ports: Sequence[int], *, connections: int, people: int, mailbox: int | None = None) -> Paths:
    """A configuration that sends to the servers on these ports, the first one first, and so many contacts.

    ``mailbox`` is the port of a sandbox's mailbox, in which it may look for what was sent.
    """
    paths = Paths(config_file=folder / "config.toml", data_dir=folder / "data")
    names = [f"sink-{number}" for number in range(len(ports))]
    paths.config_file.write_text(
        _SENDER.format(names=", ".join(f'"{name}"' for name in names))
        + (_MAILBOX.format(port=mailbox, user=USER, password=PASSWORD) if mailbox else "")
        + "".join(
            _PROVIDER.format(name=name, port=port, connections=connections)
            for name, port in zip(names, ports, strict=True)
        )
    )
    paths.config_file.chmod(0o600)
    table = folder / "people.csv"
    write_people(table, people)
    with open_house(paths) as workspace:
        workspace.crm.import_file(table)
        workspace.publishing.create_content("email", "News", DRAFT)
    return paths


def open_house(paths: Paths) -> Workspace:
    """The workspace in that folder; the caller closes it."""
    return open_workspace(paths, load_config(paths.config_file, required=True))


def new_campaign(paths: Paths) -> int:
    """A campaign to everybody, not yet started; its id."""
    with open_house(paths) as workspace:
        content = workspace.publishing.contents()[0]
        return workspace.publishing.create_campaign("News", content.id, "").id
