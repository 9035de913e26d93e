"""``campaign check`` and ``content check``: what they tell, in which order, and with which exit code."""

from __future__ import annotations

from pathlib import Path

import pytest
from commandline import CommandLine


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
    written("content", "create", "--title", "P", "--type", "social", "--body", sending_home / "good.md")
    assert "e-mails are checked" in written("content", "check", 3, code=6).err
