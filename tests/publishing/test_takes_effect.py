"""A person's word from another connection holds for the very next message, while several are on their way."""

from __future__ import annotations

import asyncio

import pytest

from aicmo.publishing import Counts, State
from aicmo.sandbox import Fault, RunningSandbox
from aicmo.store import Database, open_database, suppressions
from aicmo.store.suppressions import SuppressionReason
from aicmo.workspace import Workspace

from .conftest import OpenWorkspace, received, started_campaign, until
from .hand_clock import run_once

CONNECTIONS = 4


def on_their_way(db: Database) -> set[str]:
    """Whose body was let go, whatever came of it."""
    rows = db.read(lambda each: each.execute("SELECT address FROM delivery WHERE message_id IS NOT NULL").fetchall())
    return {row["address"] for row in rows}


@pytest.fixture
def under_way(workspace_for: OpenWorkspace, sandbox: RunningSandbox) -> tuple[Workspace, int]:
    sandbox.set_faults([Fault("dot", "slow", seconds=0.02)])
    workspace = workspace_for("smtp-a", connections=CONNECTIONS)
    return workspace, started_campaign(workspace, 200).id


@pytest.mark.parametrize("word", ["pause", "cancel"])
async def test_after_a_pause_or_a_cancel_no_further_body_is_let_go(
    under_way: tuple[Workspace, int], sandbox: RunningSandbox, word: str
) -> None:
    workspace, campaign_id = under_way
    running = asyncio.create_task(run_once(workspace))
    await until(lambda: len(sandbox.received()) >= 12)
    await asyncio.to_thread(getattr(workspace.publishing, word), campaign_id)
    gone = on_their_way(workspace.db)
    at_that_moment = len(sandbox.received())
    await running
    assert set(received(sandbox)) == gone == on_their_way(workspace.db)
    assert len(sandbox.received()) <= at_that_moment + CONNECTIONS
    counts = workspace.publishing.counts(campaign_id)
    left = {"pause": Counts(audience=200, sent=len(gone), queued=200 - len(gone))}
    left["cancel"] = Counts(audience=200, sent=len(gone), cancelled=200 - len(gone))
    assert counts == left[word]


async def test_whoever_opts_out_while_it_is_sent_gets_nothing_that_had_not_left(
    under_way: tuple[Workspace, int], sandbox: RunningSandbox
) -> None:
    workspace, campaign_id = under_way
    running = asyncio.create_task(run_once(workspace))
    await until(lambda: len(sandbox.received()) >= 8)
    other = open_database(workspace.db.path)  # as another process would
    everybody = [f"p{number}@acme.example" for number in range(200)]

    def opt_out(db):  # type: ignore[no-untyped-def]
        for address in everybody[::2]:
            suppressions.add(db, address, SuppressionReason.UNSUBSCRIBED, "test", workspace.clock.now())

    await asyncio.to_thread(other.write, opt_out)
    gone = on_their_way(other)
    other.close()
    await running
    assert set(received(sandbox)) == gone | set(everybody[1::2])
    states = {each.email: each.state for each in workspace.publishing.deliveries(campaign_id)}
    assert all(states[email] is State.SUPPRESSED for email in everybody[::2] if email not in gone)


async def test_a_mailbox_that_is_disabled_is_suppressed_when_it_was_said_twice(
    workspace_for: OpenWorkspace, sandbox: RunningSandbox
) -> None:
    sandbox.set_faults([Fault("rcpt", "reply", reply="550 5.2.1 account disabled", recipient="p0@*")])
    workspace = workspace_for("smtp-a")
    first = started_campaign(workspace, 2)
    await run_once(workspace)
    assert workspace.publishing.counts(first.id) == Counts(audience=2, sent=1, failed=1)
    assert workspace.db.read(suppressions.listed) == []
    second = workspace.publishing.create_campaign("Second", first.content_id, "")
    workspace.publishing.start(second.id, approve=True)
    await run_once(workspace)
    (entry,) = workspace.db.read(suppressions.listed)
    assert (entry.email, entry.reason) == ("p0@acme.example", "bounced") and "disabled" in entry.source
    assert workspace.publishing.retry(second.id, cause="content") == 0
    assert workspace.publishing.retry(second.id, cause="mailbox") == 1
