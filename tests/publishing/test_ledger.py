"""Several workers' writes in one transaction: each gets its own answer, and none suffers for another."""

from __future__ import annotations

import asyncio
import threading

import pytest

from aicmo.errors import AicmoError, IllegalTransition
from aicmo.publishing import Counts, State
from aicmo.publishing.sending.ledger import Ledger, Settlement
from aicmo.store import suppressions
from aicmo.store.claiming import Claimed, Verdict

from .conftest import OpenWorkspace, started_campaign

SENT = Verdict(State.SENT, "smtp-a", "250", "ok")


async def claimed(ledger: Ledger, how_many: int) -> list[Claimed]:
    found = await asyncio.gather(*(ledger.settle_and_claim(None, claim=True) for _ in range(how_many)))
    return [each for each in found if each is not None]


async def test_what_several_ask_for_at_once_is_one_transaction(workspace_for: OpenWorkspace) -> None:
    workspace = workspace_for()
    campaign = started_campaign(workspace, 5)
    ledger = Ledger(workspace.db, workspace.clock)
    before = workspace.db.version()
    taken = await claimed(ledger, 8)
    assert len({each.id for each in taken}) == 5, "three find nothing left"
    assert workspace.db.version() == before + 1
    refusals = await asyncio.gather(*(ledger.let_go(each, f"<{each.id}@x>", "smtp-a", {}) for each in taken))
    assert refusals == [None] * 5
    await asyncio.gather(*(ledger.settle_and_claim(Settlement(each, SENT), claim=True) for each in taken))
    assert workspace.publishing.counts(campaign.id) == Counts(audience=5, sent=5)


async def test_a_delivery_that_is_not_ones_own_any_more_harms_nobody_beside_it(workspace_for: OpenWorkspace) -> None:
    workspace = workspace_for()
    campaign = started_campaign(workspace, 3)
    ledger = Ledger(workspace.db, workspace.clock)
    first, second, third = await claimed(ledger, 3)
    assert await ledger.let_go(first, "<1@x>", "smtp-a", {}) is None
    await ledger.settle_and_claim(Settlement(first, SENT), claim=False)
    told = await asyncio.gather(
        ledger.settle_and_claim(Settlement(first, SENT), claim=True),
        ledger.let_go(second, "<2@x>", "smtp-a", {}),
        ledger.let_go(first, "<1@x>", "smtp-a", {}),
        ledger.settle_and_claim(Settlement(third, Verdict(State.QUEUED)), claim=False),
        return_exceptions=True,
    )
    assert [type(each) for each in told] == [IllegalTransition, type(None), IllegalTransition, type(None)]
    assert workspace.publishing.counts(campaign.id) == Counts(audience=3, sent=1, sending=1, queued=1)


async def test_an_outcome_that_pauses_holds_for_the_body_beside_it(workspace_for: OpenWorkspace) -> None:
    workspace = workspace_for()
    campaign = started_campaign(workspace, 2)
    ledger = Ledger(workspace.db, workspace.clock)
    first, second = await claimed(ledger, 2)
    await ledger.let_go(first, "<1@x>", "smtp-a", {})
    bad = Settlement(first, Verdict(State.FAILED, "smtp-a", "550 5.1.1", "no"), dead_address=True, pause="enough")
    refusal, _ = await asyncio.gather(
        ledger.let_go(second, "<2@x>", "smtp-a", {}), ledger.settle_and_claim(bad, claim=False)
    )
    assert refusal is not None and refusal.why == "stopped"
    assert workspace.publishing.campaign(campaign.id).pause_reason == "enough"
    assert workspace.db.read(lambda db: suppressions.reason_for(db, first.address)) == "bounced"


async def test_of_a_worker_that_was_cancelled_the_outcome_is_kept_and_the_body_stays(
    workspace_for: OpenWorkspace,
) -> None:
    workspace = workspace_for()
    campaign = started_campaign(workspace, 3)
    ledger = Ledger(workspace.db, workspace.clock)
    first, second = await claimed(ledger, 2)
    await ledger.let_go(first, "<1@x>", "smtp-a", {})
    go_on = threading.Event()
    workspace.db.submit(lambda db: go_on.wait())
    ahead = asyncio.create_task(ledger.settle_and_claim(None, claim=False))
    await asyncio.sleep(0)
    await asyncio.sleep(0)  # it is on its way to the disk; what is asked for from now on waits for the next transaction
    workers = [
        asyncio.create_task(ledger.settle_and_claim(Settlement(first, SENT), claim=True)),
        asyncio.create_task(ledger.let_go(second, "<2@x>", "smtp-a", {})),
    ]
    await asyncio.sleep(0)
    for worker in workers:
        worker.cancel()
    go_on.set()
    await asyncio.gather(ahead, *workers, return_exceptions=True)
    await ledger.idle()
    assert workspace.publishing.counts(campaign.id) == Counts(audience=3, sent=1, queued=2)


async def test_when_nothing_could_be_written_everybody_is_told(workspace_for: OpenWorkspace) -> None:
    workspace = workspace_for()
    campaign = started_campaign(workspace, 2)
    ledger = Ledger(workspace.db, workspace.clock)
    first, second = await claimed(ledger, 2)
    full = "CREATE TRIGGER full AFTER UPDATE ON delivery BEGIN SELECT RAISE(ABORT, 'disk full'); END"
    workspace.db.write(lambda db: db.execute(full))
    told = await asyncio.gather(
        ledger.let_go(first, "<1@x>", "smtp-a", {}),
        ledger.let_go(second, "<2@x>", "smtp-a", {}),
        return_exceptions=True,
    )
    assert all(isinstance(each, AicmoError) for each in told)
    assert workspace.publishing.counts(campaign.id).sending == 0
    workspace.db.write(lambda db: db.execute("DROP TRIGGER full"))
    with pytest.raises(IllegalTransition):
        await ledger.settle_and_claim(Settlement(first, SENT), claim=False)
