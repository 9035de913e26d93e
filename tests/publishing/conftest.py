"""A workspace whose mail goes to the sandbox, over real sockets."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aicmo.config import Config
from aicmo.paths import Paths
from aicmo.publishing import Draft, PublishingCampaign
from aicmo.sandbox import PASSWORD, USER, RunningSandbox, start_sandbox
from aicmo.workspace import Workspace, open_workspace

SENDER = {"name": "Ada Lovelace", "email": "ada@example.com", "postal_address": "1 Analytical Way, London"}
PATIENCE_S = 30.0
"""What has not come by then never comes."""
DRAFT = Draft("News for {{ first_name | default('you') }}", "Hello {{ first_name | default('there') }}")


@pytest.fixture(scope="session")
def running_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    with start_sandbox(tmp_path_factory.mktemp("sandbox")) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running_sandbox: RunningSandbox) -> RunningSandbox:
    running_sandbox.reset()
    return running_sandbox


def config_for(sandbox: RunningSandbox, *servers: str, sender: dict[str, str] = SENDER, **settings: Any) -> Config:
    names = servers or tuple(sandbox.smtp)
    return Config.model_validate(
        {
            "sender": sender,
            "chains": {"email_sending": list(names)},
            "providers": {
                name: {
                    "kind": "smtp",
                    "host": sandbox.smtp[name].host,
                    "port": sandbox.smtp[name].port,
                    "security": "none",
                    "connections": 3,
                    **settings,
                }
                for name in names
            },
        }
    )


def with_mailbox(config: Config, sandbox: RunningSandbox, *, mailboxes: int = 1, **changed: Any) -> Config:
    """The same with the sandbox's mailbox for replies, named so many times; ``changed`` are settings of it."""
    inbox = {"kind": "imap", "host": "127.0.0.1", "port": sandbox.imap.port, "security": "none"}
    inbox |= {"username": USER, "password": PASSWORD, "timeout_seconds": 5} | changed
    said = config.model_dump(exclude_unset=True)
    said["chains"]["reply_fetching"] = ["inbox"] * mailboxes
    said["providers"]["inbox"] = inbox
    return Config.model_validate(said)


OpenWorkspace = Callable[..., Workspace]


@pytest.fixture
def workspace_for(sandbox: RunningSandbox, tmp_path: Path) -> Iterator[OpenWorkspace]:
    """Open a workspace on the sandbox: ``workspace_for("smtp-a", connections=1)``."""
    opened: list[Workspace] = []

    def open_it(*servers: str, sender: dict[str, str] = SENDER, **settings: Any) -> Workspace:
        paths = Paths(tmp_path / "config.toml", tmp_path / "data")
        opened.append(open_workspace(paths, config_for(sandbox, *servers, sender=sender, **settings)))
        return opened[-1]

    yield open_it
    for each in opened:
        each.close()


def started_campaign(workspace: Workspace, people: int | list[str], draft: Draft = DRAFT) -> PublishingCampaign:
    """A running campaign to that many people, or to these."""
    emails = [f"p{number}@acme.example" for number in range(people)] if isinstance(people, int) else people
    for email in emails:
        workspace.crm.add(email)
    content = workspace.contents.create("email", "News", draft)
    campaign = workspace.publishing.create_campaign("News", content.id, "")
    return workspace.publishing.start(campaign.id, approve=True)


def received(sandbox: RunningSandbox) -> Counter[str]:
    """How many messages have come, by address."""
    return Counter(mail.rcpt_to[0] for mail in sandbox.received())


async def until(true: Callable[[], object]) -> None:
    """Wait until ``true`` is. Raises ``TimeoutError``."""
    async with asyncio.timeout(PATIENCE_S):
        while not true():
            await asyncio.sleep(0.005)
