"""A list of people kept in step with Airtable, over real sockets: what travels which way, and what does not."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from airtable_there import ID, There, base, everybody, home, sync

from aicmo.gateways.providers.airtable import AirtableProvider
from aicmo.sandbox import Fault, RunningSandbox
from aicmo.store.events import Event
from aicmo.workspace import Workspace

# --- there and back ---------------------------------------------------------------------------------------------------


async def test_who_is_new_here_gets_a_row_there_and_the_next_sync_does_nothing(here: Workspace, there: There) -> None:
    here.crm.add("ann@one.example", first_name="Ann", company="One", tags=["vip"])
    first = await sync(here)
    assert (first.status, first.push.created, first.push.updated) == ("done", 1, 0)
    assert there.cells("ann@one.example") == {
        "Email": "ann@one.example",
        "First name": "Ann",
        "Company": "One",
        "Tags": ["vip"],
    }
    again = await sync(here)
    assert (again.push.created, again.push.updated, again.pull.created, again.pull.updated) == (0, 0, 0, 0)
    assert again.change_id is None


async def test_who_is_new_there_comes_in_through_the_importers_checks(here: Workspace, there: There) -> None:
    there.add(
        {"Email": "Bob@TWO.example", "First name": "  Bob\x1b[31m ", "Tags": ["vip", "trial"], "City": "Rome"},
        {"Email": "not an address", "First name": "X"},
        {"First name": "Nobody"},
    )
    done = await sync(here)
    assert (done.status, done.pull.created, done.pull.rejected) == ("partly", 1, 2)
    bob = here.crm.get("bob@two.example")
    assert (bob.email, bob.first_name, bob.tags) == ("Bob@TWO.example", "Bob[31m", ("trial", "vip"))
    assert bob.fields == {}, "a column that nobody mapped is not looked at"
    assert there.cells("Bob@TWO.example")["City"] == "Rome"
    assert there.row("Bob@TWO.example")["fields"][ID], "and the row has a name now"


async def test_somebody_known_by_their_address_is_linked_and_each_side_gets_what_it_lacks(
    here: Workspace, there: There
) -> None:
    here.crm.add("ann@one.example", first_name="Ann", tags=["vip"])
    there.add({"Email": "ANN@one.example", "Company": "One", "Tags": ["trial"]})
    done = await sync(here)
    assert (done.pull.updated, done.push.created, len(there.rows())) == (1, 0, 1)
    ann = here.crm.get("ann@one.example")
    assert (ann.first_name, ann.company, ann.tags) == ("Ann", "One", ("trial", "vip"))
    assert there.cells("ANN@one.example")["First name"] == "Ann"
    assert set(there.cells("ANN@one.example")["Tags"]) == {"trial", "vip"}


async def test_an_address_that_was_merged_away_leads_to_the_survivor(here: Workspace, there: There) -> None:
    for email in ("ann@one.example", "ann@old.example"):
        here.crm.add(email)
    here.duplicates.merge("ann@one.example", "ann@old.example")
    there.add({"Email": "ann@old.example", "Company": "One"})
    done = await sync(here)
    assert (done.pull.created, here.crm.count()) == (0, 1)
    assert here.crm.get("ann@one.example").company == "One"


async def test_changes_travel_both_ways_and_a_cleared_cell_clears(here: Workspace, there: There) -> None:
    here.crm.add("ann@one.example", first_name="Ann", company="One", phone="123")
    await sync(here)
    there.edit("ann@one.example", Company="Two", Phone=None)
    here.crm.edit(here.crm.get("ann@one.example"), {"first_name": "Anna"})
    done = await sync(here)
    assert (done.conflict_count, done.pull.updated, done.push.updated) == (0, 1, 1)
    ann = here.crm.get("ann@one.example")
    assert (ann.first_name, ann.company, ann.phone) == ("Anna", "Two", "")
    assert there.cells("ann@one.example") == {"Email": "ann@one.example", "First name": "Anna", "Company": "Two"}


async def test_a_pull_is_one_step_of_undo_and_the_undo_travels_there(here: Workspace, there: There) -> None:
    here.crm.add("ann@one.example", company="One")
    await sync(here)
    there.edit("ann@one.example", Company="Two")
    there.add({"Email": "new@two.example"})
    done = await sync(here)
    change = here.history.next_to_undo()
    assert change is not None and (change.id, change.kind) == (done.change_id, "sync")
    assert change.summary == "Synced with Airtable: 1 new, 1 changed"
    here.history.undo()
    assert here.crm.count() == 1 and here.crm.get("ann@one.example").company == "One"
    again = await sync(here)
    assert there.cells("ann@one.example")["Company"] == "One"
    assert (again.pull.created, here.crm.count()) == (0, 1), "whom undo took away does not come back"


# --- who was deleted --------------------------------------------------------------------------------------------------


async def test_who_is_deleted_there_stays_here_and_is_not_brought_back_there(here: Workspace, there: There) -> None:
    for email in ("ann@one.example", "bob@one.example"):
        here.crm.add(email)
    await sync(here)
    there.delete([there.row("ann@one.example")["id"]])
    for email in ("ann@one.example", "bob@one.example"):
        here.crm.edit(here.crm.get(email), {"company": "One"})
    done = await sync(here)
    assert (done.push.gone, done.push.updated, done.push.failed) == (1, 1, 0)
    assert here.crm.count() == 2 and list(base(there)) == ["bob@one.example"]
    here.crm.edit(here.crm.get("ann@one.example"), {"company": "Two"})
    assert (await sync(here)).push.gone == 0, "it is known"
    assert (await sync(here, recreate=True)).push.created == 1
    assert there.cells("ann@one.example")["Company"] == "Two"


async def test_a_full_reading_tells_who_was_deleted_there(here: Workspace, there: There) -> None:
    here.crm.add("ann@one.example")
    await sync(here)
    there.delete([there.row("ann@one.example")["id"]])
    assert (await sync(here)).deleted_there == 0
    done = await sync(here, full=True)
    assert done.deleted_there == 1 and "stay here" in " ".join(done.warnings)


async def test_who_is_deleted_here_stays_there_and_does_not_come_back(here: Workspace, there: There) -> None:
    here.crm.add("ann@one.example")
    await sync(here)
    here.crm.delete("ann@one.example")
    there.edit("ann@one.example", Company="One")
    done = await sync(here, full=True)
    assert (done.pull.created, done.pull.skipped, here.crm.count(), len(there.rows())) == (0, 1, 0, 1)
    assert "was deleted here" in " ".join(done.warnings)


async def test_a_number_that_is_given_again_does_not_lead_to_the_wrong_person(here: Workspace, there: There) -> None:
    here.crm.add("ann@one.example", company="One")
    await sync(here)
    row = there.row("ann@one.example")
    here.db.write(lambda db: [db.execute(f"DELETE FROM {table}") for table in ("contact", "change")])
    bob = here.crm.add("bob@two.example")
    assert bob.id == 1
    there.change(row["id"], {"Company": "Elsewhere"})
    await sync(here)
    assert here.crm.get("bob@two.example").company == ""


# --- less than everything ---------------------------------------------------------------------------------------------


async def test_a_dry_run_says_what_would_be_done_and_writes_nothing_on_either_side(
    here: Workspace, there: There
) -> None:
    here.crm.add("ann@one.example", company="One")
    await sync(here)
    there.edit("ann@one.example", Company="Two")
    there.add({"Email": "new@two.example"})
    here.crm.add("bob@one.example")
    before = there.rows(), everybody(here), here.history.list()
    planned = await sync(here, dry_run=True)
    assert (there.rows(), everybody(here), here.history.list()) == before
    done = await sync(here)
    assert planned.counts() == done.counts() and planned.dry_run


async def test_pull_changes_nothing_there_and_push_changes_nothing_here(here: Workspace, there: There) -> None:
    here.crm.add("ann@one.example", tags=["vip"])
    there.add({"Email": "ann@one.example", "Company": "One", "Tags": ["trial"]}, {"Email": "new@two.example"})
    before = base(there)
    await sync(here, direction="pull")
    assert base(there) == before and here.crm.get("ann@one.example").company == "One"
    here.crm.edit(here.crm.get("ann@one.example"), {"company": "Ours", "tag.customer": "customer"})
    there.add({"Email": "newer@two.example"})
    there.edit("ann@one.example", Phone="1", Tags=["trial", "newsletter"])
    people = everybody(here)
    await sync(here, direction="push")
    assert everybody(here) == people and base(there)["ann@one.example"]["Company"] == "Ours"
    await sync(here)
    assert everybody(here) == base(there)
    assert base(there)["ann@one.example"]["Tags"] == {"vip", "trial", "customer", "newsletter"}


async def test_a_first_push_alone_doubles_nobody_who_is_there_already(here: Workspace, there: There) -> None:
    here.crm.add("ann@one.example", company="One")
    there.add({"Email": "ann@one.example"})
    await sync(here, direction="push")
    assert len(there.rows()) == 1 and there.cells("ann@one.example")["Company"] == "One"


async def test_a_query_narrows_it_and_nothing_else_is_missed_later(here: Workspace, there: There) -> None:
    for email in ("ann@one.example", "bob@two.example"):
        here.crm.add(email)
    there.add({"Email": "new@three.example"}, {"Email": "bob@two.example", "Company": "Two"})
    done = await sync(here, query="domain:one.example")
    assert (done.push.created, done.pull.created, here.crm.get("bob@two.example").company) == (1, 0, "")
    done = await sync(here)
    assert (done.pull.created, here.crm.get("bob@two.example").company) == (1, "Two")


# --- what happened with them ------------------------------------------------------------------------------------------


async def test_events_become_rows_and_rows_by_hand_become_events_each_of_them_once(
    here: Workspace, there: There
) -> None:
    ann = here.crm.add("ann@one.example", first_name="Ann")
    here.timeline.note(ann.id, "likes engines")
    await sync(here)
    (row,) = there.rows("Interactions")
    cells = row["fields"]
    assert (cells["Email"], cells["Contact"], cells["Kind"], cells["Details"]) == (
        "ann@one.example", "Ann", "note", "likes engines",
    )  # fmt: skip
    there.add(
        {"Email": "ANN@one.example", "Kind": "Call", "Subject": "Prices", "At": "2026-11-20T10:00:00.000Z"},
        {"Email": "ann@one.example", "Kind": "Replied", "Details": "Yes, please"},
        {"Email": "ann@one.example", "Kind": "Lunch", "Subject": "Trattoria"},
        {"Email": "nobody@one.example", "Kind": "note"},
        table="Interactions",
    )
    done = await sync(here)
    assert (done.interactions.pulled, done.interactions.skipped, done.interactions.pushed) == (3, 1, 0)
    told = {(item.kind, item.text): item for item in here.timeline.page(ann.id).items if item.kind in ("call", "note")}
    assert told["call", "Prices"].at == "2026-11-20T10:00:00.000Z" and told["call", "Prices"].human
    assert ("note", "Lunch\nTrattoria") in told
    assert here.crm.get("ann@one.example").stage == "ENGAGED", "somebody wrote there that she replied"
    again = await sync(here)
    assert (again.interactions.pulled, again.interactions.pushed, len(there.rows("Interactions"))) == (0, 0, 5)


@pytest.mark.parametrize("lost_answers", [1, 9])
async def test_an_interaction_whose_answer_was_lost_is_there_once(
    lost_answers: int, here: Workspace, sandbox: RunningSandbox, there: There, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = here.crm.add("ann@one.example")
    await sync(here)
    here.crm.record_event(Event(ann.id, "call", datetime(2026, 11, 22, tzinfo=UTC), human=True, text="rang"))
    real, asked = AirtableProvider.upsert, 0

    async def whose_answer_is_lost(self: Any, *args: Any) -> Any:
        nonlocal asked
        asked += 1
        sandbox.set_faults([Fault("response", "drop", server="airtable")] if asked <= lost_answers else [])
        return await real(self, *args)

    monkeypatch.setattr(AirtableProvider, "upsert", whose_answer_is_lost)
    done = await sync(here)
    assert asked > 1, "it may be repeated, so the chain does"
    assert (done.interactions.pushed, done.interactions.unknown) == ((1, 0) if lost_answers == 1 else (0, 1))
    monkeypatch.undo()
    sandbox.set_faults([])
    await here.services.registry.reset("airtable")
    await sync(here)
    assert len(there.rows("Interactions")) == 1


async def test_a_table_in_place_of_another_is_filled_when_that_is_asked_for(
    tmp_path: Path, sandbox: RunningSandbox, there: There
) -> None:
    async with home(tmp_path, sandbox) as here:
        here.crm.add("ann@one.example")
        await sync(here)
        there.clear()
        done = await sync(here, full=True, recreate=True)
        assert (done.deleted_there, done.push.created, list(base(there))) == (1, 1, ["ann@one.example"])
