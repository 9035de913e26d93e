"""What a benchmark that sends begins with: a data folder, people, a campaign to them by way of a sink; and how it is
timed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from aicmo.clock import SYSTEM_CLOCK
from aicmo.config import load_config
from aicmo.gateways import OutgoingMail
from aicmo.paths import Paths
from aicmo.publishing import Draft
from aicmo.publishing.email.message import MessageBuilder, Recipient, SenderIdentity
from aicmo.sandbox import PASSWORD, USER
from aicmo.workspace import Workspace, open_workspace
from bench.budget import peak_rss_mb
from bench.import_csv import FIRST, write_people

CONNECTIONS = 10
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
        workspace.contents.create("email", "News", DRAFT)
    return paths


def open_house(paths: Paths) -> Workspace:
    """The workspace in that folder; the caller closes it."""
    return open_workspace(paths, load_config(paths.config_file, required=True))


def new_campaign(paths: Paths) -> int:
    """A campaign to everybody, not yet started; its id."""
    with open_house(paths) as workspace:
        content = workspace.contents.list()[0]
        return workspace.publishing.create_campaign("News", content.id, "").id


def campaign_to(folder: Path, port: int, people: int) -> Paths:
    """A started campaign, all of it still to send."""
    folder.mkdir()
    paths = furnish(folder, [port], connections=CONNECTIONS, people=people)
    campaign = new_campaign(paths)
    with open_house(paths) as workspace:
        workspace.publishing.start(campaign, approve=True)
    return paths


# --- the same messages without a campaign, and how long something takes -----------------------------------------------


def builder() -> MessageBuilder:
    sender = SenderIdentity("Ada Lovelace", "ada@example.com", "1 Analytical Way, London")
    return MessageBuilder(DRAFT, sender, "News")


def recipients(count: int) -> Iterator[Recipient]:
    """People like those of the audience."""
    for number in range(count):
        email = f"p{number}.name{number % 5000}@corp{number % 500}.example"
        name, company = FIRST[number % len(FIRST)], f"Corp {number % 500} Ltd"
        values = {"email": email, "first_name": name, "last_name": f"Name{number % 5000}", "company": company}
        yield Recipient(email, values, token=f"0.{number}.bench")


def finished_mails(count: int) -> Iterator[OutgoingMail]:
    """The campaign's messages to them."""
    build, now = builder().build, SYSTEM_CLOCK.now()
    for each in recipients(count):
        yield OutgoingMail("ada@example.com", each.email, build(each, now).raw)


@dataclass(frozen=True, slots=True)
class Sent:
    messages: int
    seconds: float
    cpu_seconds: float
    """Of this process, all its threads. Of two runs on a busy machine it is what can be compared."""
    peak_mb: float

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.messages / self.seconds

    @property
    def each_us(self) -> float:
        return self.seconds / self.messages * 1e6

    @property
    def cpu_us(self) -> float:
        """For each message."""
        return self.cpu_seconds / self.messages * 1e6


def clocked(work: Callable[[], int]) -> Sent:
    """Run what gives how many messages it dealt with."""
    began, cpu_began = time.perf_counter(), time.process_time()
    messages = work()
    return Sent(messages, time.perf_counter() - began, time.process_time() - cpu_began, peak_rss_mb())


def clocked_on_a_loop(work: Callable[[], Awaitable[int]]) -> Sent:
    async def run() -> int:
        return await work()

    return clocked(lambda: asyncio.run(run()))
