from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aicmo.crm import CRMRepository
from aicmo.crm.query import parse_query
from aicmo.errors import QueryInvalid
from aicmo.store import Database, contacts
from aicmo.store.selection import Selection, Term


@pytest.fixture
def people(crm: CRMRepository) -> CRMRepository:
    crm.add(
        "zoe@mail.acme.example", first_name="Zoë", last_name="Müller", company="Acme Rockets", tags=["VIP", "press"]
    )
    crm.add(
        "jane.doe@acme.example", first_name="Jane", last_name="Doe", title="Head of Marketing", fields={"city": "Köln"}
    )
    crm.add("li@globex.example", first_name="Łukasz", last_name="O'Neil", company="Globex", tags=["vip", "new people"])
    crm.add("hostile@evil.example", first_name='a"b', last_name="[/x]", stage="ENGAGED")
    return crm


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", "zoe jane.doe li hostile"),
        ("zoe", "zoe"),
        ("ZOÉ", "zoe"),
        ("mul", "zoe"),
        ("jan doe", "jane.doe"),
        ("jane müller", ""),
        ("acme", "zoe jane.doe"),
        ("mark", "jane.doe"),
        ('"head of"', "jane.doe"),
        ('"of head"', ""),
        ('"head of mark"', ""),
        ("-acme", "li hostile"),
        ("tag:vip", "zoe li"),
        ("tag:VIP -tag:press", "li"),
        ('tag:"new people"', "li"),
        ("tag:unknown", ""),
        ("domain:acme.example", "zoe jane.doe"),
        ("domain:MAIL.acme.example", "zoe jane.doe"),
        ("-domain:acme.example tag:vip", "li"),
        ("stage:engaged", "hostile"),
        ("-stage:new", "hostile"),
        ("email:zoe@mail.acme.example", "zoe"),
        ("email:jane", "jane.doe"),
        ("company:glob", "li"),
        ('company:"Acme Rockets"', "zoe"),
        ("field.city:köln", "jane.doe"),
        ("-field.city:Köln tag:vip", "zoe li"),
        ("o'neil", "li"),
        ("jane.doe@acme.example", "jane.doe"),
        ("jane.doe@ac", "jane.doe"),
        ("***", ""),
        ("zoe & müller", "zoe"),
        ("zoe - müller", "zoe"),
        ("-(zoe or jane)", "li hostile"),
        ("--zoe", "zoe"),
        ("tag:vip zoe or li stage:new", "zoe li"),
        ("tag:vip (zoe or hostile)", "zoe"),
        ("(tag:press)or(hostile)", "zoe hostile"),
        ('email:"zoe@mail.acme.example"', "zoe"),
        ("-***", "zoe jane.doe li hostile"),
        ("NOT", ""),
        ("zoe OR jane", "zoe jane.doe"),
        ('zoe "or" jane', ""),
        ("first_name", ""),
        ("NEAR(zoe)", ""),
        ("^zoe", "zoe"),
        ("(zoe* ***)", "zoe"),
    ],
)
def test_a_query_finds(people: CRMRepository, query: str, found: str) -> None:
    names = [contact.address.partition("@")[0] for contact in people.list(query)]
    assert names == found.split()
    assert people.count(query) == len(names)


@pytest.mark.parametrize(
    ("query", "column", "hint"),
    [
        ("tga:vip", 0, "tag"),
        ("jane compny:acme", 5, "company"),
        ("jane -tga:vip", 6, "tag"),
        ("http://acme.example", 0, "quotes"),
        ('jane "head of', 5, "Close"),
        ('tag:"vip', 4, "Close"),
        ('jane"doe"', 4, "spaces"),
        ("tag:", 4, "quoted"),
        ('jane tag:""', 11, "quoted"),
        ("stage:engagd", 6, "engaged"),
        ("(zoe", 0, "quotes"),
        ("zoe (jane (li)", 4, "quotes"),
        ("zoe)", 3, "quotes"),
        ("zoe ()", 5, "tag:vip"),
        ("zoe or", 6, '"or"'),
        ("or zoe", 0, '"or"'),
        ("zoe -", 5, "-tag:vip"),
        ("tag:(a or b)", 4, "quoted"),
        ("score:>=high", 6, "score:>=60"),
        ("created:30d", 8, "created:<30d"),
        ("created:<30days", 8, "<30d"),
        ("created:2026-02-30", 8, "2026-01-31"),
        ("created:>9999-12-31", 8, "2026-01-31"),
        ("created:<100y", 8, "today"),
        ("next:<9999y", 5, "overdue"),
        ("last_reply:soon", 11, "<30d"),
        ("next:yesterdy", 5, "overdue"),
        ("verified:vald", 9, "valid"),
        ("suppressed:unsubscribd", 11, "unsubscribed"),
        ("has:phon", 4, "phone"),
        ("clicked:all", 8, "any"),
        ("import:99999999999999999999", 7, "import:3"),
        ("field.size:>=big", 11, "number"),
        ('jane segment:"Big', 13, "Close"),
        ("segment:big", 8, "segment create"),
        (" ".join(["x"] * 501), 1000, "Tag"),
        ("(" * 51 + "x" + ")" * 51, 50, "Take"),
    ],
)
def test_what_cannot_be_understood_is_pointed_at(query: str, column: int, hint: str) -> None:
    with pytest.raises(QueryInvalid) as refusal:
        parse_query(query)
    assert (refusal.value.query, refusal.value.column) == (query, column)
    assert hint in refusal.value.hint


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=40) | st.text(alphabet='"-*:()^{}+ ANDORT.\0', max_size=20))
def test_free_text_is_never_search_syntax(db: Database, text: str) -> None:
    for field in ("text", "email", "company", "tag", "domain", "field.city"):
        for phrase in (False, True):
            selection = Selection(Term(field, text, phrase=phrase))
            assert db.read(lambda connection, chosen=selection: contacts.count(connection, chosen)) == 0
    try:
        parse_query(text)
    except QueryInvalid as refusal:
        assert 0 <= refusal.column <= len(text)
