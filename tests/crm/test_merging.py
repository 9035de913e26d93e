"""Two records of one person become one, and can become two again."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from typing import Any

import pytest
from held import everything
from hypothesis import given, settings
from hypothesis import strategies as st

from aicmo.crm import CRMRepository
from aicmo.crm.duplicates import Duplicates
from aicmo.crm.history import History, told
from aicmo.crm.merging import better_of, merge, plan_merge
from aicmo.crm.similarity import find_duplicates, mail_variant, phone_key, profile_key
from aicmo.crm.timeline import Timeline
from aicmo.errors import IllegalTransition, InvalidInput
from aicmo.store import (
    Database,
    changes,
    contacts,
    duplicates,
    events,
    next_actions,
    open_database,
    stages,
    suppressions,
    undoing,
)
from aicmo.store.contacts import STAGES, Contact, Entry
from aicmo.store.suppressions import SuppressionReason

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def entry(address: str, **known: Any) -> Entry:
    domain = address.partition("@")[2]
    return Entry(address, address, "", "", "", "", "", domain, "NEW", {}, frozenset())._replace(**known)


def add(db: sqlite3.Connection, *entries: Entry) -> list[Contact]:
    contacts.insert(db, entries, NOW)
    return [found for each in entries if (found := contacts.get(db, each.address)) is not None]


def test_the_survivor_has_the_best_of_both(db: Database) -> None:
    def work(connection: sqlite3.Connection) -> None:
        ada, other = add(
            connection,
            entry("ada@x.example", title="Countess", tags=frozenset({"vip"}), stage="VERIFIED"),
            entry("ada.l@y.example", title="Analyst", phone="123", tags=frozenset({"Trial"}), stage="ENGAGED",
                  fields={"city": "London"}),
        )  # fmt: skip
        events.add(connection, events.Event(other.id, "replied", NOW, human=True))
        merge(connection, ada, other, {}, "you", NOW)
        survivor = contacts.get(connection, "ada@x.example")
        assert survivor is not None
        assert (survivor.title, survivor.phone, survivor.stage) == ("Countess", "123", "ENGAGED")
        assert (survivor.fields, survivor.tags) == ({"city": "London"}, ("Trial", "vip"))
        assert [event.kind for event in events.of(connection, survivor.id)] == ["replied"]
        assert contacts.count(connection) == 1
        assert stages.history(connection, survivor.id)[-1].cause == "merged with one who was ENGAGED"

    db.write(work)


def test_a_person_chooses_what_the_survivor_says(db: Database) -> None:
    def work(connection: sqlite3.Connection) -> None:
        ada, other = add(connection, entry("ada@x.example", title="Countess"), entry("a@y.example", title="Analyst"))
        assert [(c.field, c.kept, c.other) for c in plan_merge(connection, ada, other).choices] == [
            ("title", "Countess", "Analyst")
        ]
        merge(connection, ada, other, {"title": "Both"}, "you", NOW)
        survivor = contacts.get(connection, "ada@x.example")
        assert survivor is not None and survivor.title == "Both"

    db.write(work)


@pytest.mark.parametrize("field", ["stage", "email", "nonsense"])
def test_what_cannot_be_chosen_is_refused(db: Database, field: str) -> None:
    def work(connection: sqlite3.Connection) -> None:
        ada, other = add(connection, entry("ada@x.example"), entry("a@y.example"))
        with pytest.raises(InvalidInput):
            merge(connection, ada, other, {field: "x"}, "you", NOW)

    db.write(work)


def test_nobody_is_merged_with_themselves(db: Database) -> None:
    def work(connection: sqlite3.Connection) -> None:
        (ada,) = add(connection, entry("ada@x.example"))
        with pytest.raises(InvalidInput, match="one record already"):
            plan_merge(connection, ada, ada)

    db.write(work)


@pytest.mark.parametrize("opted_out", ["ada@x.example", "a@y.example"])
def test_an_opt_out_of_either_holds_for_both_and_stays_when_the_merge_is_undone(db: Database, opted_out: str) -> None:
    def work(connection: sqlite3.Connection) -> None:
        ada, other = add(connection, entry("ada@x.example"), entry("a@y.example"))
        assert plan_merge(connection, ada, other).suppressed == {}
        suppressions.add(connection, opted_out, SuppressionReason.UNSUBSCRIBED, "a mail", NOW)
        assert plan_merge(connection, ada, other).suppressed == {opted_out: "unsubscribed"}
        merged = merge(connection, ada, other, {}, "you", NOW)
        assert suppressions.reason_for(connection, ada.address) == "unsubscribed"
        undoing.undo(connection, merged.change_id, "you", NOW)
        assert suppressions.reason_for(connection, ada.address) == "unsubscribed"
        assert suppressions.reason_for(connection, other.address) == "unsubscribed"

    db.write(work)


def test_what_happened_after_a_merge_stays_with_the_survivor(db: Database) -> None:
    def work(connection: sqlite3.Connection) -> None:
        ada, other = add(connection, entry("ada@x.example"), entry("a@y.example"))
        events.add(connection, events.Event(other.id, "note", NOW, text="theirs"))
        merged = merge(connection, ada, other, {}, "you", NOW)
        events.add(connection, events.Event(ada.id, "note", NOW, text="since"))
        assert len(events.of(connection, ada.id)) == 2
        undoing.undo(connection, merged.change_id, "you", NOW)
        assert [event.text for event in events.of(connection, ada.id)] == ["since"]
        assert [event.text for event in events.of(connection, other.id)] == ["theirs"]

    db.write(work)


def test_a_merge_of_merged_people_is_undone_step_by_step(db: Database) -> None:
    def work(connection: sqlite3.Connection) -> None:
        one, two, three = add(connection, entry("a@x.example"), entry("b@x.example"), entry("c@x.example"))
        before = everything(connection)
        first = merge(connection, two, three, {}, "you", NOW)
        between = everything(connection)
        second = merge(connection, one, two, {}, "you", NOW)
        aliases = {row["address"]: row["contact_id"] for row in connection.execute("SELECT * FROM alias")}
        assert aliases == {"b@x.example": one.id, "c@x.example": one.id}
        undoing.undo(connection, second.change_id, "you", NOW)
        assert everything(connection) == between
        undoing.undo(connection, first.change_id, "you", NOW)
        assert everything(connection) == before
        assert connection.execute("SELECT count(*) FROM alias").fetchone()[0] == 0

    db.write(work)


def test_a_merge_whose_survivor_went_on_to_another_is_not_undone_before_that_one(
    db: Database, crm: CRMRepository
) -> None:
    for email in ("a@x.example", "b@x.example", "c@x.example"):
        crm.add(email)
    note = events.Event(crm.get("c@x.example").id, "note", NOW, text="theirs")
    db.write(lambda connection: events.add(connection, note))
    before, history, both = db.read(everything), History(db), Duplicates(db, crm)
    first = both.merge("b@x.example", "c@x.example").change_id
    second = both.merge("a@x.example", "b@x.example").change_id
    merged = db.read(everything)
    with pytest.raises(IllegalTransition) as refused:
        history.undo(first)
    assert f"aicmo undo {second}" in refused.value.hint and db.read(everything) == merged
    history.undo(second)
    history.undo(first)
    assert db.read(everything) == before
    history.redo(second)
    with pytest.raises(IllegalTransition):
        history.redo(first)


def test_whoever_others_were_merged_into_stays_when_their_coming_is_undone(db: Database, crm: CRMRepository) -> None:
    crm.add("a@x.example")
    coming = History(db).list()[0]
    crm.add("b@x.example")
    Duplicates(db, crm).merge("a@x.example", "b@x.example")
    turned = History(db).undo(coming.id)
    assert turned is not None and list(told(turned.kept)) == ["a@x.example stays, because of what came since: merge."]
    assert crm.get("b@x.example").email == "a@x.example"


def test_several_who_are_one_person_become_the_best_of_them_and_what_they_were_again(
    db: Database, crm: CRMRepository
) -> None:
    crm.add("j.doe@gmail.com", phone="030 1234567")
    crm.add("jdoe@gmail.com", title="Countess", company="Acme")
    last = crm.add("jdoe+x@gmail.com")
    crm.edit_all([last.id], {"stage": "ENGAGED"})
    note = events.Event(crm.get("j.doe@gmail.com").id, "note", NOW, text="theirs")
    db.write(lambda connection: events.add(connection, note))
    before = db.read(everything)
    both = Duplicates(db, crm)
    done = both.merge_pairs([pair for pair in both.find() if pair.is_exact])
    assert [each.survivor for each in done.merged] == ["jdoe+x@gmail.com"] * 2
    survivor = crm.get("jdoe@gmail.com")
    assert (survivor.stage, survivor.title, survivor.phone) == ("ENGAGED", "Countess", "030 1234567")
    History(db).undo(done.change_id)
    assert db.read(everything) == before


def test_two_who_were_told_apart_stay_two_though_a_third_resembles_both(db: Database, crm: CRMRepository) -> None:
    for email in ("j.doe@gmail.com", "jdoe@gmail.com", "jdoe+x@gmail.com"):
        crm.add(email)
    both = Duplicates(db, crm)
    both.tell_apart("j.doe@gmail.com", "jdoe@gmail.com")
    assert len(both.merge_pairs(both.find()).merged) == 1
    assert crm.get("j.doe@gmail.com").id != crm.get("jdoe@gmail.com").id


WORDS = st.sampled_from(["", "a", "b"])
PEOPLE = st.builds(
    lambda title, company, city, tags, stage: {
        "title": title,
        "company": company,
        "fields": {"city": city} if city else {},
        "tags": frozenset(tags),
        "stage": stage,
    },
    WORDS,
    WORDS,
    WORDS,
    st.lists(st.sampled_from(["vip", "trial", "old"])),
    st.sampled_from(STAGES),
)


@settings(max_examples=60, deadline=None)
@given(
    first=PEOPLE,
    second=PEOPLE,
    notes=st.lists(st.integers(0, 1), max_size=4),
    planned=st.sets(st.integers(0, 1)),
    checked=st.sets(st.integers(0, 1)),
    agreed=st.sets(st.integers(0, 1)),
)
def test_merging_and_undoing_changes_nothing_and_redoing_merges_again(
    tmp_path_factory: pytest.TempPathFactory,
    first: dict[str, Any],
    second: dict[str, Any],
    notes: list[int],
    planned: set[int],
    checked: set[int],
    agreed: set[int],
) -> None:
    def work(connection: sqlite3.Connection) -> None:
        both = add(connection, entry("a@x.example", **first), entry("b@y.example", **second))
        ids = [each.id for each in both]
        for place, which in enumerate(notes):
            events.add(connection, events.Event(ids[which], "note", NOW, text=str(place), origin=f"n{place}"))
        for which in planned:
            next_actions.set_state(connection, ids[which], {"next.due": "2026-12-01", "next.text": "call"}, NOW)
        for which in checked:
            sql = "INSERT INTO verification VALUES (?, 'valid', '', 'mx', '2026-01-01')"
            connection.execute(sql, (ids[which],))
            sql = """INSERT INTO enrichment (contact_id, field, provider, value, at)
                     VALUES (?, 'title', 'apollo', 'Boss', '2026-01-01')"""
            connection.execute(sql, (ids[which],))
        for which in agreed:
            sql = "INSERT INTO consent (contact_id, purpose, given, source, at) VALUES (?, 'news', 1, 'form', '2026')"
            connection.execute(sql, (ids[which],))
        before = everything(connection)
        merged = merge(connection, both[0], both[1], {}, "you", NOW)
        after = everything(connection)
        assert contacts.count(connection) == 1
        assert len(events.of(connection, ids[0])) == len(notes)
        assert undoing.undo(connection, merged.change_id, "you", NOW).kept == ()
        assert everything(connection) == before
        assert undoing.redo(connection, merged.change_id, "you", NOW).kept == ()
        assert everything(connection) == after
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []

    database = open_database(tmp_path_factory.mktemp("merge") / "aicmo.db")
    try:
        database.write(work)
    finally:
        database.close()


@settings(max_examples=60, deadline=None)
@given(first=PEOPLE, second=PEOPLE)
def test_who_survives_does_not_depend_on_who_is_named_first(first: dict[str, Any], second: dict[str, Any]) -> None:
    def contact(number: int, known: dict[str, Any]) -> Contact:
        address = f"{number}@x.example"
        tags = tuple(sorted(known["tags"]))
        return Contact(number, address, address, "", "", known["company"], known["title"], "", "x.example",
                       known["stage"], known["fields"], tags, "", "")  # fmt: skip

    one, two = contact(1, first), contact(2, second)
    assert better_of(one, two) == better_of(two, one)


# --- finding them -----------------------------------------------------------------------------------------------------


def found(db: Database, *entries: Entry) -> list[tuple[set[str], float, list[str]]]:
    db.write(lambda connection: add(connection, *entries))
    pairs = db.read(find_duplicates)
    return [(set(pair.emails), pair.score, [reason.sign for reason in pair.reasons]) for pair in pairs]


@pytest.mark.parametrize(
    ("one", "two", "signs"),
    [
        (entry("jane.doe@gmail.com"), entry("janedoe+news@googlemail.com"), ["address"]),
        (entry("jane@acme.example"), entry("jane+trial@acme.example"), ["address"]),
        (
            entry("j@a.example", fields={"linkedin": "https://www.linkedin.com/in/jane/"}),
            entry("k@b.example", fields={"linkedin": "linkedin.com/in/Jane"}),
            ["profile"],
        ),
        (entry("j@a.example", phone="+49 30 1234567"), entry("k@b.example", phone="030/1234567"), ["phone"]),
        (
            entry("jane@acme.example", first_name="Jane", last_name="Doe"),
            entry("j.doe@acme.example", first_name="Doe", last_name="Jané"),
            ["name and company"],
        ),
        (
            entry("jane@acme.example", first_name="Katherine", last_name="Johnson"),
            entry("kj@acme.example", first_name="Katharine", last_name="Johnson"),
            ["similar name and company"],
        ),
        (
            entry("jane@gmail.com", first_name="Jane", last_name="Doe", company="Acme Ltd."),
            entry("jd@web.de", first_name="Jane", last_name="Doe", company="ACME Ltd"),
            ["name and company"],
        ),
        (
            entry("a@a.example", first_name="Jane", last_name="Doe", phone="030 1234567"),
            entry("b@b.example", first_name="Jane", last_name="Doe", phone="0049301234567"),
            ["phone", "name"],
        ),
    ],
)
def test_a_pair_is_found_with_its_reasons(db: Database, one: Entry, two: Entry, signs: list[str]) -> None:
    ((emails, score, reasons),) = found(db, one, two, entry("nobody@else.example", first_name="Max", last_name="Bo"))
    assert emails == {one.email, two.email}
    assert reasons == signs and 0.6 <= score <= 1.0


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (entry("a@gmail.com"), entry("b@gmail.com")),
        (entry("a@x.example", first_name="Jane", last_name="Doe"), entry("b@y.example", first_name="Jane",
                                                                         last_name="Doe")),
        (entry("jane@acme.example", first_name="Jane", last_name="Doe"),
         entry("john@acme.example", first_name="Ulf", last_name="Smith")),
    ],
)  # fmt: skip
def test_two_people_are_two(db: Database, one: Entry, two: Entry) -> None:
    assert found(db, one, two) == []


def test_a_switchboard_makes_nobody_a_duplicate(db: Database) -> None:
    staff = [entry(f"{name}@acme.example", phone="030 1234567") for name in "abcdefghijklmno"]
    assert found(db, *staff) == []


def test_a_persons_word_that_they_are_two_is_remembered(db: Database) -> None:
    assert len(found(db, entry("jane.doe@gmail.com"), entry("janedoe@gmail.com"))) == 1
    (pair,) = db.read(find_duplicates)
    db.write(lambda connection: duplicates.tell_apart(connection, pair.ids[1], pair.ids[0], NOW))
    assert db.read(find_duplicates) == []
    assert db.write(lambda connection: duplicates.forget_telling_apart(connection, *pair.ids))
    assert len(db.read(find_duplicates)) == 1


def test_only_what_differs_in_spelling_is_offered_in_bulk(db: Database) -> None:
    found(
        db,
        entry("jane.doe@gmail.com", first_name="Jane", last_name="Doe"),
        entry("janedoe@gmail.com", first_name="jane", last_name="doe"),
        entry("family@x.example", first_name="Tom", last_name="Lee"),
        entry("family+tim@x.example", first_name="Tim", last_name="Lee"),
    )
    assert {pair.emails: pair.is_exact for pair in db.read(find_duplicates)} == {
        ("jane.doe@gmail.com", "janedoe@gmail.com"): True,
        ("family@x.example", "family+tim@x.example"): False,
    }


@pytest.mark.parametrize(
    ("make", "spellings"),
    [
        (mail_variant, ("jane.doe@gmail.com", "j.a.n.e.doe+x@googlemail.com", "janedoe@gmail.com")),
        (profile_key, ("https://www.linkedin.com/in/Jane/", "linkedin.com/in/jane", "http://linkedin.com/in/jane?x=1")),
        (phone_key, ("+49 (0)30 / 123 45 67-8", "030 12345678", "0049 30 12345678")),
    ],
)
def test_spellings_have_one_key(make: Any, spellings: tuple[str, ...]) -> None:
    assert len({make(each) for each in spellings}) == 1


@pytest.mark.parametrize("nothing", ["", "n/a", "12", "-"])
def test_what_says_nothing_has_no_key(nothing: str) -> None:
    assert phone_key(nothing) == "" and profile_key(nothing) == ""


# --- the address of one who was merged away ---------------------------------------------------------------------------


def test_who_was_merged_away_is_found_by_their_address_and_not_added_again(db: Database) -> None:
    crm = CRMRepository(db)
    ada, other = crm.add("ada@x.example"), crm.add("a@y.example")
    crm.add("bob@x.example")
    db.write(lambda connection: merge(connection, ada, other, {}, "you", NOW))
    assert crm.get("A@y.example").email == "ada@x.example"
    with pytest.raises(InvalidInput, match="already a contact"):
        crm.add("a@y.example")
    with pytest.raises(InvalidInput, match="another contact's already"):
        crm.edit(crm.get("bob@x.example"), {"email": "a@y.example"})
    assert crm.count() == 2


def test_a_verdict_on_an_address_goes_with_the_address(db: Database) -> None:
    crm = CRMRepository(db)
    ada = crm.add("ada@x.example")
    sql = "INSERT INTO verification VALUES (?, 'valid', '', 'mx', '2026-01-01')"
    db.write(lambda connection: connection.execute(sql, (ada.id,)).rowcount)
    crm.edit(ada, {"title": "Countess"})
    assert crm.count("verified:valid") == 1
    crm.edit(crm.get("ada@x.example"), {"email": "ada@y.example"})
    assert crm.count("verified:valid") == 0


def test_whose_step_it_was_is_told_however_much_was_changed_since(db: Database) -> None:
    crm = CRMRepository(db)
    ada, other = crm.add("ada@x.example"), crm.add("ada@y.example")
    crm.edit(other, {"stage": "ENGAGED"}, because="met at the fair")
    db.write(lambda c: merge(c, ada, crm.get("ada@y.example"), {}, "you", NOW))
    bob = crm.add("bob@x.example")
    for number in range(changes.KEPT_STEPS + 1):
        crm.edit_all([bob.id], {"title": str(number)})
    steps = Timeline(db).why(ada.id).steps
    assert [(each.cause, each.of) for each in steps if each.of] == [("met at the fair", "ada@y.example")]
