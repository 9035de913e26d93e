"""Where a secret is found, and that a failure to find it tells nothing."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator

import keyring
import keyring.backend
import keyring.errors
import pytest

from aicmo.errors import AuthNeeded
from aicmo.secrets import SecretSource, keep_in_keyring

CANARY = "c4nary-secret"


class FakeKeyring(keyring.backend.KeyringBackend):
    priority = 1.0

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}
        self.locked = False

    def get_password(self, service: str, username: str) -> str | None:
        if self.locked:
            raise keyring.errors.KeyringLocked(CANARY)
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        if self.locked:
            raise keyring.errors.KeyringLocked(CANARY)
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.kept[service, username]


@pytest.fixture
def fake_keyring() -> Iterator[FakeKeyring]:
    before, fake = keyring.get_keyring(), FakeKeyring()
    keyring.set_keyring(fake)
    yield fake
    keyring.set_keyring(before)


def printing(source: str) -> list[str]:
    return [sys.executable, "-c", source]


def failure(source: SecretSource) -> AuthNeeded:
    """Why it is not there; neither the error nor its traceback holds the canary."""
    with pytest.raises(AuthNeeded) as raised:
        source()
    error = raised.value
    told = "".join(traceback.format_exception(error)) + error.message + error.hint + repr(source)
    # the command that prints it is part of this test's own code, which a traceback quotes
    assert CANARY not in told
    assert error.hint
    return error


def test_a_secret_comes_from_the_environment() -> None:
    assert SecretSource("smtp", env="X", environ={"X": CANARY})() == CANARY
    assert "X" in failure(SecretSource("smtp", env="X", environ={})).message
    assert "X" in failure(SecretSource("smtp", env="X", environ={"X": ""})).message


def test_a_secret_is_the_first_line_of_a_command_to_the_letter() -> None:
    source = SecretSource("smtp", command=printing("print(' pass word \\r\\nurl: x\\n')"))
    assert source() == " pass word "


@pytest.mark.parametrize(
    "source",
    [
        "import sys; print('c4nary' + '-secret'); sys.exit(1)",
        "import sys; print('c4nary' + '-secret', file=sys.stderr); sys.exit(2)",
        "import sys; sys.stdout.buffer.write(b'c4nary' + b'-secret\\xff')",
        "pass",
    ],
)
def test_a_command_that_fails_tells_nothing_of_what_it_printed(source: str) -> None:
    failure(SecretSource("smtp", command=printing(source)))


def test_a_command_that_is_not_there_is_named() -> None:
    assert "no-such-program" in failure(SecretSource("smtp", command=["no-such-program"])).message


def test_a_command_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aicmo.secrets.COMMAND_TIMEOUT_S", 0.1)
    assert "TimeoutExpired" in failure(SecretSource("smtp", command=printing("import time; time.sleep(60)"))).message


def test_a_secret_of_the_file_does_not_show_in_the_source() -> None:
    source = SecretSource("smtp", literal=CANARY, environ={"X": CANARY})
    assert source() == CANARY
    assert CANARY not in repr(source) + source.described


def test_a_secret_comes_from_the_keyring(fake_keyring: FakeKeyring) -> None:
    failure(SecretSource("smtp-main"))
    keep_in_keyring("smtp-main", CANARY)
    assert fake_keyring.kept == {("aicmo", "smtp-main"): CANARY}
    assert SecretSource("smtp-main")() == CANARY


def test_a_locked_keyring_is_told_as_such(fake_keyring: FakeKeyring) -> None:
    fake_keyring.locked = True
    failure(SecretSource("smtp-main"))
    with pytest.raises(AuthNeeded, match="KeyringLocked") as raised:
        keep_in_keyring("smtp-main", "x")
    assert CANARY not in raised.value.message


def test_what_is_configured_wins_over_the_keyring(fake_keyring: FakeKeyring) -> None:
    keep_in_keyring("smtp", "from the keyring")
    assert SecretSource("smtp", env="X", environ={"X": "from the environment"})() == "from the environment"
    assert SecretSource("smtp", literal="from the file")() == "from the file"
