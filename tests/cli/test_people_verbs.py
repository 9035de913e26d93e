"""Changing people from the command line, and taking it back; their story, and what to do next with them."""

from __future__ import annotations

import sqlite3
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from commandline import CommandLine

from aicmo.clock import rfc3339
from aicmo.store import contacts, events, lookups, open_database


@pytest.fixture
def people(aicmo: CommandLine) -> CommandLine:
    for name in ("ann", "bob", "cy"):
        aicmo("contact", "add", f"{name}@one.example", "--tag", "all")
    return aicmo


def test_why_tells_the_chain_and_the_opt_out(people: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("email\ndi@one.example\n")
    people("contact", "import", tmp_path / "people.csv")
    people("contact", "edit", "di@one.example", "--stage", "engaged", "--because", "met at the fair")
    people("suppression", "add", "di@one.example")
    told = people("contact", "why", "di@one.example", "--json").document
    assert told["stage"] == "ENGAGED" and told["suppressed"]["reason"] == "manual"
    assert [(step["from"], step["to"]) for step in told["chain"]] == [(None, "NEW"), ("NEW", "ENGAGED")]
    assert "people.csv" in told["chain"][0]["cause"]
    assert (told["chain"][1]["cause"], told["chain"][1]["actor"]) == ("met at the fair", "you")
    lines = people("contact", "why", "di@one.example").out.splitlines()
    assert "NEW → ENGAGED  met at the fair" in lines[2] and lines[-1].startswith("suppressed: manual")


def test_a_step_back_needs_the_word_for_it(people: CommandLine) -> None:
    people("contact", "edit", "ann@one.example", "--stage", "engaged")
    refused = people("contact", "edit", "ann@one.example", "--stage", "new", "--json", code=6).error
    assert refused["code"] == "illegal_transition" and "--demote" in refused["hint"]
    people("contact", "edit", "ann@one.example", "--stage", "new", "--demote")
    assert people("contact", "show", "ann@one.example", "--json").document["stage"] == "NEW"


def test_a_rehearsed_bulk_edit_shows_five_and_changes_nobody(people: CommandLine) -> None:
    words = ("contact", "edit", "tag:all", "--company", "Engines", "--tag", "vip", "--untag", "all")
    shown = people(*words, "--dry-run", "--json").document
    assert (shown["selected"], shown["changed"], shown["change_id"]) == (3, 3, None)
    assert shown["examples"][0] == {
        "email": "ann@one.example",
        "before": {"company": "", "tag.all": "all", "tag.vip": ""},
        "after": {"company": "Engines", "tag.all": "", "tag.vip": "vip"},
    }
    assert people("contact", "count", "tag:vip", "--json").document == {"count": 0}
    done = people(*words, "--yes", "--json").document
    assert done["changed"] == 3
    assert people("undo", done["change_id"], "--json").document["people"] == 3
    assert people("contact", "count", "tag:all", "--json").document == {"count": 3}


def test_a_field_is_cleared_and_an_address_changed(people: CommandLine) -> None:
    people("contact", "edit", "ann@one.example", "--title", "Boss", "--field", "Pet name=Rex")
    people(
        "contact", "edit", "ann@one.example", "--clear", "title", "--clear", "pet name", "--email", "ann@two.example"
    )
    ann = people("contact", "show", "ann@two.example", "--json").document
    assert (ann["title"], ann["fields"], ann["domain"]) == ("", {}, "two.example")
    refused = people("contact", "edit", "ann@two.example", "--email", "bob@one.example", "--json", code=6).error
    assert "contact merge" in refused["hint"]


def test_undo_and_redo_say_what_they_did_and_what_had_to_stay(people: CommandLine) -> None:
    first = people("contact", "edit", "ann@one.example", "--title", "Boss", "--json").document["change_id"]
    people("contact", "edit", "ann@one.example", "--title", "Chief")
    partly = people("undo", first, "--json", code=5).document
    assert partly["status"] == "partly"
    assert partly["kept"] == [{"email": "ann@one.example", "field": "title", "now": "Chief", "wanted": ""}]
    assert people("undo", first, "--json", code=6).error["code"] == "illegal_transition"
    assert people("undo", 99, "--json", code=3).error["code"] == "not_found"
    assert people("undo", "--json").document["summary"] == "Edited ann@one.example: title"
    assert people("contact", "show", "ann@one.example", "--json").document["title"] == "Boss"
    assert people("redo", "--json").document["status"] == "done"
    changes = people("change", "list", "--json").document
    assert [each["summary"] for each in changes][:2] == ["Edited ann@one.example: title"] * 2


def test_with_nothing_to_undo_nothing_is_done(aicmo: CommandLine) -> None:
    for verb in ("undo", "redo"):
        assert aicmo(verb, "--json").document["status"] == "nothing"


def test_deleting_asks_and_can_be_undone(people: CommandLine) -> None:
    for who in ("ann@one.example", "tag:all"):
        assert people("contact", "delete", who, "--json", code=9).error["code"] == "approval_needed"
    assert people("contact", "delete", "tag:all", "--yes", "--json").document["changed"] == 3
    people("undo")
    assert people("contact", "count", "tag:all", "--json").document == {"count": 3}


def test_a_typed_field_is_checked_wherever_it_is_written(people: CommandLine) -> None:
    people("field", "add", "Size", "--type", "select", "--option", "S", "--option", "M")
    for words in (("add", "di@one.example"), ("edit", "ann@one.example"), ("edit", "tag:all", "--yes")):
        refused = people("contact", *words, "--field", "size=XL", "--json", code=6).error
        assert "S, M" in refused["message"]
    people("contact", "edit", "ann@one.example", "--field", "size=m")
    assert people("contact", "show", "ann@one.example", "--json").document["fields"] == {"size": "M"}
    assert "M" in people("field", "change", "size", "--option", "S", "--json", code=6).error["message"]


def test_the_timeline_is_paged_and_searched(people: CommandLine) -> None:
    number = people("contact", "note", "ann@one.example", "likes", "tea", "--json").document["id"]
    people("contact", "note", "ann@one.example", "likes trains", "--pin")
    people("note", "edit", number, "likes", "coffee")
    rows = people("contact", "timeline", "ann@one.example", "--json").document
    assert [(row["when"], row["kind"], row["text"]) for row in rows] == [
        ("pinned", "note", "likes trains"),
        ("past", "note", "likes coffee"),
        ("past", "arrival", ""),
    ]
    first = people("contact", "timeline", "ann@one.example", "--limit", 1, "--json").document[-1]
    after = people("contact", "timeline", "ann@one.example", "--after", first["cursor"], "--json").document
    assert [row["kind"] for row in after] == ["arrival"]
    found = people("contact", "timeline", "ann@one.example", "--kind", "note", "--search", "coffee", "--json").document
    assert [row["id"] for row in found] == [f"event:{number}"]
    assert people("contact", "timeline", "ann@one.example", "--kind", "x", code=6).out == ""


def test_the_next_action_shows_up_today_and_in_a_calendar(people: CommandLine, tmp_path: Path) -> None:
    yesterday = (datetime.now().astimezone() - timedelta(days=1)).date().isoformat()
    people("contact", "next", "ann@one.example", "call", "--on", yesterday)
    people("contact", "next", "bob@one.example", "write", "--on", "today")
    calendar = tmp_path / "plans.ics"
    today = people("today", "--ics", calendar, "--json").document
    assert [(each["email"], each["text"]) for each in today["overdue"]] == [("ann@one.example", "call")]
    assert [each["email"] for each in today["due"]] == ["bob@one.example"]
    assert calendar.read_bytes().count(b"BEGIN:VEVENT\r\n") == 2 and calendar.stat().st_mode & 0o777 == 0o600
    people("contact", "next", "ann@one.example", "--snooze", "2d")
    assert people("today", "--json").document["overdue"] == []
    people("contact", "next", "bob@one.example", "--done")
    assert people("contact", "next", "bob@one.example", "--json").document["next"] is None
    assert people("contact", "next", "bob@one.example", "--done", code=3).out == ""


@pytest.mark.parametrize(
    "words", [["call"], ["--on", "today"], ["call", "--on", "some day"], ["--done", "--snooze", "2d"]]
)
def test_half_a_plan_is_refused(words: list[str], people: CommandLine) -> None:
    assert people("contact", "next", "ann@one.example", *words, "--json", code=6).error["hint"] is not None


def test_a_calendar_that_cannot_be_written_is_one_sentence(aicmo: CommandLine, tmp_path: Path) -> None:
    assert "cannot be written" in aicmo("today", "--ics", tmp_path, "--json", code=6).error["message"]


def test_what_an_undo_left_alone_is_told_in_a_sentence(people: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("email,title\nann@one.example,Countess\ndi@one.example,\n")
    number = people("contact", "import", tmp_path / "people.csv", "--json").document["id"]
    people("contact", "edit", "ann@one.example", "--title", "Boss")
    people("contact", "tag", "di@one.example", "--add", "vip")
    told = people("import", "undo", number, "--yes", code=5).out.splitlines()
    assert told[1:] == [
        "▲ ann@one.example: title stays “Boss”, and is not empty again.",
        "▲ di@one.example stays, because of what came since: tag vip.",
    ]
    change = people("change", "list", "--json").document[2]
    refused = people("undo", change["id"], "--json", code=6).error
    assert change["summary"].startswith("Imported") and refused["hint"] == "Import its file again."


def test_who_cannot_be_brought_back_is_told_why(people: CommandLine) -> None:
    people("contact", "delete", "ann@one.example", "--yes")
    people("contact", "add", "ann@one.example")
    deleted = people("change", "list", "--json").document[1]["id"]
    told = people("undo", deleted, code=5).out
    assert "▲ ann@one.example is not brought back: somebody else has that address now." in told


def test_an_import_that_changed_nobody_is_no_step_of_undo(people: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("email\nann@one.example\n")
    people("contact", "edit", "ann@one.example", "--title", "Boss")
    people("contact", "import", tmp_path / "people.csv")
    assert people("undo", "--json").document["summary"] == "Edited ann@one.example: title"
    people("contact", "import", tmp_path / "people.csv")
    assert people("redo", "--json").document["summary"] == "Edited ann@one.example: title"


def test_a_merge_tells_what_was_chosen(people: CommandLine) -> None:
    people("contact", "edit", "ann@one.example", "--title", "Boss", "--company", "Acme")
    people("contact", "edit", "bob@one.example", "--title", "Countess", "--company", "Engines", "--field", "City=Rome")
    words = ("contact", "merge", "ann@one.example", "bob@one.example", "--set", "title=Lady", "--set", "city=Bonn")
    told = people(*words, "--yes", "--json").document
    assert told["set"] == {"title": "Lady", "field.city": "Bonn"} and told["gained"] == {}
    assert told["kept"] == {"company": {"kept": "Acme", "other": "Engines"}}
    assert people("undo", told["change_id"], "--json").document["people"] == 2
    assert "  says title: Lady, as you said" in people(*words, "--yes").out.splitlines()


def test_show_tells_all_that_is_known_and_who_says_so(people: CommandLine, home: Path) -> None:
    people("contact", "edit", "ann@one.example", "--company", "Acme")
    people("contact", "next", "ann@one.example", "call", "--on", "2026-12-24")
    people("contact", "consent", "ann@one.example", "--purpose", "news", "--given", "--source", "form")
    day = datetime(2026, 11, 20, tzinfo=UTC)
    at = rfc3339(day)

    def write(store: sqlite3.Connection) -> None:
        known = contacts.get(store, "ann@one.example")
        assert known is not None
        events.add(store, events.Event(known.id, "replied", day, human=True))
        lookups.put_verdicts(store, {known.id: lookups.Verdict("risky", "catch-all", "dropcontact", at)})
        lookups.ask(store, "lead_enrichment", "apollo", "batch", [known.id], day)
        lookups.put_facts(store, "batch", "apollo", {known.id: {"company": "Apex"}}, day)

    db = open_database(home / "data" / "aicmo.db")
    db.write(write)
    db.close()
    ann = people("contact", "show", "ann@one.example", "--json").document
    assert (ann["company"], ann["score"], ann["suppressed"], ann["last_touch"]) == ("Acme", None, None, at)
    assert ann["next"] == {"due": "2026-12-24", "text": "call"}
    assert ann["verification"] == {"status": "risky", "word": "catch-all", "provider": "dropcontact", "at": at}
    [consent] = ann["consents"]
    assert (consent["purpose"], consent["given"], consent["source"], consent["wording"]) == ("news", True, "form", "")
    says = {"provider": "apollo", "value": "Apex", "at": at}
    assert ann["enrichment"] == [{"field": "company", **says, "conflict": True}]
    assert ann["conflicts"] == [{"field": "company", "value": "Acme", "says": [says]}]
    lines = people("contact", "show", "ann@one.example").out.splitlines()
    assert "▲ company: Apex, says apollo 2026-11-20; here it stands as Acme" in lines
    assert "address: risky (catch-all), says dropcontact 2026-11-20" in lines
    assert any(line.startswith("consent: news given, form ") for line in lines)
    assert f"last touch: {at}" in lines


def test_a_merge_says_who_of_the_two_opted_out(people: CommandLine) -> None:
    words = ("contact", "merge", "ann@one.example", "bob@one.example", "--yes")
    people("suppression", "add", "bob@one.example")
    assert people(*words, "--dry-run", "--json").document["suppressed"] == {"bob@one.example": "manual"}
    told = people(*words).out.splitlines()
    assert "  bob@one.example is suppressed (manual): an opt-out of either holds for both" in told
    assert people("contact", "show", "ann@one.example", "--json").document["suppressed"] == "manual"


def test_a_field_is_cleared_by_the_name_it_is_shown_by(people: CommandLine) -> None:
    people("contact", "edit", "ann@one.example", "--field", "Pet name=Rex")
    changed = people("contact", "edit", "ann@one.example", "--clear", "field.pet_name", "--json").document
    assert changed["examples"][0]["before"] == {"field.pet_name": "Rex"}


def test_why_says_whose_steps_they_were_before_a_merge(people: CommandLine) -> None:
    for who, stage in (("ann", "verified"), ("bob", "engaged"), ("cy", "enriched")):
        people("contact", "edit", f"{who}@one.example", "--stage", stage)
    people("contact", "merge", "bob@one.example", "cy@one.example", "--yes")
    merged = people("contact", "merge", "ann@one.example", "bob@one.example", "--yes", "--json").document
    chain = people("contact", "why", "ann@one.example", "--json").document["chain"]
    assert [(step["to"], step["of"]) for step in chain] == [
        ("NEW", None),
        ("VERIFIED", None),
        ("ENGAGED", "bob@one.example"),
        ("ENRICHED", "cy@one.example"),
        ("ENGAGED", None),
    ]
    assert "  NEW → ENRICHED  by hand  (of cy@one.example, you)" in people("contact", "why", "ann@one.example").out
    people("undo", merged["change_id"])
    assert {step["of"] for step in people("contact", "why", "ann@one.example", "--json").document["chain"]} == {None}


def test_two_files_that_differ_in_their_ending_have_rejected_rows_of_their_own(
    people: CommandLine, tmp_path: Path
) -> None:
    for name, text in (("a.csv", "email\nnobody\n"), ("a.json", '[{"email": "nowhere"}]')):
        (tmp_path / name).write_text(text)
        people("contact", "import", tmp_path / name, code=5)
    assert "nobody,no @" in (tmp_path / "a.rejected.csv").read_text()
    assert "nowhere,no @" in (tmp_path / "a.json.rejected.csv").read_text()


def test_a_field_that_nobody_has_cannot_be_cleared(people: CommandLine) -> None:
    refused = people("contact", "edit", "ann@one.example", "--clear", "compny", "--json", code=6).error
    assert (refused["message"], refused["hint"]) == (
        "There is no field “compny”: nobody has it.",
        "Did you mean company?",
    )


def test_a_consent_is_of_the_day_it_is_here(people: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")  # fourteen hours ahead of UTC
    time.tzset()
    try:
        here = datetime.now().date().isoformat()
        words = ("contact", "consent", "ann@one.example", "--purpose", "news", "--source", "form")
        assert people(*words, "--given", "--at", here).out.startswith(f"{here}  news  given")
        assert "Did they agree?" in people(*words, "--given", "--withdrawn", "--json", code=6).error["message"]
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_folder_is_no_list_of_people(people: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert people("contact", "import", ".", "--json", code=6).error["code"] == "invalid"


def test_only_who_has_nobody_is_told_to_import(people: CommandLine) -> None:
    assert people("contact", "list", "tag:nobody").err == "Nobody like that.\n"


def test_what_is_undone_reads_as_a_sentence_and_names_what_undo_never_touches(people: CommandLine) -> None:
    people("contact", "tag", "ann@one.example", "--add", "vip")
    assert people("undo", "--dry-run").out.strip() == "Would be undone: tagged ann@one.example vip"
    assert people("undo").out.strip() == "Undone: tagged ann@one.example vip"
    assert people("redo").out.strip() == "Done again: tagged ann@one.example vip"
    assert "only this takes it back: aicmo suppression remove" in people("suppression", "add", "ann@one.example").err
    given = ("--purpose", "news", "--given", "--source", "fair")
    assert "Undo leaves this alone" in people("contact", "consent", "ann@one.example", *given).err
    while people("undo", "--json").document["status"] != "nothing":
        pass
    assert "Consent and opt-outs are never undone with it." in people("undo").err
    assert people("suppression", "list", "--json").document[0]["reason"] == "manual"


def test_a_note_is_taken_back_from_the_command_line(people: CommandLine) -> None:
    noted = people("contact", "note", "ann@one.example", "likes tea", "--json").document["id"]
    people("note", "delete", noted)
    people("undo")
    assert [
        row["text"] for row in people("contact", "timeline", "ann@one.example", "--kind", "note", "--json").document
    ]
    people("undo")
    assert people("contact", "timeline", "ann@one.example", "--kind", "note", "--json").document == []


def test_taking_away_a_tag_that_nobody_has_says_so(people: CommandLine) -> None:
    told = people("contact", "edit", "ann@one.example", "--untag", "vpi").out
    assert told.splitlines() == ["0 of 1 changed", "▲ Nobody has the tag “vpi”."]
    assert people("contact", "tag", "ann@one.example", "--remove", "vpi", "--json").document["warnings"]
