"""``aicmo init``: what is asked, tried and written, with and without a terminal."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import keyring
import keyring.backend
import pytest
from commandline import CommandLine

from aicmo.config import load_config
from aicmo.sandbox import Fault, RunningSandbox

SECRET = 'c4nary "pass\\word" ü'


@pytest.fixture
def fresh(home: Path) -> Path:
    """The path of a configuration that is not there yet."""
    (home / "config.toml").unlink()
    return home / "config.toml"


@pytest.fixture
def said(sandbox: RunningSandbox) -> list[object]:
    """Everything about the sender and a server that works."""
    where = sandbox.smtp["smtp-a"]
    who = ["--name", 'Ada "L" Lovelace', "--email", "ada@example.com", "--postal-address", "1 Way \\ London"]
    return [*who, "--host", where.host, "--port", where.port, "--security", "none"]


class MemoryKeyring(keyring.backend.KeyringBackend):
    priority = 1.0

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.kept[service, username]


@pytest.fixture
def memory_keyring() -> Iterator[MemoryKeyring]:
    before = keyring.get_keyring()
    kept = MemoryKeyring()
    keyring.set_keyring(kept)
    yield kept
    keyring.set_keyring(before)


def type_ahead(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


def test_a_script_gets_a_private_commented_file_that_loads(
    aicmo: CommandLine, fresh: Path, said: list[object], sandbox: RunningSandbox
) -> None:
    document = aicmo("init", *said, "--json").document
    assert document["status"] == "done" and document["server"] == "ok" and document["copy"] is None
    assert sandbox.status().smtp["smtp-a"].connections
    assert fresh.stat().st_mode & 0o777 == 0o600
    config = load_config(fresh, environ={})
    assert (config.sender.name, config.sender.postal_address) == ('Ada "L" Lovelace', "1 Way \\ London")
    assert config.chains == {"email_sending": ["smtp-main"]}
    assert fresh.read_text().count("#") > 4
    assert not list(fresh.parent.glob("*.new"))
    aicmo("config", "show")


def test_the_next_step_is_named(aicmo: CommandLine, fresh: Path, said: list[object]) -> None:
    assert "aicmo contact import people.csv" in aicmo("init", *said).out


def test_a_folder_it_makes_is_private_and_one_that_is_there_keeps_its_rights(
    aicmo: CommandLine, tmp_path: Path, said: list[object]
) -> None:
    there = tmp_path / "there"
    there.mkdir(mode=0o755)
    aicmo("init", *said, "--config", there / "made" / "deep" / "config.toml")
    aicmo("init", *said, "--config", there / "config.toml")
    assert there.stat().st_mode & 0o777 == 0o755
    assert (there / "made").stat().st_mode & 0o777 == (there / "made" / "deep").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("left_out", ["--name", "--email", "--postal-address", "--host"])
def test_without_a_terminal_what_is_missing_is_named(
    left_out: str, aicmo: CommandLine, fresh: Path, said: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    type_ahead(monkeypatch, "")
    at = said.index(left_out)
    error = aicmo("init", *said[:at], *said[at + 2 :], "--json", code=2).error
    assert error["message"] == f"Missing option '{left_out}'."
    assert not fresh.exists()


def test_a_user_name_without_a_place_for_the_password_is_refused(
    aicmo: CommandLine, fresh: Path, said: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    type_ahead(monkeypatch, "")
    assert "--password-env" in aicmo("init", *said, "--username", "ada", "--json", code=2).error["message"]
    assert "password" in aicmo("init", *said, "--username", "ada", "--password-in", "file", code=6).err
    assert not fresh.exists()


@pytest.mark.parametrize(
    ("option", "value", "code"),
    [("--email", "ada", 2), ("--port", "0", 2), ("--security", "ssl", 2), ("--host", "a b", 6)],
)
def test_what_cannot_be_right_is_refused_before_the_server_is_tried(
    option: str, value: str, code: int, aicmo: CommandLine, fresh: Path, said: list[object]
) -> None:
    answer = aicmo("init", *said, option, value, "--no-check", code=code)
    assert option.strip("-") in answer.err and answer.out == ""
    assert not fresh.exists()


def test_an_existing_file_is_replaced_only_on_yes_and_a_copy_is_kept(
    aicmo: CommandLine, home: Path, said: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    type_ahead(monkeypatch, "")
    file = home / "config.toml"
    before = file.read_text()
    file.chmod(0o644)
    assert "--yes" in aicmo("init", *said, "--json", code=9).error["hint"]
    assert file.read_text() == before
    copy = Path(aicmo("init", *said, "--yes", "--json").document["copy"])
    assert copy.read_text() == before and copy.stat().st_mode & 0o777 == 0o600
    assert "smtp-main" in file.read_text()


@pytest.mark.parametrize(
    ("fault", "code", "kind"),
    [
        (Fault("connect", "drop"), 7, "provider_unavailable"),
        (Fault("ehlo", "reply", reply="421 4.3.2 closing"), 7, "provider_unavailable"),
        (Fault("auth", "reply", reply="535 5.7.8 wrong password"), 4, "auth_needed"),
    ],
)
def test_a_server_that_does_not_let_us_in_leaves_nothing_written(
    fault: Fault,
    code: int,
    kind: str,
    aicmo: CommandLine,
    fresh: Path,
    said: list[object],
    sandbox: RunningSandbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sandbox.set_faults([fault])
    monkeypatch.setenv("MY_PASSWORD", SECRET)
    login = ["--username", "ada", "--password-env", "MY_PASSWORD"]
    error = aicmo("init", *said, *login, "--json", code=code).error
    assert error["code"] == kind and "--no-check" in error["hint"] and SECRET not in str(error)
    assert not fresh.exists()
    assert aicmo("init", *said, *login, "--no-check", "--json").document["server"] == "not tried"
    assert tomllib.loads(fresh.read_text())["providers"]["smtp-main"]["password_env"] == "MY_PASSWORD"
    assert SECRET not in fresh.read_text()


def test_a_password_variable_that_is_not_set_is_told(aicmo: CommandLine, fresh: Path, said: list[object]) -> None:
    error = aicmo("init", *said, "--username", "ada", "--password-env", "NOT_SET", "--json", code=4).error
    assert "NOT_SET" in error["message"]


def test_a_command_is_kept_as_words(aicmo: CommandLine, fresh: Path, said: list[object]) -> None:
    aicmo("init", *said, "--username", "ada", "--password-cmd", "printf '%s' sandbox", "--no-check")
    assert load_config(fresh).providers["smtp-main"]["password_cmd"] == ["printf", "%s", "sandbox"]


def test_a_password_for_the_file_comes_from_stdin_and_is_never_printed(
    aicmo: CommandLine, fresh: Path, said: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    type_ahead(monkeypatch, SECRET + "\n")
    answer = aicmo("init", *said, "--username", "ada", "--password-in", "file", "--no-check", "--json")
    assert SECRET not in answer.out + answer.err
    assert load_config(fresh).providers["smtp-main"]["password"].get_secret_value() == SECRET
    assert SECRET not in aicmo("config", "show").out


def test_a_password_for_the_keyring_is_only_there(
    aicmo: CommandLine,
    fresh: Path,
    said: list[object],
    memory_keyring: MemoryKeyring,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    login = ["--username", "ada", "--password-in", "keyring", "--no-check"]
    type_ahead(monkeypatch, SECRET)
    aicmo("init", *said, *login, "--dry-run")
    assert memory_keyring.kept == {} and not fresh.exists()
    type_ahead(monkeypatch, SECRET)
    aicmo("init", *said, *login)
    assert memory_keyring.kept == {("aicmo", "smtp-main"): SECRET}
    assert SECRET not in fresh.read_text()


class Terminal:
    """A program with a terminal of its own, and a person who answers when asked."""

    def __init__(self, *words: str) -> None:
        self._ours, theirs = os.openpty()
        run = [sys.executable, "-c", "from aicmo_tui.cli import main; main()", *words]
        source = f"import os; os.login_tty({theirs}); os.execv({run[0]!r}, {run!r})"
        self._process = subprocess.Popen([sys.executable, "-c", source], pass_fds=[theirs])
        os.close(theirs)
        self.screen = ""

    def answer(self, question: str, line: str) -> None:
        seen = len(self.screen)
        while question not in self.screen[seen:]:
            assert self._read(), self.screen
        os.write(self._ours, line.encode() + b"\n")

    def end(self) -> int:
        while self._read():
            pass
        os.close(self._ours)
        return self._process.wait()

    def _read(self) -> bool:
        with contextlib.suppress(OSError):  # the other side is closed
            read = os.read(self._ours, 4096)
            self.screen += read.decode(errors="replace")
            return bool(read)
        return False


def test_on_a_terminal_a_person_is_asked_and_sees_no_password(fresh: Path, sandbox: RunningSandbox) -> None:
    where = sandbox.smtp["smtp-b"]
    terminal = Terminal("init")
    terminal.answer("Your name", "Ada")
    terminal.answer("address you write from", "ada.example.com")  # refused, asked again
    terminal.answer("address you write from", "ada@example.com")
    terminal.answer("postal address", "1 Way")
    terminal.answer("[smtp.example.com]", where.host)
    terminal.answer("Security", "none")
    terminal.answer("Port", str(where.port))
    terminal.answer("user name?", "y")
    terminal.answer("User name [ada@example.com]", "")
    terminal.answer("Where is the password", "file")
    terminal.answer("Password", SECRET)
    terminal.answer("Keep these answers all the same?", "n")
    assert terminal.end() in (4, 7)
    assert "canary" not in terminal.screen and SECRET not in terminal.screen
    assert not fresh.exists()


def test_on_a_terminal_enter_takes_what_is_suggested(fresh: Path) -> None:
    terminal = Terminal("init", "--name", "Ada", "--email", "ada@example.com", "--postal-address", "x", "--no-check")
    terminal.answer("Mail server [smtp.example.com]", "")
    terminal.answer("[starttls]", "")
    terminal.answer("Port [587]", "")
    terminal.answer("user name?", "n")
    assert terminal.end() == 0
    server = load_config(fresh, environ={}).providers["smtp-main"]
    assert server == {"kind": "smtp", "host": "smtp.example.com", "port": 587, "security": "starttls"}
