"""Editing people: what others wrote meanwhile stays, what is done to many is one step, and every step can be undone."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime

import pytest

from aicmo.crm import CRMRepository
from aicmo.crm.editing import EXAMPLES
from aicmo.crm.fields import Fields
from aicmo.crm.history import History
from aicmo.errors import EditConflict, IllegalTransition, InvalidInput, NotFound
from aicmo.store import Database, open_database, stages, suppressions
from aicmo.store.suppressions import SuppressionReason


@pytest.fixture
def history(db: Database) -> History:
    return History(db)


def test_an_edit_changes_what_it_names_and_nothing_else(crm: CRMRepository) -> None:
    ada = crm.add("ada@example.com", first_name="Ada", title="Countess", fields={"city": "London"}, tags=["VIP"])
    crm.edit(ada, {"title": "", "field.Pet name": "Byron", "field.city": "Paris", "tag.vip": "", "tag.new": "New"})
    after = crm.get("ada@example.com")
    assert (after.first_name, after.title, after.tags) == ("Ada", "", ("New",))
    assert after.fields == {"city": "Paris", "pet_name": "Byron"}


def test_clearing_a_field_that_nobody_has_is_a_slip_and_names_the_nearest(crm: CRMRepository, db: Database) -> None:
    crm.add("ada@example.com", fields={"city": "London"})
    crm.add("bob@example.com")
    Fields(db).add("born", "date")
    assert crm.edit_all("bob@example.com", {"field.city": "", "field.born": ""}).changed == 0
    for change in (crm.edit_all, crm.preview):
        with pytest.raises(InvalidInput, match="There is no field “town”: nobody has it") as refused:
            change("", {"field.town": ""})
        assert refused.value.hint.endswith("stage, born, city.")
        with pytest.raises(InvalidInput) as refused:
            change("", {"field.titel": ""})
        assert refused.value.hint == "Did you mean title?"


@pytest.mark.parametrize(("reason", "follows"), [("unsubscribed", True), ("complained", True), ("bounced", False)])
def test_who_wants_no_mail_gets_none_at_another_address_either(
    reason: str, follows: bool, crm: CRMRepository, db: Database
) -> None:
    """A mailbox that is gone says nothing of the next one."""
    ada = crm.add("ada@example.com")
    db.write(
        lambda con: suppressions.add(con, ada.address, SuppressionReason(reason), "she said so", datetime.now(UTC))
    )
    crm.edit(ada, {"email": "ada@new.example"})
    assert db.read(lambda con: suppressions.reason_for(con, "ada@new.example")) == (reason if follows else "")
    assert db.read(lambda con: suppressions.reason_for(con, "ada@example.com")) == reason


def test_edits_that_do_not_overlap_are_merged(crm: CRMRepository) -> None:
    seen = crm.add("ada@example.com", title="Countess")
    crm.edit(seen, {"company": "Engines"})
    crm.edit(seen, {"title": "Programmer", "company": ""})  # the company as it was seen: that is no edit
    after = crm.get("ada@example.com")
    assert (after.title, after.company) == ("Programmer", "Engines")


def test_a_field_that_somebody_else_changed_is_shown_three_ways(crm: CRMRepository) -> None:
    seen = crm.add("ada@example.com", title="Countess", fields={"city": "London"})
    crm.edit(seen, {"title": "Lady", "field.city": "Paris"})
    with pytest.raises(EditConflict) as refused:
        crm.edit(seen, {"title": "Programmer", "field.city": "Paris", "phone": "1"})
    assert refused.value.conflicts == {"title": {"mine": "Programmer", "theirs": "Lady", "original": "Countess"}}
    assert refused.value.as_dict()["conflicts"] == refused.value.conflicts
    assert refused.value.exit_code == 6
    assert crm.get("ada@example.com").phone == ""


def test_both_saying_the_same_is_no_conflict(crm: CRMRepository) -> None:
    seen = crm.add("ada@example.com")
    crm.edit(seen, {"title": "Programmer", "tag.VIP": "VIP"})
    assert crm.edit(seen, {"title": "Programmer", "tag.vip": "vip"}).changed == 0


def test_a_changed_address_takes_its_domain_along_and_never_anothers(crm: CRMRepository, history: History) -> None:
    ada = crm.add("ada@one.example")
    crm.add("bob@one.example")
    with pytest.raises(InvalidInput) as refused:
        crm.edit(ada, {"email": "BOB@one.example"})
    assert "contact merge bob@one.example ada@one.example" in refused.value.hint
    result = crm.edit(ada, {"email": "Ada@two.example"})
    assert result.examples[0].after == {"email": "Ada@two.example"}
    moved = crm.get("ada@two.example")
    assert (moved.id, moved.email, moved.domain) == (ada.id, "Ada@two.example", "two.example")
    history.undo()
    assert crm.get("ada@one.example").domain == "one.example"


def test_somebody_who_is_gone_cannot_be_edited(crm: CRMRepository) -> None:
    ada = crm.add("ada@example.com")
    crm.delete("ada@example.com")
    with pytest.raises(NotFound):
        crm.edit(ada, {"title": "x"})


@pytest.mark.parametrize(
    "values",
    [
        {"titel": "x"},
        {"email": ""},
        {"stage": "warm"},
        {"field.email": "x"},
        {"tag.a,b": "a,b"},
        {"tag.a": "b"},
        {"title": "x" * 10_001},
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(crm: CRMRepository, values: dict[str, str]) -> None:
    ada = crm.add("ada@example.com")
    with pytest.raises(InvalidInput):
        crm.edit(ada, {"company": "Engines", **values})
    assert crm.get("ada@example.com") == ada


def test_a_command_line_that_names_somebody_runs_nothing_that_their_address_says(crm: CRMRepository) -> None:
    ada, odd = crm.add("ada@example.com"), "o'`id`|$x@a.dev"
    crm.add(odd)
    with pytest.raises(InvalidInput) as told:
        crm.add(odd)
    assert shlex.split(told.value.hint)[-4:] == ["aicmo", "contact", "show", odd]
    with pytest.raises(InvalidInput) as told:
        crm.edit(ada, {"email": odd})
    assert shlex.split(told.value.hint)[-4:] == ["contact", "merge", odd, "ada@example.com"]


def test_many_are_changed_alike_in_one_step(crm: CRMRepository, history: History, db: Database) -> None:
    for number in range(8):
        crm.add(f"p{number}@acme.example", title="Boss" if number == 0 else "", fields={"city": str(number)})
    before = crm.list()
    values = {"title": "Boss", "field.city": "", "tag.vip": "vip", "stage": "verified"}
    result = crm.edit_all("acme", values, because="met at the fair")
    assert (result.selected, result.changed, len(result.examples)) == (8, 8, EXAMPLES)
    assert result.examples[0].before == {"field.city": "0", "tag.vip": "", "stage": "NEW"}
    assert crm.count("stage:verified tag:vip") == 8 and not any(each.fields for each in crm.list())
    receipt = db.read(lambda c: stages.history(c, before[0].id))[0]
    assert (receipt.cause, receipt.change_id) == ("met at the fair", result.change_id)
    assert history.list()[0].summary == "Edited 8 people: title, vip, stage, city"
    undone = history.undo()
    assert undone is not None and (undone.people, undone.kept) == (8, ())
    known = ("email", "title", "stage", "fields", "tags")
    assert [[getattr(c, n) for n in known] for c in crm.list()] == [[getattr(c, n) for n in known] for c in before]


def test_one_who_would_step_back_holds_up_all(crm: CRMRepository) -> None:
    crm.add("ann@acme.example")
    crm.add("bob@acme.example", stage="engaged")
    with pytest.raises(IllegalTransition, match=r"bob@acme\.example"):
        crm.edit_all("acme", {"stage": "enriched", "title": "x"})
    assert {each.stage for each in crm.list()} == {"NEW", "ENGAGED"} and crm.count("field.title:x") == 0
    assert crm.edit_all("acme", {"stage": "enriched"}, demote=True).changed == 2


def test_people_cannot_be_given_one_address(crm: CRMRepository) -> None:
    crm.add("ann@acme.example")
    crm.add("bob@acme.example")
    with pytest.raises(InvalidInput, match="one address"):
        crm.edit_all("acme", {"email": "x@acme.example"})


def test_who_was_chosen_is_who_is_changed_whoever_came_since(crm: CRMRepository) -> None:
    crm.add("ann@acme.example")
    chosen = crm.select("acme")
    crm.add("bob@acme.example")
    assert crm.edit_all(chosen, {"title": "x"}).changed == 1


def test_the_deleted_come_back_with_all_that_is_theirs(crm: CRMRepository, history: History) -> None:
    for name in ("ann", "bob"):
        crm.add(f"{name}@acme.example", fields={"city": "Rome"}, tags=["vip"])
    before = crm.list()
    chosen = crm.select("acme")
    assert crm.delete(chosen).changed == 2
    assert crm.count() == 0
    assert crm.delete(chosen).changed == 0
    history.undo()
    assert crm.list() == before


def test_whoever_was_added_goes_when_that_is_undone(crm: CRMRepository, history: History) -> None:
    added = crm.add("ann@acme.example", tags=["vip"], fields={"city": "Rome"})
    history.undo()
    assert crm.count() == 0
    history.redo()
    assert crm.get("ann@acme.example") == added


def test_undo_and_redo_outlive_the_program(crm: CRMRepository, db: Database) -> None:
    ada = crm.add("ada@example.com")
    for number in range(60):
        crm.edit_all([ada.id], {"title": str(number)})
    db.close()
    other = open_database(db.path)
    history, again = History(other), CRMRepository(other)
    for _ in range(55):
        history.undo()
    assert again.get("ada@example.com").title == "4"
    for _ in range(55):
        history.redo()
    assert again.get("ada@example.com").title == "59"
    assert history.redo() is None
    other.close()


def test_undoing_a_step_keeps_and_names_what_was_changed_since(crm: CRMRepository, history: History) -> None:
    ada = crm.add("ada@example.com")
    step = crm.edit_all([ada.id], {"title": "Countess", "company": "Engines"}).change_id
    crm.edit_all([ada.id], {"title": "Programmer"})
    undone = history.undo(step)
    assert undone is not None
    assert [(each.email, each.field, each.now, each.wanted) for each in undone.kept] == [
        ("ada@example.com", "title", "Programmer", "")
    ]
    assert crm.get("ada@example.com").company == ""


def test_a_tag_that_is_spelled_another_way_is_the_same_tag(crm: CRMRepository, history: History) -> None:
    crm.add("ann@acme.example", tags=["VIP"])
    crm.add("bob@acme.example")
    assert crm.tag("acme", add=["vip"]).changed == 1
    assert crm.get("bob@acme.example").tags == ("VIP",)
    undone = history.undo()
    assert undone is not None and undone.kept == ()
    assert crm.get("bob@acme.example").tags == () and crm.get("ann@acme.example").tags == ("VIP",)


def test_taking_away_a_tag_that_nobody_has_says_so(crm: CRMRepository) -> None:
    crm.add("ann@acme.example", tags=["VIP"])
    crm.add("bob@acme.example")
    assert crm.tag("acme", remove=["vpi"]).warnings == ("Nobody has the tag “vpi”.",)
    assert crm.tag("bob@acme.example", remove=["vip"]).warnings == ()
    assert crm.tag("ann@acme.example", remove=["vip"]).warnings == ()
    assert crm.tag("ann@acme.example", remove=["vip"], add=["new"]).warnings == ("Nobody has the tag “vip”.",)
