"""``campaign create`` and ``edit``: who gets nothing, and when it may go; ``cancel``, ``retry``: whom they concern."""

from __future__ import annotations

import contextlib
import sqlite3
from datetime import datetime
from pathlib import Path

import pytest
from commandline import CommandLine

from aicmo.sandbox import Fault, RunningSandbox


@pytest.fixture
def people(aicmo: CommandLine, sending_home: Path) -> CommandLine:
    for name, tag in (("a", "all"), ("b", "all"), ("c", "customer")):
        aicmo("contact", "add", f"{name}@acme.example", "--tag", tag)
    body = sending_home / "body.md"
    body.write_text("Hello\n")
    aicmo("content", "create", "--title", "T", "--subject", "S", "--body", body)
    return aicmo


CREATE = ["campaign", "create", "--name", "N", "--content", 1, "--to", ""]
WHEN = ["--exclude", "tag:customer", "--hours", "09:00-17:00", "--days", "mon-fri", "--late-after", "2d"]


def test_what_was_said_is_shown_again(people: CommandLine) -> None:
    made = people(*CREATE, *WHEN, "--json").document
    assert (made["audience"], made["excluded"]) == (2, 1)
    shown = people("campaign", "show", 1, "--json").document
    said = {key: shown[key] for key in ("exclude", "hours", "days", "zone", "late_after_minutes")}
    assert said == {
        "exclude": "tag:customer",
        "hours": "09:00-17:00",
        "days": "mon-fri",
        "zone": "recipient",
        "late_after_minutes": 2880,
    }
    assert "not to tag:customer" in people("campaign", "show", 1).out
    assert "09:00-17:00 mon-fri, by the recipient's clock" in people("campaign", "show", 1).out


def test_an_edit_changes_what_is_said_and_nothing_else(people: CommandLine) -> None:
    people(*CREATE, *WHEN)
    edited = people("campaign", "edit", 1, "--to", "tag:all", "--hours", "any", "--zone", "business", "--json").document
    assert (edited["audience"], edited["to"], edited["hours"], edited["days"]) == (2, "tag:all", None, "mon-fri")
    assert (edited["zone"], edited["exclude"], edited["name"]) == ("business", "tag:customer", "N")
    assert people("campaign", "edit", 1, "--exclude", "", "--json").document["exclude"] is None
    assert people("campaign", "edit", 1, "--name", "M", "--dry-run", "--json").document["status"] == "dry_run"
    assert people("campaign", "show", 1, "--json").document["name"] == "N"


def test_a_campaign_may_say_whether_its_links_are_tagged(people: CommandLine, sending_home: Path) -> None:
    body = sending_home / "tour.md"
    body.write_text("[The tour](https://example.com/tour)\n")
    people("content", "edit", 1, "--body", body)
    assert people(*CREATE, "--utm", "on", "--json").code == 0
    assert people("campaign", "show", 1, "--json").document["utm"] == "on"
    assert "campaign parameters on its links: on" in people("campaign", "show", 1).out
    tagged = "utm_source=newsletter&utm_medium=email&utm_campaign=n"
    assert tagged in people("campaign", "preview", 1, "--part", "text").out
    assert people("campaign", "edit", 1, "--utm", "configured", "--json").document["utm"] == "configured"
    assert "utm_" not in people("campaign", "preview", 1).out


def test_a_preview_is_of_the_person_and_the_part_that_were_asked_for(people: CommandLine) -> None:
    people(*CREATE, "--exclude", "a@acme.example")
    assert people("campaign", "preview", 1).out.startswith("To: b@acme.example\nSubject: S\n\nHello\n")
    source = people("campaign", "preview", 1, "--as", "c@acme.example", "--part", "source").out
    assert source.startswith("From: ") and "\nTo: <c@acme.example>\n" in source.replace("\r", "")
    assert people("campaign", "preview", 1, "--as", "z@acme.example", "--json", code=3).error["hint"]
    assert people("campaign", "preview", 1, "--variant", "B", "--json", code=3).error["code"] == "not_found"
    test = people("campaign", "test", 1, "--to", "me@acme.example", "--dry-run").out.replace("\r", "")
    assert "\nSubject: [Test] S\n" in test and "\nTo: <me@acme.example>\n" in test


def test_one_that_missed_its_time_says_so_and_takes_another_in_one_command(
    people: CommandLine, sending_home: Path
) -> None:
    people(*CREATE)
    assert people("campaign", "check", 1, "--at", "tomorrow 9:00", "--json").code == 0
    people("campaign", "start", 1, "--at", "+3h", "--yes")
    assert people("campaign", "show", 1, "--json").document["status"] == "scheduled"
    with contextlib.closing(sqlite3.connect(sending_home / "data" / "aicmo.db")) as db, db:
        db.execute("UPDATE campaign SET scheduled_at = '2020-01-01T09:00:00.000Z'")
    people("run", "--quiet")
    missed = people("campaign", "show", 1, "--json").document
    assert missed["status"] == "paused" and missed["pause_reason"].startswith("missed its time")
    people("campaign", "start", 1, "--at", "tomorrow 9:00", "--yes")
    again = people("campaign", "show", 1, "--json").document
    assert (again["status"], again["counts"]["audience"]) == ("scheduled", 0)
    at = datetime.fromisoformat(again["scheduled_at"]).astimezone()
    assert (at.hour, at.minute, at > datetime.now().astimezone()) == (9, 0, True)


def test_a_cancelled_sequence_counts_people_and_not_messages(people: CommandLine, sending_home: Path) -> None:
    people(*CREATE)
    people("campaign", "step", "add", 1, "--content", 1, "--wait", "1m", "--yes")
    people("campaign", "start", 1, "--yes")
    people("run", "--quiet")
    with contextlib.closing(sqlite3.connect(sending_home / "data" / "aicmo.db")) as db, db:
        db.execute("UPDATE delivery SET sending_at = '2020-01-01T09:00:00.000Z'")
        db.execute("UPDATE enrolment SET due_at = '' WHERE due_at IS NOT NULL")
    people("run", "--quiet")
    assert people("campaign", "show", 1, "--json").document["counts"]["sent"] == 6
    people("campaign", "join", 1)  # it stays open
    cancelled = people("campaign", "cancel", 1, "--yes", "--json").document
    assert cancelled["reached"] == 3


WRONG = [
    ["--utm", "on", "--hours", "17-9"],
    ["--hours", "17-9"],
    ["--hours", "17:00-09:00"],
    ["--days", "someday"],
    ["--zone", "mine"],
    ["--late-after", "soon"],
    ["--late-after", "0m"],
    ["--exclude", "bogus:1"],
]


@pytest.mark.parametrize("words", WRONG, ids=" ".join)
def test_what_cannot_be_is_one_clear_sentence_and_nothing_is_made(people: CommandLine, words: list[str]) -> None:
    error = people(*CREATE, *words, "--json", code=6).error
    assert error["message"].endswith(".") and "\n" not in error["message"]
    assert people("campaign", "list", "--json").document == []
    people(*CREATE)
    people("campaign", "edit", 1, *words, "--json", code=6)
    assert people("campaign", "edit", 1, "--json", code=6).error["message"] == "Nothing was said to change."


def test_a_cancelled_one_says_whom_it_had_reached_and_a_retry_takes_a_cause(
    people: CommandLine, sandbox: RunningSandbox
) -> None:
    sandbox.set_faults([Fault("rcpt", "reply", reply="550 5.2.1 disabled", recipient="a@*")])
    people(*CREATE)
    people("campaign", "start", 1, "--wait", "--yes", code=5)
    rows = people("campaign", "deliveries", 1, "--json").document
    assert [row["cause"] for row in rows] == ["mailbox", None, None]
    assert people("campaign", "retry", 1, "--cause", "content", "--json").document["queued_again"] == 0
    assert "no cause" in people("campaign", "retry", 1, "--cause", "bogus", "--json", code=6).error["message"]
    assert people("campaign", "retry", 1, "--cause", "mailbox", "--json").document["queued_again"] == 1
    cancelled = people("campaign", "cancel", 1, "--yes", "--json").document
    assert (cancelled["reached"], cancelled["reached_query"]) == (2, "sent:1")
    assert people("contact", "count", cancelled["reached_query"], "--json").document == {"count": 2}
