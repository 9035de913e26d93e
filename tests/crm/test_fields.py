"""A custom field with a type holds one form of each value, and says no to everything else."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aicmo.crm import CRMRepository
from aicmo.crm.fields import Fields, canonical
from aicmo.crm.history import History
from aicmo.errors import InvalidInput, NotFound
from aicmo.store import Database
from aicmo.store.fields import TYPES

SIZES = ("S", "M", "XL")

FORMS = [
    ("text", " two  words ", "two words"),
    ("number", "007", "7"),
    ("number", "1 200.50", "1200.5"),
    ("number", "-0.0", "0"),
    ("number", "+3", "3"),
    ("date", "2026-11-24", "2026-11-24"),
    ("date", "2026-11-24T23:59:00Z", "2026-11-24"),
    ("date", "4.2.2026", "2026-02-04"),
    ("select", "xl", "XL"),
    ("multi", "xl, s;XL", "S; XL"),
    ("url", "Example.COM/Page", "https://example.com/Page"),
    ("url", "HTTP://example.com", "http://example.com"),
    ("bool", "TRUE", "yes"),
    ("bool", "0", "no"),
]


@pytest.mark.parametrize(("type", "text", "stored"), FORMS)
def test_a_value_has_one_form(type: str, text: str, stored: str) -> None:
    assert canonical(type, SIZES, text) == stored == canonical(type, SIZES, stored)


@pytest.mark.parametrize(
    ("type", "text"),
    [
        ("number", "1,5"),
        ("number", "1e3"),
        ("number", "٣"),
        ("number", "."),
        ("date", "11/24/2026"),
        ("date", "2026-02-30"),
        ("date", "30.2.2026"),
        ("select", "XXL"),
        ("multi", "S; XXL"),
        ("url", "javascript:alert(1)"),
        ("url", "ftp://example.com"),
        ("url", "two words.example"),
        ("url", "https://localhost"),
        ("url", "https://[::1"),
        ("url", "https://example.com:99999"),
        ("bool", "perhaps"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(type: str, text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        canonical(type, SIZES, text)
    assert refused.value.message.count(".") >= 1 and "\n" not in refused.value.message


@pytest.mark.parametrize("type", TYPES)
def test_nothing_is_no_value_of_any_type(type: str) -> None:
    assert canonical(type, SIZES, "  ") == ""


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4))
def test_a_number_keeps_its_value(number: Decimal) -> None:
    stored = canonical("number", (), f"{number:f}")
    assert Decimal(stored) == number and canonical("number", (), stored) == stored


@given(st.sampled_from(TYPES), st.text(max_size=30))
def test_whatever_is_typed_is_refused_or_has_a_form_that_stays(type: str, text: str) -> None:
    try:
        stored = canonical(type, SIZES, text)
    except InvalidInput:
        return
    assert canonical(type, SIZES, stored) == stored


@pytest.fixture
def fields(db: Database) -> Fields:
    return Fields(db)


def test_a_type_holds_for_whoever_is_added_or_edited(crm: CRMRepository, fields: Fields) -> None:
    fields.add("Budget", "number")
    with pytest.raises(InvalidInput, match=r"Budget: .*number"):
        crm.add("ada@example.com", fields={"budget": "much"})
    ada = crm.add("ada@example.com", fields={"budget": "1 000.0"})
    assert ada.fields == {"budget": "1000"}
    with pytest.raises(InvalidInput, match="Budget"):
        crm.edit(ada, {"field.budget": "1,5"})
    with pytest.raises(InvalidInput, match="Budget"):
        crm.edit_all("", {"field.budget": "x"})
    crm.edit(ada, {"field.budget": ""})
    assert crm.get("ada@example.com").fields == {}


def test_a_new_type_puts_what_is_there_into_its_form_and_can_be_undone(
    crm: CRMRepository, fields: Fields, db: Database
) -> None:
    crm.add("ada@example.com", fields={"budget": "01", "city": "Rome"})
    crm.add("bob@example.com", fields={"budget": "2"})
    fields.add("budget", "number", title="Money")
    assert [each.fields["budget"] for each in crm.list()] == ["1", "2"]
    undone = History(db).undo()
    assert undone is not None and undone.people == 1
    assert crm.get("ada@example.com").fields == {"budget": "01", "city": "Rome"}


def test_a_new_type_names_what_does_not_fit_it_and_changes_nothing(crm: CRMRepository, fields: Fields) -> None:
    for number in range(7):
        crm.add(f"p{number}@example.com", fields={"budget": f"much {number}"})
    crm.add("ok@example.com", fields={"budget": "01"})
    with pytest.raises(InvalidInput, match=r"7 values .*much 0” of p0@example.com.* and 2 more"):
        fields.add("budget", "number")
    assert fields.list() == () and crm.get("ok@example.com").fields == {"budget": "01"}


def test_a_field_is_changed_and_forgotten(crm: CRMRepository, fields: Fields) -> None:
    fields.add("size", "select", ["S", "M"])
    crm.add("ada@example.com", fields={"size": "m"})
    with pytest.raises(InvalidInput, match="1 values of size"):
        fields.change("size", options=["S"])
    assert fields.change("size", options=["s", "m", "l"], title="Shirt").options == ("s", "m", "l")
    assert crm.get("ada@example.com").fields == {"size": "m"}
    assert fields.change("size", type="text").options == ()
    fields.delete("size")
    assert fields.list() == () and crm.get("ada@example.com").fields == {"size": "m"}
    with pytest.raises(NotFound):
        fields.delete("size")


@pytest.mark.parametrize(
    ("name", "type", "options"),
    [
        ("email", "text", []),
        ("size", "colour", []),
        ("size", "select", []),
        ("size", "number", ["1"]),
        ("size", "select", ["a", "A"]),
        ("size", "multi", ["a;b"]),
        ("size", "select", [str(number) for number in range(201)]),
    ],
)
def test_what_is_no_field_is_refused(fields: Fields, name: str, type: str, options: list[str]) -> None:
    with pytest.raises(InvalidInput):
        fields.add(name, type, options)


def test_a_field_has_one_type(fields: Fields) -> None:
    fields.add("Budget", "number")
    with pytest.raises(InvalidInput, match="already"):
        fields.add("budget", "text")
