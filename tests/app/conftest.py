"""The app, on a real store: a folder of its own, a clock that stands, and no setting of the developer's terminal."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sample import give_stories, open_empty, open_filled

from aicmo.workspace import Workspace


@pytest.fixture(autouse=True)
def same_terminal_everywhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Pictures must not depend on the machine they are taken on."""
    for name in ("NO_COLOR", "TEXTUAL_THEME", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TEXTUAL_ANIMATIONS", "none")
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture(autouse=True)
def unforeseen() -> Iterator[list[logging.LogRecord]]:
    """What the app wrote down as unforeseen. The app goes on after it; a test does only if it empties the list."""
    records: list[logging.LogRecord] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = records.append
    log = logging.getLogger("aicmo.app")
    log.addHandler(handler)
    yield records
    log.removeHandler(handler)
    assert not records, [record.exc_info for record in records]


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Workspace]:
    with open_empty(tmp_path) as workspace:
        yield workspace


@pytest.fixture
def filled(tmp_path: Path) -> Iterator[Workspace]:
    with open_filled(tmp_path) as workspace:
        yield workspace


@pytest.fixture
def lived(filled: Workspace) -> Workspace:
    """``filled``, where two people have a story."""
    give_stories(filled)
    return filled
