"""Sequences and A/B tests from the command line: what is said of them, and what is asked first."""

from __future__ import annotations

from pathlib import Path

import pytest
from commandline import CommandLine

from aicmo.clock import parse_rfc3339
from aicmo_tui.cli.output import moment

pytestmark = pytest.mark.usefixtures("in_filled_home")


def test_a_sequence_is_shown_with_its_steps_and_its_people(aicmo: CommandLine) -> None:
    shown = aicmo("campaign", "show", 5, "--json").document
    assert shown["kind"] == "sequence" and shown["joins"] is False
    assert [(each["step"], each["wait"], each["here"]) for each in shown["steps"]] == [
        (1, "0", 1),
        (2, "3d", 0),
        (3, "1d", 0),
    ]
    assert shown["people"] == {"entered": 1, "active": 1, "done": 0, "stopped": 0, "stopped_by": {}}
    told = aicmo("campaign", "show", 5).out
    assert "step 2 3d later: News" in told and "1 entered: 1 active, 0 done, 0 stopped" in told
    (who,) = aicmo("campaign", "people", 5, "--json").document
    assert (who["email"], who["state"], who["next_step"], who["why"]) == (
        "late@two.example", "active", 2, "step 1 is queued",
    )  # fmt: skip
    assert "kind" in aicmo("campaign", "show", 1, "--json").document


def test_an_edit_says_what_becomes_of_the_people_inside_and_asks(aicmo: CommandLine, in_filled_home: Path) -> None:
    before = aicmo("campaign", "step", "list", 5, "--json").document
    asked = aicmo("campaign", "step", "edit", 5, 2, "--wait", "1d", "--json", code=9).error
    assert asked["code"] == "approval_needed"
    planned = aicmo("campaign", "step", "remove", 5, 2, "--dry-run", "--json").document
    assert planned["status"] == "dry_run"
    assert planned["people"] == [{"count": 1, "who": "waiting for step 2", "what": "step 3 is next for them"}]
    assert aicmo("campaign", "step", "list", 5, "--json").document == before
    done = aicmo("campaign", "step", "remove", 5, 2, "--yes", "--json").document
    assert done["status"] == "done" and [each["step"] for each in done["steps"]] == [1, 3]
    aicmo("campaign", "step", "edit", 5, 2, "--wait", "1d", "--yes", code=3)
    aicmo("campaign", "step", "edit", 5, 3, "--wait", "soon", "--yes", code=6)
    aicmo("campaign", "step", "edit", 5, 3, "--yes", code=2)
    aicmo("campaign", "step", "add", 1, "--content", 1, "--wait", "1d", "--yes", code=6)


def test_a_test_is_shown_with_its_variants_and_decided_by_a_persons_word(aicmo: CommandLine) -> None:
    shown = aicmo("campaign", "show", 7, "--json").document
    assert [each["variant"] for each in shown["variants"]] == ["A", "B"]
    assert shown["variants"][0]["rate"]["value"] is None, "nothing was sent: undefined is not zero"
    assert shown["test"]["waiting"] == 1 and shown["test"]["winner"] is None
    when = moment(parse_rfc3339(shown["test"]["decision_at"]))
    assert f"  to be decided {when}; 1 wait for it\n" in aicmo("campaign", "show", 7).out
    aicmo("campaign", "winner", 7, "B", code=9)
    decided = aicmo("campaign", "winner", 7, "b", "--yes", "--json").document
    assert (decided["released"], decided["test"]["winner"]) == (1, "B")
    assert "B won: a person chose B" in aicmo("campaign", "show", 7).out
    aicmo("campaign", "winner", 7, "A", "--yes", code=6)


def test_a_later_step_or_another_variant_can_be_looked_at(aicmo: CommandLine) -> None:
    for words in (("5", "--step", "3"), ("6", "--variant", "b")):
        assert aicmo("campaign", "test", *words, "--dry-run", "--json").document["status"] == "dry_run"
    assert "Other-news" in aicmo("campaign", "test", 6, "--variant", "b", "--dry-run").out
    aicmo("campaign", "test", 5, "--step", 9, "--dry-run", code=3)


def test_a_campaign_is_made_a_sequence_that_newcomers_join(aicmo: CommandLine) -> None:
    made = aicmo("campaign", "create", "--name", "Welcome", "--content", 1, "--to", "tag:late", "--join", "--json")
    shown = aicmo("campaign", "show", made.document["id"], "--json").document
    assert (shown["kind"], shown["joins"]) == ("sequence", True)
