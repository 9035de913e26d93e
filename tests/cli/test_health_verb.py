"""``aicmo health`` over real sockets and real files: one valid document in every state."""

from __future__ import annotations

import json
import os
import pty
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from commandline import CommandLine, config_text, write_config

from aicmo.sandbox import PASSWORD, USER, Fault, RunningSandbox
from aicmo_tui.cli.health import EXIT_CODES

CHAINS = """
lead_enrichment = ["apollo", "dropcontact"]
crm_sync = ["airtable"]
reply_fetching = ["inbox"]
webhook_dispatch = ["hook"]
"""


def everybody(sandbox: RunningSandbox, **keys: str) -> str:
    """A configuration of all kinds of provider, each with the sandbox's key or another."""
    text = config_text(sandbox).replace('"smtp-b"]\n', '"smtp-b"]' + CHAINS)
    for name, key in sandbox.keys.items():
        more = {"apollo": "monthly_credits = 500", "airtable": 'base_id = "appSandboxAAAAAAA"'}.get(name, "")
        key = keys.get(name, key)
        base = sandbox.http[name].base_url
        text += f'[providers.{name}]\nkind = "{name}"\nbase_url = "{base}"\napi_key = "{key}"\n{more}\n'
    hook = sandbox.http["webhook"].base_url
    text += f'[providers.hook]\nkind = "webhook"\nurl = "{hook}{keys.get("path", "")}"\n'
    text += f'api_key = "{keys["hook"]}"\n' if "hook" in keys else "signed = false\n"
    return text + (
        f'[providers.inbox]\nkind = "imap"\nhost = "{sandbox.imap.host}"\nport = {sandbox.imap.port}\n'
        f'security = "none"\nusername = "{USER}"\npassword = "{keys.get("inbox", PASSWORD)}"\n'
    )


@pytest.fixture
def full_home(home: Path, sandbox: RunningSandbox) -> Path:
    write_config(home / "config.toml", everybody(sandbox))
    return home


def providers(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for chain in document["capabilities"] for each in chain["providers"]}


# --- the full check ---------------------------------------------------------------------------------------------------


def test_a_full_check_asks_everybody_and_keeps_what_they_say(aicmo: CommandLine, full_home: Path) -> None:
    answer = aicmo("health", "--json")
    assert answer.err == "" and answer.document["status"] == "ok"
    found = providers(answer.document)
    assert set(found) == {"smtp-a", "smtp-b", "apollo", "dropcontact", "airtable", "inbox", "hook"}
    assert {each["state"] for each in found.values()} == {"ok"}
    quota = found["apollo"]["quota"]
    assert (quota["unit"], quota["left"], quota["limit"]) == ("credits", 2520, 2520) and quota["resets_at"]
    assert found["apollo"]["budgets"] == [{"unit": "credits", "used": 0, "limit": 500}]
    assert found["dropcontact"]["quota"]["left"] == 1500 and found["smtp-a"]["quota"] is None
    stored = aicmo("health", "--status", "--json").document
    assert {**stored, "at": ""} == {**answer.document, "at": ""}


def test_a_full_check_tells_its_progress_on_stderr(aicmo: CommandLine, full_home: Path) -> None:
    answer = aicmo("health")
    assert all(f"  {name}: ok" in answer.err for name in ("smtp-a", "apollo", "inbox"))
    assert answer.out.startswith("health: ok\n") and "2,520 of 2,520 credits left" in answer.out
    assert aicmo("health", "--quiet").err == ""


def test_nothing_is_spent_and_nothing_is_sent(aicmo: CommandLine, full_home: Path, sandbox: RunningSandbox) -> None:
    for _ in range(3):
        aicmo("health", "--json")
    assert sandbox.received() == []
    assert providers(aicmo("health", "--json").document)["apollo"]["quota"]["left"] == 2520


def test_the_stored_state_is_told_without_asking_anybody(
    aicmo: CommandLine, full_home: Path, sandbox: RunningSandbox
) -> None:
    document = aicmo("health", "--status", "--json", code=3).document
    assert {each["state"] for each in providers(document).values()} == {"no data"}
    assert sandbox.http_log() == []


def test_a_refused_key_is_told_with_what_to_do(aicmo: CommandLine, home: Path, sandbox: RunningSandbox) -> None:
    write_config(home / "config.toml", everybody(sandbox, apollo="wrong-key-of-ours"))
    document = aicmo("health", "--json", code=1).document
    (chain,) = [each for each in document["capabilities"] if each["capability"] == "lead_enrichment"]
    assert (chain["status"], chain["serving"]) == ("warning", "dropcontact")
    assert providers(document)["apollo"]["state"] == "blocked"
    advice = document["recommendations"][0]
    assert (advice["severity"], advice["provider"], advice["cause"]) == ("critical", "apollo", "auth")
    assert "[providers.apollo]" in advice["action"]
    write_config(home / "config.toml", everybody(sandbox))
    healed = aicmo("health", "--json", code=None).document
    assert providers(healed)["apollo"]["state"] in ("ok", "probing"), "a new key is tried at once"


def test_who_is_out_of_credits_is_blocked_and_told_so(
    aicmo: CommandLine, full_home: Path, sandbox: RunningSandbox
) -> None:
    sandbox.set_account("dropcontact", credits=0)
    document = aicmo("health", "--json", code=0).document
    told = providers(document)["dropcontact"]
    assert (told["state"], told["reason"], told["quota"]["left"]) == ("blocked", "quota", 0)
    assert "quota" in {each["cause"] for each in document["recommendations"]}


def test_a_provider_that_cannot_be_configured_so_is_told_and_the_others_are_asked(
    aicmo: CommandLine, home: Path, sandbox: RunningSandbox
) -> None:
    text = everybody(sandbox).replace('base_id = "appSandboxAAAAAAA"', 'base_id = "none"')
    write_config(home / "config.toml", text)
    document = aicmo("health", "--json", code=2).document
    found = providers(document)
    assert found["airtable"]["reason"] == "config" and "base_id" in found["airtable"]["last_error"]
    assert found["apollo"]["state"] == "ok"


# --- one valid document in every state --------------------------------------------------------------------------------


def damaged(file: Path) -> None:
    file.write_bytes(b"this is no database " * 400)


def newer(file: Path) -> None:
    db = sqlite3.connect(file)
    db.execute("PRAGMA user_version=99")
    db.close()


def not_a_file(file: Path) -> None:
    file.unlink()
    file.mkdir()


def read_only(file: Path) -> None:
    file.chmod(0o400)


def another_schema(file: Path) -> None:
    file.unlink()
    db = sqlite3.connect(file)
    db.executescript("CREATE TABLE provider (x); CREATE TABLE contact (x);")
    db.close()


@pytest.mark.parametrize("options", [["--status"], []], ids=["stored", "full"])
@pytest.mark.parametrize("name", ["aicmo.db", "health.db"])
@pytest.mark.parametrize("harm", [damaged, newer, not_a_file, read_only, another_schema])
def test_a_broken_store_is_one_valid_document_and_exit_3(
    harm: Callable[[Path], None], name: str, options: list[str], aicmo: CommandLine, full_home: Path, tmp_path: Path
) -> None:
    aicmo("health", "--json")
    for left in (full_home / "data").glob(f"{name}-*"):
        left.unlink()
    harm(full_home / "data" / name)
    answer = aicmo("health", *options, "--json", "--prometheus", tmp_path / "x.prom", code=3)
    document = answer.document
    assert answer.err == "" and document["status"] == "unknown"
    assert name in document["degraded"]
    assert document["recommendations"][0]["severity"] == "critical" and document["recommendations"][0]["action"]
    assert set(providers(document)) == {"smtp-a", "smtp-b", "apollo", "dropcontact", "airtable", "inbox", "hook"}
    assert "aicmo_store_degraded 1" in (tmp_path / "x.prom").read_text()
    told = aicmo("health", *options, code=3)
    assert told.out.startswith("health: unknown\n") and name in told.out


def test_a_broken_main_database_hides_no_health(aicmo: CommandLine, full_home: Path) -> None:
    aicmo("health")
    damaged(full_home / "data" / "aicmo.db")
    document = aicmo("health", "--status", "--json", code=3).document
    assert {each["state"] for each in providers(document).values()} == {"ok"}
    assert document["unknown_sends"] is None


@pytest.mark.parametrize("text", ["[chains]\nx = 3", "not toml", "[health]\nx = 1"])
def test_a_broken_configuration_is_one_valid_document_too(text: str, aicmo: CommandLine, home: Path) -> None:
    write_config(home / "config.toml", text + '\n[sender]\nname = "A"\n')
    for words in ([], ["--status"], ["--watch"]):
        document = aicmo("health", *words, "--json", code=3).document
        assert document["status"] == "unknown" and document["error"]["code"] == "config_invalid"


@pytest.mark.parametrize(
    "words",
    [
        ["--interval", "1"],
        ["--watch", "--reset", "smtp-a"],
        ["--for", "1h"],
        ["--reset", "smtp-a", "--for", "1h"],
        ["--watch", "--interval", "0"],
        ["more"],
    ],
)
def test_bad_usage_is_unknown_and_never_critical(words: list[str], aicmo: CommandLine, home: Path) -> None:
    answer = aicmo("health", *words, "--json", code=3)
    assert answer.error["code"] == "usage"


# --- a person's word --------------------------------------------------------------------------------------------------


def test_a_provider_can_be_disabled_forced_and_reset(aicmo: CommandLine, full_home: Path) -> None:
    aicmo("health", "--json")
    document = aicmo("health", "--disable", "smtp-a", "--for", "2h", "--yes", "--json").document
    told = providers(document)["smtp-a"]
    assert (told["state"], told["reason"]) == ("disabled", "disabled") and told["override_until"]
    assert document["capabilities"][0]["serving"] == "smtp-b" and document["status"] == "warning"
    aicmo("health", "--status", "--json", code=1)
    forced = aicmo("health", "--force", "smtp-a", "--yes", "--json").document
    assert providers(forced)["smtp-a"]["state"] == "forced"
    assert "forced" in {each["cause"] for each in forced["recommendations"]}
    aicmo("health", "--reset", "smtp-a", "--yes", "--json")
    aicmo("health", "--status", "--json", code=0)


def test_nobody_is_overruled_without_a_yes_or_for_no_time(aicmo: CommandLine, full_home: Path) -> None:
    assert aicmo("health", "--disable", "smtp-a", "--json", code=3).error["code"] == "approval_needed"
    assert aicmo("health", "--disable", "smtp-x", "--yes", "--json", code=3).error["code"] == "not_found"
    for span in ("30", "0m", "-1h", "32d", "1y", ""):
        assert aicmo("health", "--disable", "smtp-a", "--for", span, "--yes", "--json", code=3).error
    document = aicmo("health", "--status", "--json", code=3).document
    assert providers(document)["smtp-a"]["state"] == "no data"


def test_a_dry_run_says_what_would_follow_and_changes_nothing(aicmo: CommandLine, full_home: Path) -> None:
    before = aicmo("health", "--json").document
    would = aicmo("health", "--disable", "smtp-a", "--for", "2h", "--dry-run", "--json").document
    assert would["status"] == "dry_run"
    assert (would["capabilities"][0]["serving"], providers(would)["smtp-a"]["state"]) == ("smtp-b", "disabled")
    told = aicmo("health", "--force", "smtp-b", "--dry-run")
    assert "Nothing was changed; smtp-b would be forced until" in told.err and "smtp-b  forced" in told.out
    after = aicmo("health", "--status", "--json").document
    assert {**after, "at": ""} == {**before, "at": ""}
    assert aicmo("health", "--disable", "smtp-x", "--dry-run", "--json", code=3).error["code"] == "not_found"
    for words in ([], ["--status"], ["--watch"]):
        assert aicmo("health", *words, "--dry-run", "--json", code=3).error["code"] == "usage"


def test_a_change_is_told_with_the_process_that_saw_it(aicmo: CommandLine, full_home: Path) -> None:
    aicmo("health")
    aicmo("health", "--disable", "smtp-a", "--yes")
    document = aicmo("health", "--status", "--json", code=1).document
    change = document["changes"][0]
    assert (change["provider"], change["before"], change["after"]) == ("smtp-a", "ok", "disabled")
    assert ", pid " in change["seen_by"]
    first = document["capabilities"][0]
    assert first["since"] == providers(document)["smtp-a"]["since"] == change["at"]
    assert "(seen by: " in aicmo("health", "--status", code=1).out


# --- watching ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def watching(full_home: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    begun: list[subprocess.Popen[str]] = []

    def begin(*words: str, stdout: int = subprocess.PIPE) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", "from aicmo_tui.cli import main; main()", "health", "--watch", *words]
        begun.append(subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE, text=True))
        return begun[-1]

    yield begin
    for process in begun:
        process.kill()
        process.communicate()


def line_of(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.communicate()
    document: dict[str, Any] = json.loads(line)
    return document


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_watch_is_an_object_for_every_change_until_it_is_interrupted(
    number: signal.Signals, watching: Callable[..., subprocess.Popen[str]], aicmo: CommandLine, sandbox: RunningSandbox
) -> None:
    aicmo("health")
    process = watching("--status", "--interval", "0.1", "--json")
    assert (first := line_of(process))["event"] == "first" and first["status"] == "ok"
    aicmo("health", "--disable", "smtp-a", "--yes")  # what another process does
    assert (change := line_of(process))["event"] == "change"
    assert (change["status"], change["capabilities"][0]["serving"]) == ("warning", "smtp-b")
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "", "")


def test_a_watch_asks_the_providers_itself(
    watching: Callable[..., subprocess.Popen[str]], sandbox: RunningSandbox
) -> None:
    process = watching("--interval", "0.1", "--json")
    document = line_of(process)
    while document["status"] != "ok":
        document = line_of(process)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0


def test_a_watch_in_a_pipe_is_plain_lines(watching: Callable[..., subprocess.Popen[str]], aicmo: CommandLine) -> None:
    aicmo("health")
    process = watching("--status", "--interval", "0.1")
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(4)]
    assert lines[0].startswith("--- 20") and lines[1] == "health: ok\n" and "\x1b" not in "".join(lines)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0


def test_a_watch_whose_reader_has_gone_ends_quietly(
    watching: Callable[..., subprocess.Popen[str]], aicmo: CommandLine
) -> None:
    aicmo("health")
    process = watching("--status", "--interval", "0.1", "--json")
    line_of(process)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    aicmo("health", "--disable", "smtp-a", "--yes")
    assert process.wait(30) == 0
    assert process.stderr.read() == ""


def test_a_watch_on_a_terminal_redraws(watching: Callable[..., subprocess.Popen[str]], aicmo: CommandLine) -> None:
    aicmo("health")
    ours, theirs = pty.openpty()
    process = watching("--status", "--interval", "0.1", stdout=theirs)
    os.close(theirs)
    seen = b""
    while seen.count(b"\x1b[2J") < 3:
        seen += os.read(ours, 65536)
    assert seen.startswith(b"\x1b[H\x1b[2Jhealth: ok") and b"Ctrl-C" in seen
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    os.close(ours)


# --- Prometheus -------------------------------------------------------------------------------------------------------


def test_the_textfile_is_written_beside_the_answer(aicmo: CommandLine, full_home: Path, tmp_path: Path) -> None:
    file = tmp_path / "aicmo.prom"
    assert aicmo("health", "--json", "--prometheus", file).document["status"] == "ok"
    assert 'aicmo_provider_quota_remaining{provider="apollo",unit="credits"} 2520' in file.read_text()
    error = aicmo("health", "--status", "--json", "--prometheus", tmp_path / "no/such/dir.prom", code=3).error
    assert "dir.prom" in error["message"]


# --- secrets ----------------------------------------------------------------------------------------------------------


def test_no_key_comes_out_anywhere(
    aicmo: CommandLine, home: Path, sandbox: RunningSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A canary in every provider's secret, refused by everybody, some of whom repeat what they were given."""
    names = ("apollo", "dropcontact", "airtable", "inbox", "hook", "path", "smtp")
    canaries = {name: f"c4nary-{name}-7731" for name in names}
    text = everybody(sandbox, **{**canaries, "path": f"/{canaries['path']}"})
    text = text.replace("connections", f'username = "ada"\npassword = "{canaries["smtp"]}"\nconnections')
    write_config(home / "config.toml", text)
    sandbox.set_faults([Fault("auth", "reply", reply=f"535 5.7.8 {canaries['smtp']} is wrong")])
    monkeypatch.setenv("AICMO_DEBUG", "1")
    file = tmp_path / "aicmo.prom"
    said = ""
    for words in (["--json"], [], ["--status", "--json"], ["--prometheus", file], ["--disable", "apollo", "--yes"]):
        answer = aicmo("health", *words, code=None)
        assert answer.code in EXIT_CODES.values()
        said += answer.out + answer.err
    with monkeypatch.context() as broken:
        broken.setattr("aicmo.workspace.Workspace.health", lambda self: [][0])
        answer = aicmo("health", code=3)
    said += answer.out + answer.err
    assert "Traceback" in said and "535" in said and "auth" in said
    left = {each: each.read_bytes() for each in [file, *(home / "data").rglob("*")] if each.is_file()}
    assert {"aicmo.db", "health.db", "aicmo.prom", "aicmo.log"} <= {each.name for each in left}
    for canary in canaries.values():
        assert canary not in said
        assert [each.name for each, content in left.items() if canary.encode() in content] == []
