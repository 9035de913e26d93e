"""What is known of one person at a glance, what a list says of many, and a look at a change before it is made."""

from __future__ import annotations

import io
import sqlite3
from datetime import timedelta

import pytest

from aicmo.clock import SYSTEM_CLOCK, rfc3339
from aicmo.crm import CRMRepository
from aicmo.crm.rights import Rights
from aicmo.crm.today import Today
from aicmo.errors import InvalidInput, NotFound
from aicmo.store import Database, lookups
from aicmo.store.events import Event
from aicmo.store.listing import listed

NOW = SYSTEM_CLOCK.now()
ADA = "ada@x.example"


def test_a_portrait_holds_all_that_others_know_too(db: Database, tmp_path) -> None:
    crm = CRMRepository(db)
    ada = crm.add(ADA, company="Acme", fields={"city": "London"})
    Today(db).plan(ada, "call", "+3d")
    rights = Rights(db, crm, tmp_path)
    rights.consent(ADA, "newsletter", given=True, source="the form")
    rights.consent(ADA, "newsletter", given=False, source="a mail")

    def write(store: sqlite3.Connection) -> None:
        store.execute("UPDATE contact SET score = 60")
        lookups.put_verdicts(store, {ada.id: lookups.Verdict("risky", "catch-all", "dropcontact", rfc3339(NOW))})
        lookups.ask(store, "lead_enrichment", "apollo", "batch", [ada.id], NOW)
        lookups.put_facts(store, "batch", "apollo", {ada.id: {"company": "Acme Holding", "city": "london"}}, NOW)

    db.write(write)
    seen = crm.portrait(ada.id)
    assert (seen.contact, seen.score) == (crm.get(ADA), 60)
    assert seen.planned is not None and seen.planned.text == "call"
    assert seen.suppressed is not None and seen.suppressed.reason == "unsubscribed"
    assert seen.verdict is not None and seen.verdict.status == "risky"
    assert [(word.given, word.source) for word in seen.consents] == [(False, "a mail")]
    assert [fact.field for fact in seen.facts] == ["city", "company"]
    assert [(each.field, each.value) for each in seen.conflicts] == [("company", "Acme")]


def test_a_portrait_of_nobody_is_not_found(db: Database) -> None:
    with pytest.raises(NotFound, match="number 7"):
        CRMRepository(db).portrait(7)


def test_a_list_says_when_we_were_in_touch_and_a_machine_does_not_count(db: Database) -> None:
    crm = CRMRepository(db)
    ada, bob, eve = (crm.add(f"{name}@x.example") for name in ("ada", "bob", "eve"))
    for who, human, days in ((ada, True, 3), (ada, False, 1), (bob, False, 1)):
        crm.record_event(Event(who.id, "clicked", NOW - timedelta(days=days), human=human))
    crm.delete([eve.id])
    rows = db.read(lambda store: listed(store, [eve, bob, ada]))
    assert [row.contact for row in rows] == [eve, bob, ada]
    assert [row.last_touch for row in rows] == ["", "", rfc3339(NOW - timedelta(days=3))]
    assert {row.score for row in rows} == {None}


def test_a_preview_changes_nobody_and_shows_what_the_change_then_does(db: Database) -> None:
    crm = CRMRepository(db)
    for number in range(8):
        crm.add(f"p{number}@x.example", company="Acme" if number else "Acme Ltd")
    seen = crm.preview("", {"company": "Acme Ltd", "tag.vip": "vip"})
    assert crm.count("tag:vip") == 0
    assert seen == crm.edit_all("", {"company": "Acme Ltd", "tag.vip": "vip"}).examples
    assert seen[0].after == {"tag.vip": "vip"} and seen[1].before == {"company": "Acme", "tag.vip": ""}
    with pytest.raises(InvalidInput):
        crm.preview("", {"stage": "friend"})


def test_those_with_these_ids_are_exported_and_nobody_else(db: Database) -> None:
    crm = CRMRepository(db)
    ada, _, eve = (crm.add(f"{name}@x.example") for name in ("ada", "bob", "eve"))
    text = io.StringIO(newline="")
    assert crm.export([eve.id, ada.id, 99], text) == 2
    assert [line.partition(",")[0] for line in text.getvalue().splitlines()] == ["email", ADA, "eve@x.example"]
    assert crm.export([], io.StringIO(newline="")) == 0


def test_the_store_tells_that_somebody_wrote_whoever_it_was(db: Database) -> None:
    crm = CRMRepository(db)
    before = db.version()
    assert db.version() == before
    crm.add(ADA)
    after = db.version()
    assert after != before and db.version() == after
    other = sqlite3.connect(db.path)
    other.execute("UPDATE contact SET title = 'Countess'")
    other.commit()
    other.close()
    assert db.version() != after
