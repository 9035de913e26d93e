"""A person can see all that is held about them, and have it erased; what stays is that they must not be written to."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aicmo.crm import CRMRepository
from aicmo.crm.domains import registrable
from aicmo.crm.merging import merge
from aicmo.crm.rights import Rights
from aicmo.errors import InvalidInput, NotFound
from aicmo.store import Database, contacts, events, people, suppressions
from aicmo.store.erasure import FILE_ENDINGS

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def rights(db: Database, crm: CRMRepository) -> Iterator[Rights]:
    yield Rights(db, crm, db.path.parent)


def campaign_to(db: Database, *addresses: str) -> None:
    """Everybody got a campaign, whose server answered with their address."""

    def work(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO content VALUES (1, 'email', 'Autumn', '2026')")
        connection.execute(
            "INSERT INTO campaign (id, name, content_id, audience, created_at) VALUES (1, 'Autumn', 1, '', '2026')"
        )
        for address in addresses:
            connection.execute(
                """INSERT INTO delivery (campaign_id, address, contact_id, state, reason, at)
                   VALUES (1, ?1, (SELECT id FROM contact WHERE address = ?1), 'sent', '250 ok for ' || ?1, '2026')""",
                (address,),
            )

    db.write(work)


def raw_bytes(db: Database) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(db.path.parent.iterdir())).lower()


def test_an_erased_address_is_nowhere_in_the_files_and_stays_suppressed(
    db: Database, crm: CRMRepository, rights: Rights, tmp_path: Path
) -> None:
    crm.add("Jane.Secretname@Hidden-Corp.example", first_name="Janequx", tags=["vip"])
    crm.add("other@y.example")
    crm.add("jane.secretname+old@hidden-corp.example", last_name="Oldqux")
    jane = crm.get("jane.secretname@hidden-corp.example")
    crm.edit(jane, {"title": "Countessqux"})
    other, old = crm.get("other@y.example"), crm.get("jane.secretname+old@hidden-corp.example")

    def more(connection: sqlite3.Connection) -> None:
        events.add(connection, events.Event(jane.id, "note", NOW, text="likes engines"))
        text = "spoke about JANE.SECRETNAME@hidden-corp.example"
        events.add(connection, events.Event(other.id, "note", NOW, text=text))
        merge(connection, crm_now(connection, jane.address), crm_now(connection, old.address), {}, "you", NOW)

    campaign_to(db, "jane.secretname@hidden-corp.example", "other@y.example")
    db.write(more)
    assert b"secretname" in raw_bytes(db)
    done = rights.erase(["jane.secretname@hidden-corp.example"])
    assert (done.people, done.addresses, done.remaining_in) == (1, 2, ())
    for trace in (b"secretname", b"janequx", b"countessqux", b"oldqux", b"hidden-corp", b"likes engines"):
        assert trace not in raw_bytes(db), trace
    with pytest.raises(NotFound):
        crm.get("jane.secretname@hidden-corp.example")
    assert crm.count() == 1
    for address in ("jane.secretname@hidden-corp.example", "jane.secretname+old@hidden-corp.example"):
        assert db.read(lambda each, address=address: suppressions.reason_for(each, address)) == "manual"
    crm.add("jane.secretname@hidden-corp.example")
    back = crm.get("jane.secretname@hidden-corp.example")
    assert db.read(lambda each: suppressions.reason_for(each, back.address)) == "manual"
    assert db.read(lambda each: each.execute("PRAGMA integrity_check").fetchone()[0]) == "ok"
    ledger = db.read(lambda each: [dict(row) for row in each.execute("SELECT address, state FROM delivery")])
    assert [row["state"] for row in ledger] == ["sent", "sent"], "the counts of a campaign still add up"


def crm_now(connection: sqlite3.Connection, address: str) -> contacts.Contact:
    found = contacts.get(connection, address)
    assert found is not None
    return found


def test_an_address_they_had_before_goes_too_unless_it_is_another_persons_now(
    db: Database, crm: CRMRepository, rights: Rights
) -> None:
    jane = crm.add("jane.secretname@hidden-corp.example")
    crm.edit(jane, {"email": "jane.mistyped@hidden-corp.example"})
    crm.edit(crm.get("jane.mistyped@hidden-corp.example"), {"email": "joe@hidden-corp.example"})
    crm.edit(crm.get("joe@hidden-corp.example"), {"email": "jane@home.example"})
    crm.add("joe@hidden-corp.example")
    campaign_to(db, "jane@home.example")
    crm.edit(crm.get("jane@home.example"), {"email": "jane@other.example"})
    assert rights.erase(["jane@other.example"]).addresses == 4
    raw = raw_bytes(db)
    assert all(word not in raw for word in (b"jane.secretname", b"jane.mistyped", b"jane@home", b"jane@other"))
    reasons = db.read(
        lambda connection: [
            suppressions.reason_for(connection, address)
            for address in ("jane.secretname@hidden-corp.example", "jane@home.example", "joe@hidden-corp.example")
        ]
    )
    assert reasons == ["manual", "manual", ""]
    assert crm.get("joe@hidden-corp.example").email == "joe@hidden-corp.example"


def test_who_is_called_alike_is_left_as_they_are(db: Database, crm: CRMRepository, rights: Rights) -> None:
    crm.add("ann@x.example")
    alike = ("joann@x.example", "jo.ann@x.example", "jo-ann@x.example", "o'ann@x.example", "ann@x.example.com")
    for address in alike:
        crm.edit(crm.add(address), {"title": f"Called {address}"})
    campaign_to(db, "joann@x.example")
    history = changes_of(db)
    done = rights.erase(["ann@x.example"])
    assert (done.mentioned_in, done.remaining_in) == ((), ())
    assert [crm.get(address).email for address in alike] == list(alike)
    assert [crm.get(address).title for address in alike if "'" not in address] == [
        f"Called {address}" for address in alike if "'" not in address
    ]
    assert db.read(lambda each: each.execute("SELECT address FROM delivery").fetchone()[0]) == "joann@x.example"
    assert changes_of(db) == [each for each in history if "Added ann@x.example{" not in each]


@pytest.mark.parametrize("ending", [".csv", ".rejected.csv", ".JSON", ".vcf.", ".eml, and more", ". Then", "."])
def test_an_address_that_a_files_name_begins_with_goes_too(
    db: Database, crm: CRMRepository, rights: Rights, ending: str
) -> None:
    crm.add("ann@x.example")
    bob = crm.edit(crm.add("bob@x.example"), {"title": f"see ann@x.example{ending}"})
    assert bob.changed == 1
    assert rights.erase(["ann@x.example"]).remaining_in == ()
    assert crm.get("bob@x.example").title == f"see erased@erased.invalid{ending}"
    assert b"ann@x.example" not in raw_bytes(db)


@pytest.mark.parametrize(
    "longer", ["jo.ann@x.example.csv", "ann@x.example.com", "ann@x.example.com.csv", "ann@x.example.csv.com"]
)
def test_a_longer_address_in_a_files_name_stays(db: Database, crm: CRMRepository, rights: Rights, longer: str) -> None:
    crm.add("ann@x.example")
    crm.edit(crm.add("bob@x.example"), {"title": f"see {longer}"})
    rights.erase(["ann@x.example"])
    assert crm.get("bob@x.example").title == f"see {longer}"


def test_no_domain_ends_like_a_file() -> None:
    assert {ending: registrable(f"b.co.{ending}") for ending in FILE_ENDINGS} == {
        ending: f"co.{ending}" for ending in FILE_ENDINGS
    }


def changes_of(db: Database) -> list[str]:
    """What can be taken back, change by change."""
    sql = "SELECT summary || after FROM change_row JOIN change ON change.id = change_id WHERE after NOT LIKE '%o''ann%'"
    return [row[0] for row in db.read(lambda each: each.execute(sql).fetchall())]


def test_where_an_address_stands_in_a_key_of_ours_it_goes_too(
    db: Database, crm: CRMRepository, rights: Rights, tmp_path: Path
) -> None:
    file = tmp_path / "list of jane.secretname@x.example, all.csv"
    file.write_text(
        "email;of jane.secretname@x.example;status\njane.secretname@x.example;1;\nb@x.example;2;unsubscribed\n"
    )
    crm.import_file(file, mapping={"of jane.secretname@x.example": "title"})
    assert rights.erase(["jane.secretname@x.example"]).remaining_in == ()
    assert b"jane.secretname@x.example" not in raw_bytes(db)


def test_a_copy_that_still_holds_the_address_is_named(db: Database, crm: CRMRepository, rights: Rights) -> None:
    crm.add("jane@x.example")
    copy = db.path.with_name("people.rejected.csv")
    copy.write_text("email\nJane@x.example\n")
    assert rights.erase(["jane@x.example"]).remaining_in == (copy,)


def test_content_that_names_somebody_is_left_to_its_author(db: Database, crm: CRMRepository, rights: Rights) -> None:
    crm.add("jane@x.example")

    def work(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO content VALUES (1, 'email', 'Ask Jane', '2026')")
        connection.execute(
            """INSERT INTO content_version (content_id, number, subject, preheader, body, format, hash, created_at)
               VALUES (1, 1, 'Hello', '', 'Write to jane@x.example', 'markdown', 'h', '2026')"""
        )

    db.write(work)
    assert rights.erase(["jane@x.example"]).mentioned_in == ("Ask Jane",)


def test_nobody_is_erased_when_one_of_them_is_not_there(crm: CRMRepository, rights: Rights) -> None:
    crm.add("jane@x.example")
    with pytest.raises(NotFound):
        rights.erase(["jane@x.example", "nobody@x.example"])
    assert crm.count() == 1


def test_an_undo_cannot_bring_back_who_was_erased(db: Database, crm: CRMRepository, rights: Rights) -> None:
    from aicmo.store import changes, undoing

    crm.add("jane@x.example")
    crm.edit(crm.get("jane@x.example"), {"title": "Countess"})
    crm.add("other@x.example")
    crm.tag("", add=["vip"])
    rights.erase(["jane@x.example"])
    assert len(db.read(changes.listed)) == 2, "a step that touched nobody else is no step any more"
    while (step := db.read(changes.next_to_undo)) is not None:
        assert db.write(lambda each, step=step: undoing.undo(each, step.id, "you", NOW)).people == 1
    assert crm.count() == 0
    assert b"jane@" not in raw_bytes(db)


def test_everything_held_about_a_person_is_in_the_copy(db: Database, crm: CRMRepository, rights: Rights) -> None:
    crm.add("jane@x.example", first_name="Jane", fields={"city": "London"}, tags=["vip"])
    jane = crm.get("jane@x.example")
    crm.edit(jane, {"title": "Countess"})
    db.write(lambda each: events.add(each, events.Event(jane.id, "note", NOW, text="likes engines")))
    rights.consent("jane@x.example", "newsletter", given=True, source="form", wording="Yes, send me news")
    campaign_to(db, "jane@x.example")
    held = rights.about("jane@x.example")
    json.dumps(held)
    assert held["contact"]["fields"] == {"city": "London"} and held["tags"] == ["vip"]
    assert held["event"][0]["text"] == "likes engines"
    assert held["consent"][0]["wording"] == "Yes, send me news"
    assert held["delivery"][0]["address"] == "jane@x.example"
    assert held["change"][-1]["after"] == {"title": "Countess"}


def test_every_table_that_names_a_person_is_walked(db: Database) -> None:
    named = db.read(
        lambda each: {
            row[0]
            for row in each.execute(
                """SELECT m.name FROM sqlite_master AS m JOIN pragma_table_info(m.name) AS c
                   WHERE m.type = 'table' AND c.name LIKE '%contact_id'"""
            )
        }
    )
    walked = {reference.table for reference in db.read(people.references)}
    assert named - {"change_row"} == walked


def test_who_withdraws_is_not_written_to_any_more(db: Database, crm: CRMRepository, rights: Rights) -> None:
    crm.add("jane@x.example")
    rights.consent("jane@x.example", "newsletter", given=True, source="form", at=datetime(2026, 1, 1, tzinfo=UTC))
    rights.consent("jane@x.example", "newsletter", given=False, source="a mail")
    assert [(word.given, word.source) for word in rights.consents("jane@x.example")] == [
        (True, "form"),
        (False, "a mail"),
    ]
    assert db.read(lambda each: suppressions.reason_for(each, "jane@x.example")) == "unsubscribed"


def test_a_consent_says_what_for_and_where_and_not_in_the_future(crm: CRMRepository, rights: Rights) -> None:
    crm.add("jane@x.example")
    for purpose, source in (("", "form"), ("newsletter", " ")):
        with pytest.raises(InvalidInput):
            rights.consent("jane@x.example", purpose, given=True, source=source)
    with pytest.raises(InvalidInput, match="future"):
        late = datetime.now(UTC) + timedelta(days=1)
        rights.consent("jane@x.example", "newsletter", given=True, source="form", at=late)
