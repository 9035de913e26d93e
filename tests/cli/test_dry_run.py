"""``--dry-run`` says what would be done, and changes nothing."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from commandline import VERBS, CommandLine, arguments

CHANGES = [name for name, each in VERBS.items() if "dry_run" in {param.name for param in each.params}]


ASKS = ("contact sync",)
"""Verbs that read from a provider even then, to say what would be done: how that went is learned of the provider."""


def dump(home: Path, verb: str = "") -> dict[str, str]:
    """Every row of both databases, and every other file's bytes."""
    left = {}
    for file in sorted(home.rglob("*")):
        if file.name == "health.db" and verb in ASKS:
            continue
        if file.suffix == ".db":
            db = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
            left[str(file)] = "\n".join(db.iterdump())
            db.close()
        elif file.is_file() and not file.name.endswith(("-wal", "-shm")):
            left[str(file)] = file.read_bytes().hex()
    return left


@pytest.mark.parametrize("verb", CHANGES)
def test_a_dry_run_leaves_everything_as_it_was(verb: str, aicmo: CommandLine, in_filled_home: Path) -> None:
    words, code = arguments(verb, in_filled_home)
    before = dump(in_filled_home, verb)
    assert aicmo(*words, "--dry-run", "--json", code=code).document["status"] == "dry_run"
    aicmo(*words, "--dry-run", code=code)
    assert dump(in_filled_home, verb) == before


@pytest.mark.parametrize("verb", [verb for verb in CHANGES if verb != "init"])
def test_the_same_without_it_does_change_something(verb: str, aicmo: CommandLine, in_filled_home: Path) -> None:
    words, code = arguments(verb, in_filled_home)
    if verb == "contact import":
        words.append("--policy=overwrite")
        people = in_filled_home / "people.csv"
        people.write_text(people.read_text().replace("Ann", "Anna"))
    before = dump(in_filled_home)
    aicmo(*words, "--yes", code=code)
    assert dump(in_filled_home) != before


def test_a_dry_run_refuses_what_would_be_refused(aicmo: CommandLine, in_filled_home: Path) -> None:
    assert aicmo("campaign", "resume", 3, "--dry-run", "--json", code=6).error["code"] == "illegal_transition"
    assert aicmo("campaign", "pause", 99, "--dry-run", "--json", code=3).error["code"] == "not_found"


def test_verbs_that_only_read_have_no_dry_run() -> None:
    reads = {"list", "show", "count", "check", "deliveries", "preview", "export", "path", "summary"}
    assert not [verb for verb in CHANGES if verb.split()[-1] in reads]
