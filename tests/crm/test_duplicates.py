"""The search for duplicates as its callers use it: found once, held against the store, taken back."""

from __future__ import annotations

import pytest

from aicmo.crm import CRMRepository
from aicmo.crm.duplicates import Duplicates
from aicmo.crm.history import History
from aicmo.crm.similarity import SCORES, Pair
from aicmo.errors import NotFound
from aicmo.store import Database

NAMES = {"first_name": "Jane", "last_name": "Doe"}


@pytest.fixture
def duplicates(db: Database, crm: CRMRepository) -> Duplicates:
    return Duplicates(db, crm)


def addresses(pairs: list[Pair]) -> list[tuple[str, str]]:
    return [pair.emails for pair in pairs]


def test_a_pair_that_names_one_who_was_merged_names_who_survived(crm: CRMRepository, duplicates: Duplicates) -> None:
    for email in ("jane@acme.example", "jane+a@acme.example", "jane+b@acme.example"):
        crm.add(email, **NAMES)
    found = duplicates.find()
    assert len(found) == 3
    duplicates.merge("jane@acme.example", "jane+b@acme.example")
    assert addresses(duplicates.still(found)) == [("jane@acme.example", "jane+a@acme.example")]


def test_what_was_undone_told_apart_or_deleted_shows_in_what_was_found(
    crm: CRMRepository, duplicates: Duplicates, db: Database
) -> None:
    one, two = "jane@acme.example", "jane+a@acme.example"
    crm.add(one, **NAMES)
    crm.add(two, **NAMES)
    found = duplicates.find()
    history = History(db)
    for begin, take_back in (
        (lambda: duplicates.merge(two, one), history.undo),
        (lambda: duplicates.tell_apart(two, one), lambda: duplicates.forget_telling_apart(one, two)),
        (lambda: crm.delete(two), history.undo),
    ):
        begin()
        assert duplicates.still(found) == []
        take_back()
        assert duplicates.still(found) == found


def test_two_pairs_that_become_one_share_their_reasons(crm: CRMRepository, duplicates: Duplicates) -> None:
    crm.add("jane@acme.example", phone="030 1234567")
    crm.add("other@b.example", phone="030 1234567", **NAMES)
    crm.add("other+x@b.example", **NAMES)
    found = duplicates.find()
    duplicates.merge("jane@acme.example", "other+x@b.example")
    (pair,) = duplicates.still(found)
    assert pair.emails == ("jane@acme.example", "other@b.example")
    assert {reason.sign for reason in pair.reasons} == {"phone", "address", "name and company"}
    assert pair.names == ("Jane Doe", "Jane Doe"), "as they are now"


def test_a_new_address_or_name_shows_in_what_was_found(crm: CRMRepository, duplicates: Duplicates) -> None:
    crm.add("jane@acme.example", **NAMES)
    crm.add("jane+a@acme.example", **NAMES)
    found = duplicates.find()
    crm.edit_all("jane+a@acme.example", {"email": "j.doe@new.example", "first_name": "Janet"})
    (pair,) = duplicates.still(found)
    assert (pair.emails[1], pair.names[1], pair.is_exact) == ("j.doe@new.example", "Janet Doe", False)


def test_only_who_was_told_apart_can_be_put_together_again(crm: CRMRepository, duplicates: Duplicates) -> None:
    crm.add("a@x.example")
    crm.add("b@x.example")
    with pytest.raises(NotFound, match="Nobody said"):
        duplicates.forget_telling_apart("a@x.example", "b@x.example")


def test_a_choice_is_named_as_the_plan_names_it(crm: CRMRepository, duplicates: Duplicates) -> None:
    crm.add("a@x.example", fields={"city": "Rome"})
    crm.add("b@x.example", fields={"city": "Paris"})
    (choice,) = duplicates.plan("a@x.example", "b@x.example").choices
    duplicates.merge("a@x.example", "b@x.example", {choice.field: choice.other})
    assert crm.get("a@x.example").fields == {"city": "Paris"}


def test_one_name_is_not_counted_twice(crm: CRMRepository, duplicates: Duplicates) -> None:
    crm.add("jane@gmail.com", company="acme.example", **NAMES)
    crm.add("jane.doe@acme.example", company="acme.example", **NAMES)
    (pair,) = duplicates.find()
    assert [reason.sign for reason in pair.reasons] == ["name and company"]
    assert pair.score == SCORES["name and company"]


@pytest.mark.parametrize("stops_at", [0.0, 0.5])
def test_a_search_is_stopped_wherever_it_is(crm: CRMRepository, duplicates: Duplicates, stops_at: float) -> None:
    crm.add("jane@acme.example", **NAMES)
    crm.add("jane+a@acme.example", **NAMES)
    seen: list[float] = []
    assert duplicates.find(progress=seen.append, cancelled=lambda: seen[-1] >= stops_at) == []
    assert seen == sorted(seen) and seen[-1] >= stops_at


def test_progress_ends_at_all_of_it(crm: CRMRepository, duplicates: Duplicates) -> None:
    crm.add("jane@acme.example", **NAMES)
    seen: list[float] = []
    duplicates.find(progress=seen.append)
    assert seen[0] == 0.0 and seen[-1] == 1.0


@pytest.mark.parametrize("survivor", ["a@x.example", "c@z.example"])
def test_two_who_were_told_apart_stay_so_whoever_one_of_them_is_merged_into(
    crm: CRMRepository, duplicates: Duplicates, db: Database, survivor: str
) -> None:
    for email in ("a@x.example", "b@y.example", "c@z.example", "d@w.example"):
        crm.add(email, phone="030 1234567")
    other = "c@z.example" if survivor == "a@x.example" else "a@x.example"
    duplicates.tell_apart(other, "b@y.example")
    change = duplicates.merge(survivor, other).change_id
    assert tuple(sorted((survivor, "b@y.example"))) not in addresses(duplicates.find())
    History(db).undo(change)
    left = addresses(duplicates.find())
    assert tuple(sorted((other, "b@y.example"))) not in left and tuple(sorted((survivor, "b@y.example"))) in left
