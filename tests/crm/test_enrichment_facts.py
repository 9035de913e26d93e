"""How what providers say is merged with what is known, whatever they say and in whatever order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aicmo.crm.enrichment.facts import OWN, conflicts, filled, known, same
from aicmo.store.contacts import Entry
from aicmo.store.lookups import Fact

FIELDS = (*OWN, "email", "city", "linkedin_url", "company_domain")
VALUES = st.sampled_from(
    ["", "Ada", "ada", "ADA  ", "https://www.x.example/in/ada/", "x.example/in/ada", "+44 20", "Bo"]
)
FACTS = st.dictionaries(st.sampled_from(FIELDS), VALUES.filter(bool))


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    own = {name: draw(VALUES) for name in OWN}
    custom = draw(st.dictionaries(st.sampled_from(("city", "linkedin_url")), VALUES.filter(bool)))
    return Entry("a@x.example", "a@x.example", **own, domain="x.example", stage="NEW", fields=custom, tags=frozenset())


def anything(_: str, text: str) -> str:
    return text


def said(facts: dict[str, str], provider: str = "p") -> list[Fact]:
    return [Fact(1, field, provider, text, "2026", None, 0) for field, text in facts.items()]


@given(entries(), FACTS)
def test_what_is_known_is_never_overwritten(entry: Entry, facts: dict[str, str]) -> None:
    new = filled(entry, facts, anything)
    for field in FIELDS:
        assert known(new, field) == (known(entry, field) or facts.get(field, ""))


@given(entries(), FACTS)
def test_filling_twice_is_filling_once(entry: Entry, facts: dict[str, str]) -> None:
    once = filled(entry, facts, anything)
    assert filled(once, facts, anything) == once


@given(entries(), FACTS, FACTS)
def test_two_providers_fill_the_same_fields_in_either_order_and_differ_in_the_same(
    entry: Entry, one: dict[str, str], other: dict[str, str]
) -> None:
    there = filled(filled(entry, one, anything), other, anything)
    back = filled(filled(entry, other, anything), one, anything)
    assert {field for field in FIELDS if known(there, field)} == {field for field in FIELDS if known(back, field)}
    facts = said(one, "one") + said(other, "other")
    assert {each.field for each in conflicts(1, there, facts)} == {each.field for each in conflicts(1, back, facts)}


@given(entries(), FACTS)
def test_every_fact_either_stands_or_is_a_conflict(entry: Entry, facts: dict[str, str]) -> None:
    new = filled(entry, facts, anything)
    differing = {each.field for each in conflicts(1, new, said(facts))}
    assert {field for field, text in facts.items() if not same(field, known(new, field), text)} == differing


@given(st.sampled_from(FIELDS), VALUES, VALUES, VALUES)
def test_to_say_the_same_is_an_equivalence(field: str, one: str, two: str, three: str) -> None:
    assert same(field, one, one)
    assert same(field, one, two) == same(field, two, one)
    assert not (same(field, one, two) and same(field, two, three)) or same(field, one, three)


def test_spelling_is_no_conflict() -> None:
    assert same("linkedin_url", "http://www.linkedin.com/in/ada/", "linkedin.com/in/Ada")
    assert same("phone", "+44 20 7946-0001", "+442079460001")
    assert not same("phone", "+44 20 7946 0001", "+44 20 7946 0002")
    assert not same("company", "www.acme", "acme")


@given(entries(), FACTS)
def test_what_does_not_fit_its_field_is_left_out(entry: Entry, facts: dict[str, str]) -> None:
    assert filled(entry, facts, lambda *_: None).fields == entry.fields
