"""A query on the command line: what cannot be read is pointed at, and a segment stands wherever a query does."""

from __future__ import annotations

from pathlib import Path

from commandline import CommandLine


def test_the_place_of_an_error_stands_under_the_query(aicmo: CommandLine, in_filled_home: Path) -> None:
    told = aicmo("contact", "list", "tag:all 小龍 tga:x", code=6)
    assert told.out == ""
    line, caret = told.err.splitlines()[1:3]
    assert line.strip() == "tag:all 小龍 tga:x"
    assert caret.index("^") == line.index("tga:x") + 2  # two of the letters before it are two cells wide
    assert "Did you mean tag?" in told.err


def test_a_long_query_is_shown_around_its_error(aicmo: CommandLine, in_filled_home: Path) -> None:
    told = aicmo("contact", "count", "word " * 60 + "stage:nwe " + "word " * 60, code=6)
    line, caret = told.err.splitlines()[1:3]
    assert len(line) < 80
    assert line[caret.index("^") :].startswith("nwe")


def test_a_program_is_told_the_query_and_the_column(aicmo: CommandLine, in_filled_home: Path) -> None:
    error = aicmo("contact", "count", "tag:all", "score:high", "--json", code=6).error
    assert (error["code"], error["query"], error["column"]) == ("query_invalid", "tag:all score:high", 14)


def test_a_segment_stands_wherever_a_query_does(aicmo: CommandLine, in_filled_home: Path) -> None:
    aicmo("segment", "create", "Not late", "tag:all or -tag:late")
    assert aicmo("contact", "count", 'segment:"not late"', "--json").document == {"count": 3}
    assert aicmo("contact", "tag", '-segment:"Not late"', "--add", "x", "--json").document["changed"] == 1
    created = aicmo(
        "campaign", "create", "--name", "N", "--content", 1, "--to", 'segment:"Not late"', "--json"
    ).document
    assert aicmo("campaign", "check", created["id"], "--json", code=None).document["audience"] == 3


def test_help_points_to_the_page_with_all_keys(aicmo: CommandLine) -> None:
    assert "docs/queries.md" in " ".join(aicmo("contact", "list", "--help").out.split())


def test_a_change_of_a_segment_says_who_joins_and_leaves(aicmo: CommandLine, in_filled_home: Path) -> None:
    aicmo("segment", "create", "Those", "tag:all")
    edited = aicmo("segment", "edit", "those", "--query", "tag:late", "--json").document
    assert (edited["name"], edited["count"], edited["joined"], edited["left"]) == ("Those", 1, 1, 3)
    rows = aicmo("segment", "diff", "Those", "--json=change,email").document
    assert [row["change"] for row in rows] == ["joined", "left", "left", "left"]
    assert aicmo("segment", "show", "nope", "--json", code=3).error["code"] == "not_found"
