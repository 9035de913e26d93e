"""A line that is cut, a sync that is killed, a month that is used up: nothing is lost, and nothing is there twice."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from airtable_there import There, base, everybody, home, sync

from aicmo.crm.syncing.asking import Caller, Stopped
from aicmo.errors import AuthNeeded, InvalidInput, ProviderUnavailable
from aicmo.gateways.attempt import Answer, Applied, Attempt, Outcome
from aicmo.gateways.chain_answer import ChainAnswer
from aicmo.gateways.providers.airtable import AirtableProvider
from aicmo.sandbox import Fault, RunningSandbox
from aicmo.sandbox.proxy import CuttingProxy
from aicmo.store.file_lock import file_lock
from aicmo.workspace import Workspace

# --- nothing twice ----------------------------------------------------------------------------------------------------


async def test_wherever_the_line_is_cut_the_next_run_makes_it_whole_and_nobody_is_there_twice(
    tmp_path: Path, sandbox: RunningSandbox, there: There
) -> None:
    """The connection is kept, so the sweep goes through every answer of a sync: columns, pages, upserts, updates."""
    address, step = sandbox.http["airtable"], 797
    names = ["ann", "bob", "cy"]
    stopped = finished = 0
    async with CuttingProxy(address.port) as proxy:
        through = f"http://127.0.0.1:{proxy.port}{address.path}"
        for cut in range(1, 60_000, step):
            there.clear()
            there.add({"Email": "dora@two.example", "Company": "Two"}, {"Email": "ann@one.example", "Company": "One"})
            proxy.cut_down = cut
            folder = tmp_path / str(cut)
            async with home(folder, sandbox, base_url=through) as workspace:
                for name in names:
                    workspace.crm.add(f"{name}@one.example", first_name=name)
                try:
                    cut_off = (await sync(workspace)).problem is not None
                except ProviderUnavailable:
                    cut_off = True
            (folder / "data" / "health.db").unlink()  # later, when nobody is wary of Airtable any more
            async with home(folder, sandbox) as workspace:
                done = await sync(workspace)
                assert (done.status, done.push.unknown, done.push.failed) == ("done", 0, 0), done
                assert sorted(base(there)) == [*(f"{name}@one.example" for name in names), "dora@two.example"], cut
                assert len(there.rows()) == 4 == workspace.crm.count()
                assert everybody(workspace) == base(there)
            stopped += cut_off
            finished += not cut_off
            if not cut_off:
                break
    assert stopped > 3 and finished == 1


async def test_a_write_whose_answer_was_lost_is_told_as_unknown_and_made_whole_by_the_next_run(
    here: Workspace, sandbox: RunningSandbox, there: There, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.crm.add("ann@one.example")
    whole = AirtableProvider.upsert

    async def whose_answer_is_lost(self: Any, *args: Any) -> Any:
        sandbox.set_faults([Fault("response", "drop", server="airtable")])
        return await whole(self, *args)

    monkeypatch.setattr(AirtableProvider, "upsert", whose_answer_is_lost)
    lost = await sync(here)
    assert (lost.status, lost.push.created, lost.push.unknown) == ("partly", 0, 1)
    assert lost.problem is not None and "not known" in lost.problem.reason
    monkeypatch.undo()
    sandbox.set_faults([])
    assert len(there.rows()) == 1, "it did arrive"
    await here.services.registry.reset("airtable")
    found = await sync(here)
    assert (found.status, found.push.created, len(there.rows())) == ("done", 0, 1)


async def test_a_sync_killed_in_the_middle_is_taken_up_by_the_next_and_does_nothing_twice(
    here: Workspace, there: There, monkeypatch: pytest.MonkeyPatch
) -> None:
    there.add(*({"Email": f"p{n}@one.example"} for n in range(150)))
    for n in range(20):
        here.crm.add(f"q{n}@two.example")
    real, calls = AirtableProvider.list_records, 0

    async def dies_at_the_second_page(self: Any, *args: Any, **more: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise asyncio.CancelledError
        return await real(self, *args, **more)

    monkeypatch.setattr(AirtableProvider, "list_records", dies_at_the_second_page)
    with pytest.raises(asyncio.CancelledError):
        await sync(here)
    assert here.crm.count() == 120, "the first page stays"
    monkeypatch.undo()
    done = await sync(here)
    assert (done.status, done.pull.created, done.push.created) == ("done", 50, 20)
    assert here.crm.count() == len(there.rows()) == 170
    again = await sync(here)
    assert (again.pull.created, again.pull.updated, again.push.created, again.push.updated) == (0, 0, 0, 0)


async def test_pages_that_airtable_has_forgotten_are_begun_again(
    here: Workspace, sandbox: RunningSandbox, there: There, monkeypatch: pytest.MonkeyPatch
) -> None:
    there.add(*({"Email": f"p{n}@one.example"} for n in range(110)))
    real, spoilt = AirtableProvider.list_records, 0

    async def forgets_once(self: Any, *args: Any, page: str = "", **more: Any) -> Any:
        nonlocal spoilt
        if page and not spoilt:
            spoilt, page = 1, "itrGone/rec"
        return await real(self, *args, page=page, **more)

    monkeypatch.setattr(AirtableProvider, "list_records", forgets_once)
    assert (await sync(here)).pull.created == 110 and spoilt


async def test_two_rows_of_one_person_are_one_person_and_the_second_row_is_told(here: Workspace, there: There) -> None:
    there.add({"Email": "ann@one.example", "Company": "One"}, {"Email": "Ann@One.example", "Company": "Two"})
    done = await sync(here)
    assert (done.pull.created, done.pull.skipped, here.crm.count()) == (1, 1, 1)
    assert any("ann@one.example stands in two rows" in warning for warning in done.warnings)


# --- when it cannot ---------------------------------------------------------------------------------------------------


async def test_without_a_crm_it_is_skipped_and_says_why(tmp_path: Path, sandbox: RunningSandbox) -> None:
    async with home(tmp_path, sandbox, chain=()) as here:
        done = await sync(here)
    assert done.status == "skipped" and "crm_sync" in done.reason


async def test_a_column_that_is_not_there_is_named_before_anything_is_changed(
    tmp_path: Path, sandbox: RunningSandbox, there: There
) -> None:
    there.add({"Email": "ann@one.example"})
    for settings, name in (({"fields": {"Town": "city"}}, "Town"), ({"merge_field": "Our ID"}, "Our ID")):
        async with home(tmp_path, sandbox, **settings) as here:
            with pytest.raises(InvalidInput, match=f"has no column “{name}”"):
                await sync(here)
            assert here.crm.count() == 0
    async with home(tmp_path, sandbox, merge_field="Email") as here:
        with pytest.raises(InvalidInput, match="finds no row again by its column “Email”"):
            await sync(here)


async def test_who_may_not_and_who_is_not_there_are_told_apart(
    tmp_path: Path, sandbox: RunningSandbox, there: There
) -> None:
    async with home(tmp_path / "key", sandbox, api_key="patWRONG0000000.00") as here:
        with pytest.raises(AuthNeeded):
            await sync(here)
    async with home(tmp_path / "host", sandbox, base_url="http://127.0.0.1:9/v0") as here:
        with pytest.raises(ProviderUnavailable):
            await sync(here)


async def test_a_month_that_is_used_up_stops_it_without_a_loss(
    here: Workspace, sandbox: RunningSandbox, there: There
) -> None:
    for n in range(30):
        here.crm.add(f"p{n}@one.example")
    sandbox.set_account("airtable", calls_left=2)
    done = await sync(here)
    assert (done.status, done.push.created) == ("partly", 10)
    assert done.problem is not None and done.problem.outcome is Outcome.QUOTA
    sandbox.set_account("airtable", calls_left=None)
    await here.services.registry.reset("airtable")
    assert (await sync(here)).push.created == 20 and len(there.rows()) == 30


async def test_one_row_that_airtable_refuses_keeps_nobody_else_out(
    here: Workspace, there: There, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(10):
        here.crm.add(f"p{n}@one.example", company="Bad" if n == 4 else "Good")
    real = AirtableProvider.upsert

    async def refuses_bad(self: Any, table: Any, records: Any, *more: Any) -> Any:
        if any(each.get("Company") == "Bad" for each in records):
            return Answer(Attempt(self.name, Outcome.INPUT, Applied.NO, "reply", "422", "No."))
        return await real(self, table, records, *more)

    monkeypatch.setattr(AirtableProvider, "upsert", refuses_bad)
    done = await sync(here)
    assert (done.status, done.push.created, done.push.failed) == ("partly", 9, 1)
    assert "p4@one.example: No." in done.warnings


async def test_two_programs_do_not_sync_at_once(here: Workspace) -> None:
    with file_lock(here.db.path.with_name(f"{here.db.path.name}.sync")):
        done = await sync(here)
    assert done.status == "locked"


# --- how fast ---------------------------------------------------------------------------------------------------------


async def test_it_keeps_below_the_rate_that_would_shut_the_base(
    tmp_path: Path, sandbox: RunningSandbox, there: There
) -> None:
    sandbox.reset()  # what emptied the base was too fast itself
    async with home(tmp_path, sandbox, limits={"second": 4}) as here:
        for n in range(60):
            here.crm.add(f"p{n}@one.example")
        assert (await sync(here, query="domain:one.example")).push.created == 60
    assert [handled.status for handled in sandbox.http_log()] == [200] * 9


class PatientClock:
    """Waiting takes no time, and is written down."""

    def __init__(self) -> None:
        self.time, self.waits = datetime(2026, 11, 22, 14, tzinfo=UTC), list[float]()

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.time += timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("outcome", "wait_s", "waited"),
    [
        (Outcome.RATE_LIMITED, 30, True),
        (Outcome.RATE_LIMITED, 3_600, False),
        (Outcome.QUOTA, 30, False),
        (Outcome.SKIPPED, 2, True),
        (Outcome.SKIPPED, 30, False),
        (Outcome.TRANSIENT, 30, False),
    ],
)
async def test_half_a_minute_for_having_been_too_fast_is_waited_and_no_more(
    outcome: Outcome, wait_s: float, waited: bool, here: Workspace
) -> None:
    clock = PatientClock()
    until = clock.now() + timedelta(seconds=wait_s)
    refused = Attempt("airtable", outcome, Applied.NO, retry_at=until)
    answers = [ChainAnswer((), refused, until), ChainAnswer((), Attempt("airtable", Outcome.OK, Applied.NO), value=7)]

    class Chain:
        async def ask(self, op: Any, **more: Any) -> ChainAnswer[int]:
            return answers.pop(0)

    caller = Caller(cast(Any, Chain()), here.chain("crm_sync").providers[0], clock)
    if waited:
        assert await caller.read(lambda it: it.columns("contacts")) == 7 and clock.waits == [wait_s]
    else:
        with pytest.raises(Stopped):
            await caller.read(lambda it: it.columns("contacts"))
        assert clock.waits == []
