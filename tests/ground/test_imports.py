"""What loads what: the core knows no terminal, a verb loads no app, and nothing happens at import."""

from __future__ import annotations

import json
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import aicmo
from aicmo_tui.cli import NOUNS

HEAVY = {"textual", "rich", "pydantic", "sqlite_utils", "aiosmtplib", "jinja2", "markdown_it", "email_validator"}
HEAVY |= {"asyncio", "sqlite3", "ssl", "keyring", "tldextract", "css_inline", "logging", "httpx", "charset_normalizer"}
_TELL = "import json, sys; sys.stderr.write('\\n' + json.dumps(sorted(sys.modules)))"


def loaded_by(source: str, tmp_path: Path) -> set[str]:
    """The top-level packages that a fresh interpreter has loaded after ``source``, and what it left on the disk."""
    environ = {**os.environ, "AICMO_CONFIG": str(tmp_path / "c.toml"), "AICMO_DATA_DIR": str(tmp_path / "data")}
    code = f"import atexit\natexit.register(lambda: exec({_TELL!r}))\n{source}"
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, cwd=tmp_path)
    assert "Traceback" not in done.stderr, done.stderr
    return {name.partition(".")[0] for name in json.loads(done.stderr.splitlines()[-1])}


def aicmo_says(*words: str) -> str:
    return f"from aicmo_tui.cli import main\nmain({list(words)!r})"


def test_the_version_loads_next_to_nothing(tmp_path: Path) -> None:
    assert loaded_by(aicmo_says("--version"), tmp_path) & HEAVY == set()


@pytest.mark.parametrize("noun", NOUNS)
def test_the_help_of_a_noun_loads_no_store_and_no_network(noun: str, tmp_path: Path) -> None:
    assert loaded_by(aicmo_says(noun, "--help"), tmp_path) & HEAVY == set()


@pytest.mark.parametrize(
    "words", [["contact", "count"], ["contact", "list", "--json"], ["campaign", "list"], ["run"], ["report", "summary"]]
)
def test_a_verb_never_loads_textual(words: list[str], tmp_path: Path) -> None:
    loaded = loaded_by(aicmo_says(*words), tmp_path)
    assert not {"textual", "rich", "hypothesis", "pytest"} & loaded


def test_stored_health_is_told_without_the_network(tmp_path: Path) -> None:
    loaded = loaded_by(aicmo_says("health", "--status", "--json"), tmp_path)
    assert not {"textual", "rich", "aiosmtplib", "jinja2", "httpx", "keyring", "sqlite_utils"} & loaded - {
        "sqlite_utils"
    }


def test_the_whole_core_loads_without_a_terminal_and_opens_nothing(tmp_path: Path) -> None:
    names = [
        name
        for _, name, _ in pkgutil.walk_packages(aicmo.__path__, "aicmo.")
        if not name.endswith("__main__") and not name.startswith("aicmo.sandbox.")
    ]
    assert len(names) > 40
    loaded = loaded_by("\n".join(f"import {name}" for name in names), tmp_path)
    assert not {"textual", "rich", "aicmo_tui"} & loaded
    assert list(tmp_path.iterdir()) == []


def test_the_core_says_click_nowhere() -> None:
    """Libraries of ours load it; what counts is what we import."""
    (root,) = aicmo.__path__
    said = [path for path in Path(root).rglob("*.py") if "import click" in path.read_text(encoding="utf-8")]
    assert said == []
