"""``aicmo contact enrich`` and ``verify``: what is said before money is spent, and the exit codes after it."""

from __future__ import annotations

from pathlib import Path

import pytest
from commandline import CommandLine, config_text, with_enrichment, write_config

from aicmo.sandbox import RunningSandbox
from aicmo.sandbox.known import what_is_known

KNOWN = next(known for known in what_is_known() if known.case == "both" and known.number > 20)


@pytest.fixture
def asking(aicmo: CommandLine, home: Path, sandbox: RunningSandbox) -> CommandLine:
    """One person whom Apollo knows and one whom it does not, and providers to ask."""
    write_config(home / "config.toml", with_enrichment(config_text(), sandbox))
    for email in (KNOWN.person.email, "nobody@one.example"):
        aicmo("contact", "add", email)
    return aicmo


def test_nobody_is_asked_before_the_person_agrees(asking: CommandLine, sandbox: RunningSandbox) -> None:
    assert asking("contact", "enrich", "--json", code=9).error["code"] == "approval_needed"
    planned = asking("contact", "enrich", "--dry-run", "--json").document
    assert planned["credits_at_most"] == 2 and planned["counts"] == {"selected": 2, "to_ask": 2}
    assert [each["provider"] for each in planned["estimate"]] == ["apollo"]
    assert sandbox.http_log() == []


def test_what_came_of_it_is_counted_told_and_not_paid_for_twice(asking: CommandLine, sandbox: RunningSandbox) -> None:
    done = asking("contact", "enrich", "--yes", "--json").document
    assert done["status"] == "done"
    assert done["counts"] == {
        "selected": 2, "skipped": 0, "asked": 2, "found": 1, "unknown": 0, "failed": 0, "remaining": 0, "no_match": 1
    }  # fmt: skip
    assert sum(each.credits for each in sandbox.http_log()) == done["providers"][0]["credits"] == 1
    again = asking("contact", "enrich", "--yes", "--json").document
    assert again["skipped"] == {"recent": 2} and again["counts"]["asked"] == 0
    person = asking("contact", "show", KNOWN.person.email, "--json").document
    assert person["stage"] in ("ENRICHED", "VERIFIED") and person["last_name"]
    assert {fact["provider"] for fact in person["enrichment"]} == {"apollo"}
    assert asking("undo", "--json").document["status"] == "done"
    assert asking("contact", "show", KNOWN.person.email, "--json").document["last_name"] == ""


def test_a_limit_on_credits_leaves_the_rest_and_says_so(asking: CommandLine) -> None:
    stopped = asking("contact", "verify", "--yes", "--max-credits", 1, "--json", code=5).document
    assert stopped["status"] == "partial" and stopped["counts"]["remaining"] == 1
    assert "credits" in stopped["providers"][0]["why"] and stopped["providers"][0]["credits"] == 1


def test_a_refused_key_is_told_by_its_exit_code(asking: CommandLine, home: Path, sandbox: RunningSandbox) -> None:
    config = with_enrichment(config_text(), sandbox).replace(sandbox.keys["apollo"], "not-the-key-of-anybody")
    write_config(home / "config.toml", config)
    assert asking("contact", "enrich", "--yes", "--json", code=4).document["counts"]["remaining"] == 2


def test_without_a_provider_it_is_skipped_and_says_so(aicmo: CommandLine) -> None:
    aicmo("contact", "add", "ann@one.example")
    skipped = aicmo("contact", "enrich", "--yes", "--json", code=7).document
    assert skipped["status"] == "skipped" and skipped["counts"]["asked"] == 0
    assert "no provider is configured" in aicmo("contact", "enrich", "--yes", code=7).out
