"""What keeps a delivery back: hours in the recipient's zone, how often somebody is written to, a domain that asks for
less. Each says why, and until when."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from aicmo.clock import parse_rfc3339, rfc3339
from aicmo.errors import IllegalTransition, InvalidInput
from aicmo.publishing import Counts, Delivery, PublishingCampaign, State
from aicmo.publishing.changing import CampaignChange
from aicmo.sandbox import Fault, RunningSandbox
from aicmo.store import claiming, suppressions
from aicmo.store.campaign_options import CampaignOptions
from aicmo.store.gates import Gates
from aicmo.workspace import Workspace

from .conftest import DRAFT
from .hand_clock import NOON, HandClock, config_with, open_there, run_once

OFFICE = CampaignOptions(hours="09:00-17:00", days="mon-fri")


@contextmanager
def house(
    folder: Path, sandbox: RunningSandbox, at: datetime = NOON, sending: dict[str, Any] | None = None, **settings: Any
) -> Iterator[tuple[Workspace, HandClock]]:
    clock = HandClock(at)
    workspace = open_there(folder, config_with(sandbox, "smtp-a", sending=sending, **settings), clock)
    try:
        yield workspace, clock
    finally:
        workspace.close()


def begun(
    workspace: Workspace, name: str = "News", options: CampaignOptions = OFFICE, to: str = "", exclude: str = ""
) -> PublishingCampaign:
    content = workspace.contents.create("email", name, DRAFT)
    made = workspace.publishing.create_campaign(name, content.id, to, exclude=exclude, options=options)
    return workspace.publishing.start(made.id, approve=True)


def ledger(workspace: Workspace, campaign: PublishingCampaign) -> dict[str, Delivery]:
    return {each.email: each for each in workspace.publishing.deliveries(campaign.id)}


def add(workspace: Workspace, email: str, **fields: str) -> None:
    workspace.crm.add(email, fields=fields)


ANY_TIME = CampaignOptions()


# --- hours ----------------------------------------------------------------------------------------------------------


async def test_everybody_gets_it_within_the_hours_of_their_own_clock(tmp_path: Path, sandbox: RunningSandbox) -> None:
    with house(tmp_path, sandbox, sending={"timezone": "Europe/London"}) as (workspace, clock):  # noon there
        add(workspace, "london@acme.example")
        add(workspace, "tokyo@acme.example", timezone="Asia/Tokyo")
        add(workspace, "chicago@acme.example", timezone="America/Chicago")
        add(workspace, "berlin@acme.example", country="Germany")
        add(workspace, "nonsense@acme.example", timezone="Mars/Olympus")
        campaign = begun(workspace)
        report = await run_once(workspace)
        assert (report.status, report.reason) == ("waiting", "outside the hours for sending")
        now = ledger(workspace, campaign)
        waiting = {email.split("@")[0]: each for email, each in now.items() if each.state is State.DEFERRED}
        assert set(waiting) == {"tokyo", "chicago", "berlin"} - {"berlin"}
        assert waiting["tokyo"].retry_at == "2026-11-24T00:00:00.000Z"
        assert waiting["tokyo"].reason == "opens Tue 2026-11-24 09:00 Asia/Tokyo"
        assert waiting["chicago"].retry_at == "2026-11-23T15:00:00.000Z"
        assert {(each.cause, each.attempts) for each in waiting.values()} == {("hours", 0)}
        assert report.next_at == datetime(2026, 11, 23, 15, tzinfo=UTC)
        clock.at = report.next_at
        assert (await run_once(workspace)).counts == {"sent": 1}
        clock.forward(hours=9)
        assert (await run_once(workspace)).counts == {"sent": 1}
        assert workspace.publishing.counts(campaign.id) == Counts(audience=5, sent=5)


async def test_in_the_businesss_own_zone_everybody_waits_alike(tmp_path: Path, sandbox: RunningSandbox) -> None:
    with house(tmp_path, sandbox, sending={"timezone": "Asia/Tokyo"}) as (workspace, _):
        add(workspace, "chicago@acme.example", timezone="America/Chicago")
        campaign = begun(workspace, options=CampaignOptions(hours="09:00-17:00", zone="business"))
        assert (await run_once(workspace)).counts == {"deferred": 1}
        assert ledger(workspace, campaign)["chicago@acme.example"].retry_at == "2026-11-24T00:00:00.000Z"


async def test_whoever_was_due_but_is_outside_the_hours_by_then_waits_for_the_next_opening(
    tmp_path: Path, sandbox: RunningSandbox
) -> None:
    with house(tmp_path, sandbox, at=NOON.replace(hour=16, minute=58)) as (workspace, clock):
        add(workspace, "p@acme.example")
        campaign = begun(workspace)
        sandbox.set_faults([Fault("rcpt", "reply", reply="450 4.2.0 greylisted")])
        await run_once(workspace)
        assert ledger(workspace, campaign)["p@acme.example"].cause == "later"
        sandbox.set_faults([])
        clock.forward(minutes=10)
        await run_once(workspace)
        held = ledger(workspace, campaign)["p@acme.example"]
        assert (held.state, held.cause, held.retry_at) == (State.DEFERRED, "hours", "2026-11-24T09:00:00.000Z")
        assert held.attempts == 1, "it was tried once, and not once more"


def test_a_claim_puts_off_no_more_than_its_share_however_many_wait(tmp_path: Path, sandbox: RunningSandbox) -> None:
    with house(tmp_path, sandbox) as (workspace, clock):
        add(workspace, "p@acme.example")
        campaign = begun(workspace, options=CampaignOptions(hours="20:00-21:00"))
        workspace.db.write(
            lambda db: db.execute(
                """WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
                   INSERT INTO delivery (campaign_id, address, contact_id, state, at)
                   SELECT ?, 'x' || i || '@acme.example', 1, 'queued', ? FROM n""",
                (campaign.id, rfc3339(clock.now())),
            )
        )
        put_off = []
        for _ in range(4):
            found = workspace.db.write(lambda db: claiming.claim(db, campaign.id, clock.now(), most=20, gates=Gates()))
            assert found.taken == []
            put_off.append(workspace.publishing.counts(campaign.id).deferred)
        assert put_off[0] <= claiming.SETTLED_AT_ONCE + claiming.PEEKED
        assert put_off[-1] == 3001, "the next claims go on where it stopped"


async def test_hours_can_be_changed_while_it_runs_and_nothing_else(tmp_path: Path, sandbox: RunningSandbox) -> None:
    with house(tmp_path, sandbox) as (workspace, _):
        add(workspace, "p@acme.example")
        campaign = begun(workspace, options=CampaignOptions(hours="20:00-21:00"))
        await run_once(workspace)
        edit = workspace.publishing.edit_campaign
        for change in (CampaignChange(name="x"), CampaignChange(audience="tag:x"), CampaignChange(exclude="tag:x")):
            with pytest.raises(IllegalTransition, match="frozen"):
                edit(campaign.id, change)
        assert edit(campaign.id, CampaignChange(options={"hours": "11:00-13:00"})).options.hours == "11:00-13:00"
        assert (await run_once(workspace)).counts == {"sent": 1}


# --- how often ------------------------------------------------------------------------------------------------------

TWICE_A_WEEK = {"frequency": {"most": 2, "days": 7}}


async def test_nobody_gets_more_than_so_many_messages_of_all_campaigns_together(
    tmp_path: Path, sandbox: RunningSandbox
) -> None:
    with house(tmp_path, sandbox, sending=TWICE_A_WEEK) as (workspace, clock):
        add(workspace, "p@acme.example")
        for name in ("One", "Two"):
            begun(workspace, name, ANY_TIME)
            assert (await run_once(workspace)).counts == {"sent": 1}
            clock.forward(days=1)
        add(workspace, "new@acme.example")
        third = begun(workspace, "Three", ANY_TIME)
        await run_once(workspace)
        held = ledger(workspace, third)
        assert held["new@acme.example"].state is State.SENT
        assert (held["p@acme.example"].state, held["p@acme.example"].cause) == (State.SUPPRESSED, "frequency")
        assert held["p@acme.example"].reason == "had 2 messages in 7 days"
        assert workspace.db.read(suppressions.listed) == [], "it is no word about the person"
        clock.forward(days=5, seconds=1)  # the first one is more than a week ago
        fourth = begun(workspace, "Four", ANY_TIME)
        await run_once(workspace)
        assert ledger(workspace, fourth)["p@acme.example"].state is State.SENT


async def test_two_campaigns_at_once_do_not_both_slip_through(tmp_path: Path, sandbox: RunningSandbox) -> None:
    with house(tmp_path, sandbox, sending={"frequency": {"most": 1, "days": 1}}) as (workspace, _):
        for number in range(30):
            add(workspace, f"p{number}@acme.example")
        both = [begun(workspace, name, ANY_TIME) for name in ("One", "Two")]
        await run_once(workspace)
        assert len(sandbox.received()) == len({mail.rcpt_to[0] for mail in sandbox.received()}) == 30
        counts = [workspace.publishing.counts(each.id) for each in both]
        assert sum(each.sent for each in counts) == sum(each.suppressed for each in counts) == 30


async def test_a_sequence_waits_until_there_is_room(tmp_path: Path, sandbox: RunningSandbox) -> None:
    with house(tmp_path, sandbox, sending={"frequency": {"most": 1, "days": 3}}) as (workspace, clock):
        add(workspace, "p@acme.example")
        begun(workspace, "One", ANY_TIME)
        await run_once(workspace)
        clock.forward(hours=1)
        sequence = begun(workspace, "Welcome", ANY_TIME)
        workspace.db.write(lambda db: db.execute("UPDATE campaign SET kind = 'sequence' WHERE id = ?", (sequence.id,)))
        await run_once(workspace)
        held = ledger(workspace, sequence)["p@acme.example"]
        assert (held.state, held.cause) == (State.DEFERRED, "frequency")
        assert parse_rfc3339(held.retry_at) == NOON + timedelta(days=3)


# --- a domain that asks for less ------------------------------------------------------------------------------------


async def test_a_domain_that_asks_for_less_waits_and_the_others_go_on(tmp_path: Path, sandbox: RunningSandbox) -> None:
    with house(tmp_path, sandbox, connections=1) as (workspace, clock):
        for number in range(4):
            add(workspace, f"y{number}@yahoo.example")
            add(workspace, f"p{number}@acme.example")
        campaign = begun(workspace, options=ANY_TIME)
        slow = "451 4.7.1 Sending rate for this domain exceeded"
        sandbox.set_faults([Fault("rcpt", "reply", reply=slow, recipient="*@yahoo.example")])
        await run_once(workspace)
        held = [each for each in workspace.publishing.deliveries(campaign.id) if "yahoo" in each.email]
        assert workspace.publishing.counts(campaign.id).sent == 4
        assert {each.cause for each in held} == {"throttled"}
        assert sorted(each.attempts for each in held)[:2] == [0, 0], "the contact is not to blame, nor tried"
        until = min(parse_rfc3339(each.retry_at) for each in held)
        assert until == NOON + timedelta(minutes=5)
        # A restart knows of it.
        workspace.crm.add("z@yahoo.example")
        second = begun(workspace, "Second", ANY_TIME, to="z@yahoo.example")
        await run_once(workspace)
        held = ledger(workspace, second)["z@yahoo.example"]
        assert (held.cause, held.attempts) == ("throttled", 0), "it was not even tried"
        sandbox.set_faults([])
        clock.forward(minutes=30)
        await run_once(workspace)
        assert workspace.publishing.counts(campaign.id).sent == 8
        assert workspace.publishing.counts(second.id).sent == 1


async def test_a_domain_that_keeps_asking_waits_twice_as_long_each_time_or_as_long_as_it_says(
    tmp_path: Path, sandbox: RunningSandbox
) -> None:
    with house(tmp_path, sandbox, connections=1) as (workspace, clock):
        for number in range(3):
            add(workspace, f"y{number}@yahoo.example")
        campaign = begun(workspace, options=ANY_TIME)
        waited = []
        for words in ("", "", "", ", try again in 3 hours"):
            slow = f"451 4.7.1 Sending rate for this domain exceeded{words}"
            sandbox.set_faults([Fault("rcpt", "reply", reply=slow)])
            await run_once(workspace)
            (until,) = workspace.db.read(lambda db: db.execute("SELECT until FROM domain_hold").fetchone())
            waited.append(parse_rfc3339(until) - clock.now())
            clock.at = parse_rfc3339(until)
        assert waited == [timedelta(minutes=minutes) for minutes in (5, 10, 20, 180)]
        sandbox.set_faults([])
        clock.forward(days=1)
        await run_once(workspace)
        assert workspace.publishing.counts(campaign.id).sent == 3


async def test_greylisted_ones_that_are_due_go_before_a_long_queue(tmp_path: Path, sandbox: RunningSandbox) -> None:
    with house(tmp_path, sandbox, limits={"minute": 2}, connections=1) as (workspace, clock):
        for number in range(9):
            add(workspace, f"p{number}@acme.example")
        begun(workspace, options=ANY_TIME)
        sandbox.set_faults([Fault("rcpt", "reply", reply="450 4.2.0 greylisted", recipient="p0@*")])
        await run_once(workspace)
        sandbox.set_faults([])
        clock.forward(minutes=6)
        await run_once(workspace)
        assert [mail.rcpt_to[0][:2] for mail in sandbox.received()][:3] == ["p1", "p2", "p0"]


# --- who gets nothing -----------------------------------------------------------------------------------------------


def test_the_excluded_are_not_in_the_audience_and_may_change_until_it_begins(
    tmp_path: Path, sandbox: RunningSandbox
) -> None:
    with house(tmp_path, sandbox) as (workspace, _):
        for name, tag in (("a", "customer"), ("b", "trial"), ("c", "trial")):
            workspace.crm.add(f"{name}@acme.example", tags=[tag])
        content = workspace.contents.create("email", "N", DRAFT)
        publishing = workspace.publishing
        made = publishing.create_campaign("N", content.id, "", exclude="tag:customer")
        assert publishing.audience("", "tag:customer").total == 2
        publishing.approve(made.id)
        changed = publishing.edit_campaign(made.id, CampaignChange(exclude="c@acme.example", name="Renamed"))
        assert (changed.status, changed.name, changed.exclude) == ("approved", "Renamed", "c@acme.example")
        publishing.start(made.id)
        assert {each.email for each in publishing.deliveries(made.id)} == {"a@acme.example", "b@acme.example"}
        for wrong in ({"hours": "17-9"}, {"days": "someday"}, {"zone": "mine"}, {"late_after_minutes": 0}):
            with pytest.raises(InvalidInput):
                publishing.edit_campaign(made.id, CampaignChange(options=wrong))  # type: ignore[arg-type]
