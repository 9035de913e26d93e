"""``campaign check`` and ``content check``: what they tell, in which order, and with which exit code."""

from __future__ import annotations

from pathlib import Path

import pytest
from commandline import CommandLine

LINK = "http://127.0.0.1:9/why"
"""Nobody answers there."""


@pytest.fixture
def written(aicmo: CommandLine, sending_home: Path) -> CommandLine:
    """Content 1 and its campaign 1 lack somebody's name and have a link that leads nowhere."""
    (sending_home / "people.csv").write_text("email,first_name\nann@one.example,Ann\nbob@one.example,\n")
    (sending_home / "body.md").write_text("Hello {{ first_name }}, read [on](/x)\n")
    aicmo("contact", "import", sending_home / "people.csv")
    aicmo("content", "create", "--title", "T", "--subject", "READ THIS NOW", "--body", sending_home / "body.md")
    aicmo("campaign", "create", "--name", "N", "--content", 1, "--to", "domain:one.example")
    return aicmo


def test_a_check_tells_errors_then_warnings_then_what_is_right(written: CommandLine) -> None:
    lines = written("campaign", "check", 1, code=6).out.splitlines()
    signs = [line[0] for line in lines if line[0] in "✕◐✓○"]
    assert signs == sorted(signs, key="✕◐✓○".index) or signs[-1] == "✕"
    assert lines[0] == "2 people, 0 suppressed" and lines[-1] == "✕ not ready"
    assert any(line.startswith("○ SPF (example.com is not a real domain") for line in lines)


def test_the_query_of_a_problem_is_one_that_contact_list_takes(written: CommandLine) -> None:
    document = written("campaign", "check", 1, "--json", code=6).document
    (missing,) = [each for each in document["problems"] if each["code"] == "missing_field"]
    assert missing["query"] == "domain:one.example -has:first_name -suppressed:yes"
    assert [row["email"] for row in written("contact", "list", missing["query"], "--json").document] == missing[
        "people"
    ]
    topics = {each["topic"]: each["status"] for each in document["topics"]}
    assert (topics["links"], topics["subject"], topics["size"], topics["SPF"]) == ("error", "warning", "ok", "skipped")


def test_a_time_is_checked_as_if_it_began_then(written: CommandLine) -> None:
    document = written("campaign", "check", 1, "--at", "2036-11-30T03:00+00:00", "--json", code=6).document
    assert {"at_weekend", "nobody_runs"} <= {each["code"] for each in document["problems"]}
    assert "is no time" in written("campaign", "check", 1, "--at", "soon", code=6).err


def test_after_aicmo_run_a_schedule_is_believed(written: CommandLine) -> None:
    written("run")
    document = written("campaign", "check", 1, "--at", "2036-11-30T03:00+00:00", "--json", code=6).document
    assert "nobody_runs" not in {each["code"] for each in document["problems"]}


def test_content_is_checked_without_an_audience(written: CommandLine, sending_home: Path) -> None:
    document = written("content", "check", 1, "--json", code=6).document
    assert document["schema"] == "aicmo.content.check/1" and "audience" not in document
    found = {each["code"] for each in document["problems"]}
    assert {"link_broken", "subject_shouts"} <= found and "missing_field" not in found
    (sending_home / "good.md").write_text("Hello {{ first_name | default('you') }}\n")
    written("content", "create", "--title", "T", "--subject", "Hi", "--body", sending_home / "good.md")
    assert written("content", "check", 2).out.splitlines()[-1] == "✓ could go out"


@pytest.fixture
def posted(aicmo: CommandLine, sending_home: Path) -> CommandLine:
    """Content 1 is a post whose link is written twice and, on X, one hashtag too many."""
    post = f"We moved. [Why]({LINK}) is told at {LINK} #moving #house #london\n"
    (sending_home / "post.md").write_text(post)
    aicmo("content", "create", "--title", "P", "--type", "social", "--body", sending_home / "post.md")
    return aicmo


def test_a_post_is_checked_as_each_channel_shows_it(posted: CommandLine, sending_home: Path) -> None:
    document = posted("content", "check", 1, "--channel", "x", "--json").document
    assert document["channel"] == "x" and document["status"] == "ok"
    assert {each["code"] for each in document["problems"]} == {"link_repeated", "many_hashtags", "link_to_address"}
    assert "no link of" in posted("content", "check", 1, "--channel", "instagram").out
    (sending_home / "long.md").write_text("a" * 281)
    posted("content", "edit", 1, "--channel", "x", "--body", sending_home / "long.md")
    told = posted("content", "check", 1, "--channel", "x", code=6).out.splitlines()
    assert told[0] == "✕ X takes 280 characters; these are 281." and told[-1] == "✕ not ready"
    assert "281" in posted("content", "approve", 1, "--channel", "x", code=6).err


def test_an_approval_says_what_is_still_odd(posted: CommandLine) -> None:
    document = posted("content", "approve", 1, "--channel", "linkedin", "--json").document
    assert document["status"] == "done" and any("stands there 2 times" in each for each in document["warnings"])
    assert "◐ 3 hashtags" in posted("content", "approve", 1, "--channel", "x").out
    assert posted("content", "unapprove", 1, "--channel", "x", "--json").document["warnings"] == []


def test_links_are_asked_only_when_somebody_says_so(posted: CommandLine) -> None:
    assert "link_unanswered" not in posted("content", "check", 1, "--json").out
    found = posted("content", "check", 1, "--links", "--json").document["problems"]
    assert [each["code"] for each in found if each["code"].startswith("link_un")] == ["link_unanswered"]


def test_a_post_is_shown_with_its_card_as_far_as_it_is_known(posted: CommandLine) -> None:
    told = posted("content", "preview", 1, "--channel", "x").out
    assert told.endswith("Card: not known; --card asks the page\n      127.0.0.1\n")
    card = posted("content", "preview", 1, "--channel", "x", "--card", "--json").document["card"]
    assert card["read"] and card["title"] is None and "no connection" in card["trouble"]
    assert posted("content", "preview", 1, "--channel", "instagram", "--json").document["card"] is None
    assert "Card" not in posted("content", "preview", 1, "--channel", "x", "--part", "source").out
