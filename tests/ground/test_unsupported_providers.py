"""A configuration may name services that this version cannot speak to: it says so, and never calls them healthy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aicmo.errors import ConfigInvalid
from aicmo_tui.cli.verb import run_command

FULL = """
[sender]
name = "Ada Lovelace"
email = "ada@example.com"
postal_address = "1 Analytical Way, London"

[chains]
email_sending = ["smtp-main"]
lead_enrichment = ["apollo", "dropcontact"]
reply_fetching = ["inbox"]
crm_sync = ["airtable"]

[providers.smtp-main]
kind = "smtp"
host = "smtp.example.com"

[providers.inbox]
kind = "pop3"
host = "imap.example.com"
port = 993

[providers.apollo]
kind = "clearbit"
api_key = "c4nary"
monthly_credits = 500

[providers.dropcontact]
kind = "hunter"
api_key_env = "DROPCONTACT_API_KEY"
poll_seconds = 30

[providers.airtable]
kind = "hubspot"
api_key_env = "AIRTABLE_API_KEY"
base_id = "appXXXXXXXXXXXXXX"
contacts_table = "Contacts"
interactions_table = "Interactions"
merge_field = "AICMO ID"
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "config.toml"
    file.touch(mode=0o600)
    file.write_text(FULL)
    monkeypatch.setenv("AICMO_CONFIG", str(file))
    monkeypatch.setenv("AICMO_DATA_DIR", str(tmp_path / "data"))
    return file


def test_config_show_shows_them_with_their_secrets_masked(config: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command(["config", "show", "--json"]) == 0
    out, _ = capfd.readouterr()
    shown = {row["key"]: row for row in json.loads(out)}
    assert shown["providers.airtable.merge_field"]["value"] == "AICMO ID"
    assert shown["providers.apollo.api_key"]["value"] == "••••••••" and "c4nary" not in out
    assert shown["providers.inbox.port"]["source"] == str(config)
    assert shown["providers.smtp-main.connections"]["source"] == "default"


def test_health_marks_them_unsupported_and_never_healthy(config: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command(["health", "--status", "--json"]) == 3
    capabilities = {each["capability"]: each for each in json.loads(capfd.readouterr().out)["capabilities"]}
    for name in ("lead_enrichment", "reply_fetching", "crm_sync"):
        assert capabilities[name]["status"] == "unknown" and capabilities[name]["serving"] is None
        assert {each["state"] for each in capabilities[name]["providers"]} == {"unsupported"}
    assert [each["state"] for each in capabilities["email_sending"]["providers"]] == ["no data"]


def test_what_needs_one_of_them_says_so(config: Path) -> None:
    from aicmo_tui.cli.verb import Run

    with Run().open_workspace() as workspace, pytest.raises(ConfigInvalid, match=r"providers\.apollo\.kind"):
        workspace.chain("lead_enrichment")


def test_contacts_work_whatever_else_is_configured(config: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command(["contact", "count", "--json"]) == 0
    assert json.loads(capfd.readouterr().out) == {"count": 0}
