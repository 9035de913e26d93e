"""What both sides changed, and what is not the rule's to decide: stages, opt-outs, what a column cannot hold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from airtable_there import There, base, everybody, home, sync

from aicmo.sandbox import RunningSandbox
from aicmo.store import suppressions
from aicmo.store.suppressions import SuppressionReason
from aicmo.workspace import Workspace

# --- conflicts --------------------------------------------------------------------------------------------------------


async def in_conflict(here: Workspace, there: There) -> None:
    here.crm.add("ann@one.example", company="One")
    await sync(here)
    there.edit("ann@one.example", Company="Theirs")
    here.crm.edit(here.crm.get("ann@one.example"), {"company": "Ours"})


@pytest.mark.parametrize(
    ("rule", "ours", "theirs", "kept"),
    [
        ("ours", "Ours", "Ours", "ours"),
        ("theirs", "Theirs", "Theirs", "theirs"),
        ("newer", "Ours", "Ours", "ours"),
        ("ask", "Ours", "Theirs", "neither"),
    ],
)
async def test_a_conflict_is_decided_by_the_rule_and_what_lost_is_kept(
    rule: str, ours: str, theirs: str, kept: str, here: Workspace, there: There
) -> None:
    await in_conflict(here, there)
    done = await sync(here, rule=rule)
    assert [tuple(each) for each in done.conflicts] == [("ann@one.example", "company", "Ours", "Theirs", "One", kept)]
    assert here.crm.get("ann@one.example").company == ours
    assert there.cells("ann@one.example")["Company"] == theirs
    (told,) = here.sync.conflicts()
    assert (told.email, told.clash.theirs, told.clash.kept) == ("ann@one.example", "Theirs", kept)
    assert (await sync(here, rule=rule)).conflict_count == (1 if rule == "ask" else 0)


async def test_the_newer_side_wins_where_the_rule_says_so(here: Workspace, there: There) -> None:
    await in_conflict(here, there)
    there.edit("ann@one.example", Phone="1")
    await sync(here, rule="newer")
    assert here.crm.get("ann@one.example").company == "Theirs"


@pytest.mark.parametrize(("rule", "company"), [("ours", "Ours"), ("theirs", "Theirs")])
async def test_what_was_left_to_the_person_is_settled_by_their_word(
    rule: str, company: str, here: Workspace, there: There, monkeypatch: pytest.MonkeyPatch
) -> None:
    await in_conflict(here, there)
    await sync(here, rule="ask")
    monkeypatch.setattr("aicmo.crm.syncing.run.OVERLAP", -timedelta(seconds=1))  # the row is not read again
    await sync(here, rule="ask")
    await sync(here, rule=rule, query="ann@one.example")
    assert here.crm.get("ann@one.example").company == company == there.cells("ann@one.example")["Company"]
    assert [each.clash.kept for each in here.sync.conflicts()] == [rule]


async def test_an_address_that_is_another_persons_is_not_taken(here: Workspace, there: There) -> None:
    for email in ("ann@one.example", "bob@one.example"):
        here.crm.add(email)
    await sync(here)
    there.edit("ann@one.example", Email="bob@one.example")
    done = await sync(here, rule="theirs")
    assert [(each.field, each.kept) for each in done.conflicts] == [("email", "ours")]
    assert sorted(base(there)) == sorted(everybody(here)) == ["ann@one.example", "bob@one.example"]


async def test_a_new_address_is_taken_and_an_opt_out_goes_with_it(here: Workspace, there: There) -> None:
    here.crm.add("ann@one.example")
    here.db.write(
        lambda db: suppressions.add(
            db, "ann@one.example", SuppressionReason.UNSUBSCRIBED, "reply", datetime(2026, 11, 1, tzinfo=UTC)
        )
    )
    await sync(here)
    assert there.cells("ann@one.example")["Suppressed"] is True
    there.edit("ann@one.example", Email="ann@new.example")
    await sync(here)
    assert here.crm.get("ann@new.example").domain == "new.example"
    assert here.db.read(lambda db: suppressions.reason_for(db, "ann@new.example")) == "unsubscribed"


# --- stages, opt-outs, what does not fit ------------------------------------------------------------------------------


async def test_an_opt_out_travels_both_ways_and_is_never_taken_back_from_there(here: Workspace, there: There) -> None:
    for email in ("ann@one.example", "bob@one.example"):
        here.crm.add(email)
    await sync(here)
    there.edit("ann@one.example", Suppressed=True)
    now = datetime(2026, 11, 22, tzinfo=UTC)
    here.db.write(lambda db: suppressions.add(db, "bob@one.example", SuppressionReason.UNSUBSCRIBED, "reply", now))
    done = await sync(here)
    assert done.suppressed == 1 and there.cells("bob@one.example")["Suppressed"] is True

    def reason(email: str) -> str:
        return here.db.read(lambda db: suppressions.reason_for(db, email))

    assert reason("ann@one.example") == "manual"
    there.edit("bob@one.example", Suppressed=False)
    await sync(here, rule="theirs")
    assert reason("bob@one.example") == "unsubscribed" and there.cells("bob@one.example")["Suppressed"] is True
    here.db.write(lambda db: suppressions.remove(db, "ann@one.example"))
    await sync(here)
    assert reason("ann@one.example") == "" and "Suppressed" not in there.cells("ann@one.example"), "your own word"


async def test_a_stage_goes_forward_only(tmp_path: Path, sandbox: RunningSandbox, there: There) -> None:
    async with home(tmp_path, sandbox, fields={"Notes": "stage"}) as here:
        for name in ("ann", "bob", "cy"):
            here.crm.add(f"{name}@one.example", stage="VERIFIED")
        await sync(here)
        assert there.cells("ann@one.example")["Notes"] == "VERIFIED"
        for name, stage in {"ann": "Converted", "bob": "NEW", "cy": "DISQUALIFIED"}.items():
            there.edit(f"{name}@one.example", Notes=stage)
        done = await sync(here, rule="theirs")
        stages = [here.crm.get(f"{name}@one.example").stage for name in ("ann", "bob", "cy")]
        assert stages == ["CONVERTED", "VERIFIED", "VERIFIED"] and done.stages_kept == 2
        assert [there.cells(f"{name}@one.example")["Notes"].upper() for name in ("ann", "bob", "cy")] == stages
        why = here.timeline.why(here.crm.get("ann@one.example").id)
        assert [(step.to_stage, step.cause) for step in why.steps] == [("CONVERTED", "set in Airtable")]


async def test_a_tag_that_airtable_has_no_option_for_stays_here_and_is_not_taken_for_removed(
    here: Workspace, there: There
) -> None:
    here.crm.add("ann@one.example", tags=["vip", "friend"])
    done = await sync(here)
    assert (
        there.cells("ann@one.example")["Tags"] == ["vip"] and "does not fit into the column Tags" in done.warnings[-1]
    )
    there.edit("ann@one.example", Tags=["trial"])
    await sync(here)
    assert here.crm.get("ann@one.example").tags == ("friend", "trial")


async def test_a_custom_field_keeps_its_type_on_both_sides(
    tmp_path: Path, sandbox: RunningSandbox, there: There
) -> None:
    fields = {"Score": "budget", "Last contacted": "met on", "City": "city", "Phone": "-"}
    async with home(tmp_path, sandbox, fields=fields) as here:
        here.fields.add("budget", "number")
        here.fields.add("met on", "date")
        here.crm.add("ann@one.example", fields={"budget": "1200", "met on": "24.11.2026", "city": "Rome"}, phone="1")
        here.crm.add("bob@one.example", fields={"city": "Oslo"})
        await sync(here)
        assert there.cells("ann@one.example") == {
            "Email": "ann@one.example",
            "Score": 1200,
            "Last contacted": "2026-11-24",
            "City": "Rome",
        }
        there.edit("ann@one.example", Score=0.5, Last_contacted="2026-12-01")
        assert (await sync(here)).pull.updated == 1
        assert here.crm.get("ann@one.example").fields == {"budget": "0.5", "met_on": "2026-12-01", "city": "Rome"}
        assert (await sync(here)).push.updated == 0


async def test_another_mapping_begins_anew_for_everybody(tmp_path: Path, sandbox: RunningSandbox, there: There) -> None:
    async with home(tmp_path, sandbox) as here:
        here.crm.add("ann@one.example", fields={"city": "Rome"})
        there.add({"Email": "bob@one.example", "City": "Oslo"})
        await sync(here)
    async with home(tmp_path, sandbox, fields={"City": "city"}) as here:
        await sync(here)
        assert there.cells("ann@one.example")["City"] == "Rome"
        assert here.crm.get("bob@one.example").fields == {"city": "Oslo"}
