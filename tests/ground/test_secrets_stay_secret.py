"""One secret, searched for wherever a secret could come out."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aicmo.sandbox import Fault, RunningSandbox, start_sandbox
from aicmo_tui.cli.verb import run_command

CANARY = "c4nary-s3cret"
PLACES = {
    "environment": 'password_env = "THE_PASSWORD"',
    "command": f'password_cmd = ["{sys.executable}", "-c", "print(\'c4nary\' + \'-s3cret\')"]',
    "file": f'password = "{CANARY}"',
}
FORMS = [CANARY, base64.b64encode(f"\0ada\0{CANARY}".encode()).decode(), base64.b64encode(CANARY.encode()).decode()]
"""As it is, and as it stands in AUTH PLAIN and AUTH LOGIN."""


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    with start_sandbox(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


@pytest.mark.parametrize("place", PLACES)
def test_a_secret_comes_out_nowhere(
    place: str,
    sandbox: RunningSandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    config, data = tmp_path / "config.toml", tmp_path / "data"
    config.touch(mode=0o600)
    port = sandbox.smtp["smtp-a"].port
    config.write_text(
        '[sender]\nname = "Ada"\nemail = "ada@example.com"\npostal_address = "1 Way"\n'
        '[chains]\nemail_sending = ["smtp-a"]\n[providers.smtp-a]\nkind = "smtp"\n'
        f'host = "127.0.0.1"\nport = {port}\nsecurity = "none"\nusername = "ada"\n{PLACES[place]}\n'
    )
    monkeypatch.setenv("AICMO_CONFIG", str(config))
    monkeypatch.setenv("AICMO_DATA_DIR", str(data))
    monkeypatch.setenv("AICMO_DEBUG", "1")
    if place == "environment":
        monkeypatch.setenv("THE_PASSWORD", CANARY)
    (tmp_path / "people.csv").write_text("email\nann@one.example\n")
    (tmp_path / "body.md").write_text("Hello\n")
    # A server may send back what it was given, and say so in words.
    echoed = " ".join(FORMS)
    sandbox.set_faults([Fault("auth", "reply", reply=f"535 5.7.8 {echoed} is wrong")])
    for words in (
        ["contact", "import", str(tmp_path / "people.csv")],
        ["content", "create", "--title", "T", "--subject", "S", "--body", str(tmp_path / "body.md")],
        ["campaign", "create", "--name", "N", "--content", "1", "--to", ""],
        ["campaign", "test", "1"],
        ["campaign", "start", "1", "--yes"],
        ["run", "--json"],
        ["campaign", "deliveries", "1", "--json"],
        ["health", "--json"],
        ["health"],
        ["config", "show"],
        ["config", "show", "--json"],
        ["config", "show", "--csv"],
    ):
        run_command(words)
    monkeypatch.setattr("aicmo.workspace.Workspace.health", lambda self: [][0])
    assert run_command(["health"]) == 3  # with its traceback
    said = "".join(capfd.readouterr())
    assert "535" in said and "Traceback" in said
    left = {file.name: file.read_bytes() for file in data.rglob("*") if file.is_file()}
    assert {"aicmo.db", "health.db", "aicmo.log"} <= set(left)
    assert "••••••••" in said or place != "file"
    for form in FORMS:
        assert form not in said
        assert not [name for name, content in left.items() if form.encode() in content]


def test_a_secret_is_not_on_a_command_line_of_ours(tmp_path: Path) -> None:
    """Others can read those; ``aicmo init`` has no option that takes a password."""
    done = subprocess.run(
        [sys.executable, "-c", "from aicmo_tui.cli import main; main()", "init", "--password", CANARY],
        capture_output=True,
        text=True,
        env={**os.environ, "AICMO_CONFIG": str(tmp_path / "c.toml")},
    )
    assert done.returncode == 2 and "No such option" in done.stderr
