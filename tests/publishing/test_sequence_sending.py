"""Sequences and tests through the real sender, to real servers: each person got the words that were theirs, once."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from email import message_from_bytes
from pathlib import Path

import pytest

from aicmo.gateways import Attempt, OutgoingMail
from aicmo.gateways.mail import BeforeBody
from aicmo.paths import Paths
from aicmo.publishing import Draft, State
from aicmo.publishing.sequences.editing import Add, Change
from aicmo.sandbox import Fault, RunningSandbox
from aicmo.store.variants import Trial
from aicmo.workspace import open_workspace

from .conftest import config_for
from .hand_clock import run_once
from .sequence_world import DAY, IN_A_DAY, MovedClock, World


@pytest.fixture
def world(sandbox: RunningSandbox, tmp_path: Path) -> Iterator[World]:
    clock = MovedClock()
    paths = Paths(tmp_path / "config.toml", tmp_path / "data")
    workspace = open_workspace(paths, config_for(sandbox, "smtp-a"), clock=clock)
    yield World(workspace, clock)
    workspace.close()


def subjects(sandbox: RunningSandbox) -> Counter[tuple[str, str]]:
    return Counter(
        (mail.rcpt_to[0].partition("@")[0], str(message_from_bytes(mail.raw)["subject"])) for mail in sandbox.received()
    )


async def test_each_step_goes_out_when_its_time_has_come_and_stops_at_an_answer(
    world: World, sandbox: RunningSandbox
) -> None:
    world.people("ann", "bob")
    campaign = world.start(world.sequence(IN_A_DAY, IN_A_DAY))
    first = await run_once(world.workspace)
    assert (first.status, first.next_at) == ("waiting", world.clock.at + DAY)
    world.clock.at += DAY
    world.event("bob", "replied")
    await run_once(world.workspace)
    world.clock.at += DAY
    last = await run_once(world.workspace)
    assert last.status == "done"
    assert subjects(sandbox) == {("ann", "Step 1"): 1, ("ann", "Step 2"): 1, ("ann", "Step 3"): 1, ("bob", "Step 1"): 1}
    assert world.publishing.campaign(campaign).status == "finished"


async def test_an_answer_that_comes_while_a_step_is_on_its_way_keeps_its_body_back(
    world: World, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.people("ann", "bob")
    campaign = world.start(world.sequence(IN_A_DAY))
    await run_once(world.workspace)
    world.clock.at += DAY
    (provider,) = world.workspace.chain("email_sending").providers
    carry = provider.send

    async def answered_meanwhile(mail: OutgoingMail, *, before_body: BeforeBody) -> Attempt:
        async def later() -> None:
            if mail.recipient.startswith("bob@"):
                await asyncio.to_thread(world.event, "bob", "replied")
            await before_body()

        return await carry(mail, before_body=later)

    monkeypatch.setattr(provider, "send", answered_meanwhile)
    await run_once(world.workspace)
    assert subjects(sandbox) == {("ann", "Step 1"): 1, ("bob", "Step 1"): 1, ("ann", "Step 2"): 1}
    kept = next(each for each in world.publishing.deliveries(campaign, state=State.CANCELLED))
    assert (kept.email, kept.step, kept.cause, kept.attempts) == ("bob@acme.example", 2, "stopped", 1)
    assert kept.reason.startswith("replied on ")
    world.tick()
    assert world.state(campaign, "bob") == ("stopped", "replied")


async def test_nothing_follows_what_nobody_knows_of(world: World, sandbox: RunningSandbox) -> None:
    sandbox.set_faults([Fault("dot", "drop", times=1)])
    world.people("ann")
    campaign = world.start(world.sequence(IN_A_DAY))
    await run_once(world.workspace)
    world.clock.at += 9 * DAY
    assert (await run_once(world.workspace)).status == "done"
    assert world.publishing.counts(campaign).unknown == 1
    world.publishing.resolve(campaign, State.SENT)
    await run_once(world.workspace)
    assert subjects(sandbox)["ann", "Step 2"] == 1


async def test_the_words_that_an_edit_brought_reach_the_sender_that_has_begun(
    world: World, sandbox: RunningSandbox
) -> None:
    world.people("ann", "bob")
    campaign = world.start(world.sequence(IN_A_DAY))
    await run_once(world.workspace)
    world.later()
    better = world.workspace.contents.create("email", "Better", Draft("Better words", "Better words")).id
    world.sequences.edit(campaign, Change(2, content_id=better), approve=True)
    await run_once(world.workspace)
    assert subjects(sandbox) == {(name, said): 1 for name in ("ann", "bob") for said in ("Step 1", "Better words")}


async def test_everybody_gets_one_variant_and_the_rest_the_winner(world: World, sandbox: RunningSandbox) -> None:
    world.people(*(f"p{number}" for number in range(80)))
    campaign = world.campaign()
    world.variants.add(campaign, subject="Variant B")
    world.variants.set_test(Trial(campaign, "replies", 60, 10, IN_A_DAY, 5))
    world.start(campaign)
    report = await run_once(world.workspace)
    assert (report.status, report.next_at) == ("waiting", world.clock.at + DAY)
    assert report.reason == "waits for the better variant"
    tried = subjects(sandbox)
    for name, subject in tried:
        if subject == "Variant B":
            world.event(name, "replied", campaign=campaign)
    world.clock.at += DAY
    assert (await run_once(world.workspace)).status == "done"
    got = subjects(sandbox)
    counts = world.publishing.counts(campaign)
    assert set(got.values()) == {1} and len({name for name, _ in got}) == len(got) == counts.sent
    assert counts.sent + counts.suppressed == counts.audience == 80
    standing = world.variants.standing(campaign)
    assert standing.test is not None and standing.test.winner == "B"
    sample = {each.variant: each.sent for each in standing.figures}
    assert sample == Counter("B" if subject == "Variant B" else "A" for _, subject in tried)
    assert standing.rest is not None and (standing.rest.variant, standing.rest.sent) == ("B", len(got) - len(tried))
    assert standing.rest.replies == 0 < standing.figures[1].replies


async def test_a_test_message_is_the_one_that_was_asked_for(world: World, sandbox: RunningSandbox) -> None:
    world.people("ann")
    campaign = world.sequence(IN_A_DAY)
    world.variants.add(campaign, subject="Variant B")
    for which in ({"step": 2}, {"variant": "B"}, {}):
        await world.publishing.send_test(campaign, "me@acme.example", **which)  # type: ignore[arg-type]
    await run_once(world.workspace)
    assert {said for _, said in subjects(sandbox)} == {"[Test] Step 2", "[Test] Variant B", "[Test] Step 1"}


def _run_for_a_moment(sandbox: RunningSandbox, folder: Path, now: MovedClock) -> None:
    async def run() -> None:
        paths = Paths(folder / "config.toml", folder / "data")
        workspace = open_workspace(paths, config_for(sandbox, "smtp-a", connections=2), clock=now)
        await workspace.publishing.outbox().run()

    asyncio.run(run())


def test_killed_at_any_moment_nobody_gets_a_step_twice_and_nobody_is_forgotten(
    world: World, sandbox: RunningSandbox, tmp_path: Path
) -> None:
    names = [f"p{number}" for number in range(40)]
    world.people(*names)
    campaign = world.campaign()
    for number in (2, 3):
        world.sequences.edit(campaign, Add(world.content(f"Step {number}"), IN_A_DAY))
    world.start(campaign)
    sandbox.set_faults([Fault("dot", "slow", seconds=0.01)])
    context = multiprocessing.get_context("fork")
    for seconds in (0.3, 0.45, 0.6, 0.4, 0.5, 0.35):
        process = context.Process(target=_run_for_a_moment, args=(sandbox, tmp_path, world.clock))
        process.start()
        process.join(seconds)
        process.kill()
        process.join()
        world.clock.at += timedelta(hours=9)
    asyncio.run(run_once(world.workspace))
    world.db.write(
        lambda db: db.execute("UPDATE delivery SET state = 'sent' WHERE state = 'unknown'")
    )  # the same as a person who says so for all
    for _ in range(3):
        world.clock.at += DAY
        asyncio.run(run_once(world.workspace))
    got = subjects(sandbox)
    assert set(got.values()) == {1}
    assert len(world.ledger(campaign)) == 3 * len(names)
    assert {state for _, _, state in world.ledger(campaign)} == {"sent"}
    lost = 3 * len(names) - len(got)
    assert lost <= 2 * 6, "at most those that were on their way at each kill"
