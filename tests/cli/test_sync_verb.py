"""``aicmo contact sync``: what it says, and the exit codes that cron relies on."""

from __future__ import annotations

from pathlib import Path

import pytest
from commandline import CommandLine, config_text, with_crm, write_config

from aicmo.sandbox import Fault, RunningSandbox


@pytest.fixture
def linked(aicmo: CommandLine, home: Path, sandbox: RunningSandbox) -> CommandLine:
    """One person, and the sandbox's Airtable."""
    write_config(home / "config.toml", with_crm(config_text(), sandbox))
    sandbox.set_account("airtable", requests_per_second=1_000)
    aicmo("contact", "add", "ann@one.example", "--company", "One")
    return aicmo


def test_it_says_what_it_did_on_each_side(linked: CommandLine) -> None:
    told = linked("contact", "sync", "ann@one.example", "--json").document
    assert (told["schema"], told["status"], told["provider"]) == ("aicmo.contact.sync/1", "done", "airtable")
    assert told["counts"]["push"] == {"created": 1, "updated": 0, "failed": 0, "gone": 0, "unknown": 0}
    pull = told["counts"]["pull"]
    assert pull["read"] == sum(count for name, count in pull.items() if name != "read") == 120
    assert (told["problem"], told["change_id"]) == (None, None)
    assert "there: 0 new, 0 changed" in linked("contact", "sync", "ann@one.example").out


def test_0_what_both_sides_changed_is_listed(linked: CommandLine) -> None:
    assert linked("contact", "sync", "--conflicts", "--json").document == []
    assert "No field was changed on both sides" in linked("contact", "sync", "--conflicts").err


def test_2_a_rule_that_there_is_not(linked: CommandLine) -> None:
    linked("contact", "sync", "--rule", "mine", code=2)


def test_4_a_token_that_is_refused(linked: CommandLine, home: Path, sandbox: RunningSandbox) -> None:
    text = with_crm(config_text(), sandbox).replace(sandbox.keys["airtable"], "patWrong00000000.0")
    write_config(home / "config.toml", text)
    error = linked("contact", "sync", "--json", code=4).error
    assert error["code"] == "auth_needed" and "token" in error["message"] and "patWrong" not in str(error)


def test_5_stopped_on_its_way(linked: CommandLine, sandbox: RunningSandbox) -> None:
    sandbox.set_account("airtable", requests_per_second=1_000, calls_left=2)
    told = linked("contact", "sync", "--json", code=5).document
    assert (told["status"], told["problem"]["outcome"]) == ("partly", "quota")


def test_6_a_column_that_is_not_there(linked: CommandLine, home: Path, sandbox: RunningSandbox) -> None:
    write_config(home / "config.toml", with_crm(config_text(), sandbox) + 'fields = { Town = "city" }\n')
    assert "no column “Town”" in linked("contact", "sync", "--json", code=6).error["message"]


def test_7_nobody_answers(linked: CommandLine, sandbox: RunningSandbox) -> None:
    sandbox.set_faults([Fault("connect", "refuse", server="airtable")])
    error = linked("contact", "sync", "--json", code=7).error
    assert error["code"] == "provider_unavailable" and error["retryable"]


def test_7_without_a_crm_it_is_skipped_and_says_why(aicmo: CommandLine) -> None:
    told = aicmo("contact", "sync", "--json", code=7).document
    assert told["status"] == "skipped" and "crm_sync" in told["reason"]
