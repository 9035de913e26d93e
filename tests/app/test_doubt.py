"""What the app does about messages that may or may not have gone, and what it lets the person do."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

from driving import app_on, reads, until

from aicmo.config import Config
from aicmo.paths import Paths
from aicmo.publishing import Draft
from aicmo.sandbox import PASSWORD, USER, Fault, start_sandbox
from aicmo.workspace import Workspace, open_workspace
from aicmo_tui.app import AicmoApp
from aicmo_tui.cli.campaign import resolve
from aicmo_tui.screens import campaign_verbs
from aicmo_tui.work import converse


async def test_the_person_is_told_what_is_known_and_may_have_it_looked_for(filled: Workspace) -> None:
    await filled.publishing.evidence().look()
    app = app_on(filled)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        app.open_campaign(1)
        await reads(pilot, "unknown")
        await pilot.press("u")
        await reads(pilot, "may or may not have", "Could not be looked for at 14:05", "no mailbox is", "Look now")
        await pilot.press("right", "right", "right", "right", "enter")
        await reads(pilot, "Nobody could look")
        assert filled.publishing.counts(1).unknown == 4


async def test_while_it_is_open_the_app_looks_for_them_by_itself(tmp_path: Path) -> None:
    with start_sandbox(tmp_path / "sandbox", faults=[Fault("dot", "drop")]) as sandbox:
        sandbox.keep_copies()
        here = {"host": "127.0.0.1", "security": "none"}
        config = Config.model_validate(
            {
                "sender": {"name": "Ada", "email": "ada@example.com", "postal_address": "1 Analytical Way, London"},
                "chains": {"email_sending": ["smtp"], "reply_fetching": ["inbox"]},
                "providers": {
                    "smtp": here | {"kind": "smtp", "port": sandbox.smtp["smtp-a"].port},
                    "inbox": here | {"kind": "imap", "port": sandbox.imap.port, "username": USER, "password": PASSWORD},
                },
            }
        )
        async with open_workspace(Paths(tmp_path / "config.toml", tmp_path / "data"), config) as workspace:
            workspace.crm.add("zoe@atelier.example")
            content = workspace.contents.create("email", "News", Draft("News", "Hello"))
            campaign = workspace.publishing.create_campaign("News", content.id, "")
            workspace.publishing.start(campaign.id, approve=True)
            await workspace.publishing.outbox().run()
            assert workspace.publishing.counts(campaign.id).unknown == 1
            async with AicmoApp(workspace).run_test() as pilot:
                await until(pilot, lambda: workspace.publishing.counts(campaign.id).sent == 1)


async def test_each_answer_is_copied_as_the_command_line_that_gives_it(filled: Workspace) -> None:
    app = app_on(filled)
    async with app.run_test(size=(120, 40)) as pilot:
        app.open_campaign(1)
        await reads(pilot, "unknown")
        await pilot.press("u")
        await reads(pilot, "may or may not have", "Look now")
        for said in ("--as sent", "--as failed", "--as resend", "--evidence"):
            await pilot.press("right")
            await reads(pilot, f"y copies: aicmo campaign resolve 1 {said}")
            await pilot.press("y")
            assert app.clipboard == f"aicmo campaign resolve 1 {said}"
            resolve.make_context("resolve", app.clipboard.split()[3:])  # refuses what it does not understand


async def test_what_is_copied_of_one_person_runs_nothing_that_their_address_says(filled: Workspace) -> None:
    app, email = app_on(filled), "o'`id`|$HOME@a.dev"
    async with app.run_test(size=(120, 40)) as pilot:
        app.open_campaign(1)
        await reads(pilot, "unknown")
        shown, row = app.screen.shown, filled.publishing.deliveries(1)[0]
        converse(app.screen, lambda: campaign_verbs.resolve(app, shown, replace(row, email=email)))
        await reads(pilot, "may or may not have", "Look now")
        await pilot.press("right", "y")
        assert shlex.split(app.clipboard)[3:] == ["1", "--as", "sent", "--email", email]
