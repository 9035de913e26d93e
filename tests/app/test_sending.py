"""A send belongs to the app: it goes on whichever screen is shown, and leaving during one asks."""

from __future__ import annotations

import asyncio
import imaplib
from collections.abc import Iterator
from pathlib import Path

import pytest
from driving import reads, until

from aicmo.config import Config
from aicmo.paths import Paths
from aicmo.publishing import Draft
from aicmo.publishing.email.tokens import delivery_token
from aicmo.sandbox import PASSWORD, USER, RunningSandbox, start_sandbox
from aicmo.store import meta
from aicmo.store.campaigns import CampaignStatus
from aicmo.workspace import Workspace, open_workspace
from aicmo_tui.app import AicmoApp

PEOPLE = 60


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[RunningSandbox]:
    with start_sandbox(tmp_path / "sandbox") as running:
        yield running


def open_with(sandbox: RunningSandbox, folder: Path, *, per_second: int, mailbox: bool = False) -> Workspace:
    """A workspace with one running campaign to everybody, through the sandbox's first server."""
    server = next(iter(sandbox.smtp.values()))
    block = {
        "kind": "smtp",
        "host": server.host,
        "port": server.port,
        "security": "none",
        "limits": {"second": per_second},
    }
    config = Config.model_validate(
        {
            "sender": {"name": "Ada", "email": "ada@example.com", "postal_address": "1 Analytical Way, London"},
            "chains": {"email_sending": ["smtp-main"]},
            "providers": {"smtp-main": block},
        }
    )
    if mailbox:
        inbox = {"kind": "imap", "host": "127.0.0.1", "port": sandbox.imap.port, "security": "none"}
        inbox |= {"username": USER, "password": PASSWORD}
        told = config.model_dump(exclude_unset=True)
        told["chains"]["reply_fetching"], told["providers"]["inbox"] = ["inbox"], inbox
        config = Config.model_validate(told)
    workspace = open_workspace(Paths(folder / "config.toml", folder / "data"), config)
    for number in range(PEOPLE):
        workspace.crm.add(f"p{number}@acme.example", first_name=f"P{number}")
    content = workspace.contents.create("email", "News", Draft("News", "Hello {{ first_name }}"))
    campaign = workspace.publishing.create_campaign("News", content.id, "")
    workspace.publishing.start(campaign.id, approve=True)
    return workspace


async def test_a_running_campaign_is_sent_whichever_screen_is_shown(sandbox: RunningSandbox, tmp_path: Path) -> None:
    async with open_with(sandbox, tmp_path, per_second=1_000) as workspace:
        app = AicmoApp(workspace)
        async with app.run_test() as pilot:
            await pilot.press("f5", "f3")
            await until(pilot, lambda: workspace.publishing.campaign(1).status is CampaignStatus.FINISHED)
            await until(pilot, lambda: not app.sending.under_way)
            await pilot.press("f6")
            await reads(pilot, "● finished")
        assert workspace.publishing.counts(1).sent == PEOPLE
    assert (await asyncio.to_thread(sandbox.status)).received == PEOPLE


async def test_who_asked_by_mail_gets_nothing_and_the_person_is_told(sandbox: RunningSandbox, tmp_path: Path) -> None:
    async with open_with(sandbox, tmp_path, per_second=1_000, mailbox=True) as workspace:
        token = delivery_token(workspace.db.read(meta.identity), 1, 1)
        with imaplib.IMAP4(sandbox.imap.host, sandbox.imap.port, timeout=10) as box:
            box.login(USER, PASSWORD)
            box.append("INBOX", "", "", f"From: p0@acme.example\r\nSubject: unsubscribe-{token}\r\n\r\n".encode())
        app = AicmoApp(workspace)
        async with app.run_test(size=(118, 36), notifications=True) as pilot:
            await reads(pilot, "1 person asked by mail to get nothing more.")
            await until(pilot, lambda: workspace.publishing.campaign(1).status is CampaignStatus.FINISHED)
            await until(pilot, lambda: not app.sending.under_way)
        counts = workspace.publishing.counts(1)
        assert (counts.sent, counts.suppressed) == (PEOPLE - 1, 1)


async def test_leaving_during_a_send_asks_and_loses_nothing(sandbox: RunningSandbox, tmp_path: Path) -> None:
    async with open_with(sandbox, tmp_path, per_second=5) as workspace:
        app = AicmoApp(workspace)
        async with app.run_test() as pilot:
            await until(pilot, lambda: workspace.publishing.counts(1).sent > 0)
            await pilot.press("ctrl+q")
            await reads(pilot, "A send is under way", "still to go")
            await pilot.press("enter")  # the focus is on staying
            await until(pilot, lambda: len(app.screen_stack) == 1)
            assert app.sending.under_way
            await pilot.press("ctrl+q")
            await reads(pilot, "still to go")
            await pilot.press("right", "enter")
            await until(pilot, lambda: app._exit)
        counts = workspace.publishing.counts(1)
    assert counts.queued > 0 and counts.sending == 0 and counts.unknown == 0
    assert counts.audience == PEOPLE
    assert (await asyncio.to_thread(sandbox.status)).received == counts.sent
