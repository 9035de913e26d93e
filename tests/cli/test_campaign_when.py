"""``campaign create`` and ``edit``: who gets nothing, and when it may go; ``cancel``, ``retry``: whom they concern."""

from __future__ import annotations

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


WRONG = [
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
