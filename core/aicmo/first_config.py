"""The first configuration: what a person answered becomes a commented file for their eyes alone.

``config`` reads what is written here. A password is in the file only where its owner wants it there.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from aicmo.errors import InvalidInput
from aicmo.paths import make_private, make_private_dir
from aicmo.secrets import keep_in_keyring

PROVIDER = "smtp-main"
"""What the mail server is called in the file, as in ``config.example.toml``."""

Value = str | int | list[str]

_NOTES = {
    "email": "the From address",
    "postal_address": "commercial mail has to carry one",
    "email_sending": "capability = providers in order, first choice first",
    "security": "starttls | tls | none; certificates are always verified",
    "password_env": "the environment variable that holds the password",
    "password_cmd": "the command that prints the password",
    "password": "keep this file 0600",
}


@dataclass(frozen=True, slots=True)
class Answers:
    sender: dict[str, Value]
    """The keys of ``[sender]``."""
    server: dict[str, Value]
    """The block of the mail server, but for a password itself."""
    password: str | None = field(default=None, repr=False)
    """Only one that is to be kept by us."""
    in_keyring: bool = False
    """Whether ``password`` goes to the system's keyring; else it goes into the file."""


def as_toml(answers: Answers) -> str:
    """The text of the file."""
    server = dict(answers.server)
    if answers.password and not answers.in_keyring:
        server["password"] = answers.password
    chains: dict[str, Value] = {"email_sending": [PROVIDER]}
    lines = [
        "# AICMO's configuration, written by aicmo init. config.example.toml shows every key there is;",
        "# `aicmo config show` says what is in force, and where each value came from.",
    ]
    for name, block in {"sender": answers.sender, "chains": chains, f"providers.{PROVIDER}": server}.items():
        lines += ["", f"[{name}]"]
        for key, value in block.items():
            note = f"  # {_NOTES[key]}" if key in _NOTES else ""
            lines.append(f"{key} = {_quoted(value)}{note}")
    if answers.in_keyring:
        lines.append("# The password is in the system's keyring.")
    return "\n".join(lines) + "\n"


def write(file: Path, answers: Answers) -> Path | None:
    """Write ``file`` whole or not at all; where the one before it was moved to, if there was one.

    Raises ``InvalidInput`` when the place cannot be written, ``AuthNeeded`` when the keyring refuses.
    """
    if answers.password and answers.in_keyring:
        keep_in_keyring(PROVIDER, answers.password)
    if not file.parent.exists():  # a folder that is there may be anybody's: it keeps its rights
        make_private_dir(file.parent)
    fresh = file.with_name(file.name + ".new")
    copy = file.with_name(f"{file.stem}.{datetime.now():%Y-%m-%dT%H%M%S}{file.suffix}") if file.exists() else None
    try:
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as written:
            make_private(fresh)
            written.write(as_toml(answers))
        if copy:
            make_private(file)
            file.rename(copy)
        fresh.replace(file)
    except OSError as error:
        raise InvalidInput(f"{file} cannot be written: {error.strerror}.", hint="Name another with --config.") from None
    return copy


def _quoted(value: Value) -> str:
    """As TOML writes it."""
    if isinstance(value, list):
        return f"[{', '.join(map(_quoted, value))}]"
    if isinstance(value, int):
        return str(value)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(each if each >= " " and each != "\x7f" else f"\\u{ord(each):04x}" for each in escaped) + '"'
