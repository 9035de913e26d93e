"""How a secret is found, and how it is kept out of everything else.

A secret comes from an environment variable, a command that prints it, the operating system's keyring, or a file that
only its owner can read: the configuration itself, or one of its own. It is fetched when it is first needed, and it is
never logged, printed, exported or put on a command line of ours.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aicmo.errors import AuthNeeded, ConfigInvalid

MASK = "••••••••"
KEYRING_SERVICE = "aicmo"
COMMAND_TIMEOUT_S = 30.0
"""A password manager may ask its owner to unlock it; half a minute is enough to do that."""


@dataclass(frozen=True, slots=True)
class SecretSource:
    """Where one provider's secret lies. Calling it fetches the secret."""

    provider: str
    env: str | None = None
    command: Sequence[str] | None = None
    literal: str | None = field(default=None, repr=False)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    what: str = "password"
    """What it is, for a person."""
    key: str = "password"
    """What the keys that name its place begin with: ``password_env``, ``password_cmd``."""
    table: str = ""
    """Of the configuration, with those keys; empty: the provider's own."""
    file: Path | None = None
    """One that holds the secret alone, and that only its owner may read."""
    whole: bool = False
    """The secret is all that a command prints, not its first line."""

    @property
    def described(self) -> str:
        """For a person: where the secret comes from, never what it is."""
        if self.env:
            return f"environment variable {self.env}"
        if self.command:
            return f"command {self.command[0]}"
        if self.file:
            return f"file {self.file}"
        if self.literal is not None:
            return "the configuration file"
        return f"keyring ({KEYRING_SERVICE}, {self.provider})"

    def __call__(self) -> str:
        """The secret. Raises ``AuthNeeded`` when it is not there."""
        if self.env:
            found = self.environ.get(self.env)
        elif self.command:
            found = self._run_command(self.command)
        elif self.file:
            found = self._read_file(self.file)
        elif self.literal is not None:
            found = self.literal
        else:
            found = self._ask_keyring()
        if not found:
            raise AuthNeeded(
                f"No {self.what} for {self.provider}: {self.described} has none.",
                hint=f"Set it, or name another place with {self.key}_env or {self.key}_cmd in "
                f"[{self.table or f'providers.{self.provider}'}].",
            )
        return found

    def _run_command(self, command: Sequence[str]) -> str:
        import subprocess

        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=True)
        except (OSError, UnicodeDecodeError, subprocess.SubprocessError) as error:
            # The command's output may hold the secret, so neither it nor the chained error is shown.
            raise AuthNeeded(
                f"The {self.what} command of {self.provider} ({command[0]}) failed: {type(error).__name__}.",
                hint=f"Run it by hand; it must print the {self.what} on its first line and exit 0.",
            ) from None
        return done.stdout if self.whole else done.stdout.split("\n", 1)[0].removesuffix("\r")

    def _read_file(self, file: Path) -> str:
        """Raises ``ConfigInvalid`` for a file that others can read."""
        try:
            with file.open(encoding="utf-8") as opened:
                if os.fstat(opened.fileno()).st_mode & 0o077:
                    raise ConfigInvalid(
                        f"{file} holds the {self.what} of {self.provider}, and others can read it.",
                        hint=f"Run: chmod 600 {file}",
                    )
                return opened.read()
        except (OSError, UnicodeDecodeError) as error:
            raise AuthNeeded(
                f"The {self.what} of {self.provider} cannot be read: {file}: {type(error).__name__}.",
                hint=f"Name the right file with {self.key}_file.",
            ) from None

    def _ask_keyring(self) -> str | None:
        import keyring
        import keyring.errors

        try:
            return keyring.get_password(KEYRING_SERVICE, self.provider)
        except keyring.errors.KeyringError:
            return None


def keep_in_keyring(provider: str, secret: str) -> None:
    """Hand ``secret`` to the operating system's keyring, where a ``SecretSource`` of ``provider`` finds it.

    Raises ``AuthNeeded`` when there is no keyring, or it refuses.
    """
    import keyring
    import keyring.errors

    try:
        keyring.set_password(KEYRING_SERVICE, provider, secret)
    except keyring.errors.KeyringError as error:
        raise AuthNeeded(
            f"The keyring did not take the password of {provider}: {type(error).__name__}.",
            hint="Keep it in an environment variable, or let a command print it.",
        ) from None
