"""``health.db`` itself."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from aicmo.errors import AicmoError, StoreDamaged, StoreError, StoreNewer, StoreReadOnly
from aicmo.provider_state import COOLING, EVENTS_KEPT, ProviderState, StateChange
from aicmo.store.health import HealthDb

NOW = datetime(2026, 11, 22, 12, 0, 0, 123000, tzinfo=UTC)
FULL = ProviderState(
    "a",
    state=COOLING,
    gen=7,
    consecutive_failures=3,
    successes=1.5,
    observations=2.5,
    latency_s=0.25,
    updated_at=NOW,
    open_until=NOW,
    open_reason="transient",
    trips=2,
    lease_owner="me",
    lease_until=NOW,
    last_ok_at=NOW,
    last_error_at=NOW,
    last_error_class="transient",
    last_error_code="421",
    last_error_text="closing",
    config_fingerprint="ab-cd",
    quota_reset_at=NOW,
)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[HealthDb]:
    health = HealthDb(tmp_path / "folder" / "health.db")
    yield health
    health.close()


def test_a_new_file_is_its_owners_alone_and_empty(db: HealthDb) -> None:
    assert db.path.stat().st_mode & 0o777 == 0o600
    assert db.path.parent.stat().st_mode & 0o777 == 0o700
    assert (db.load_all(), list(db.events())) == ({}, [])


def test_reading_an_unknown_provider_writes_nothing(db: HealthDb) -> None:
    assert db.get("a") == ProviderState("a")
    assert db.load_all() == {}


def test_every_field_comes_back_as_it_was_written(db: HealthDb) -> None:
    assert db.update("a", lambda _: (FULL, None)) == FULL
    again = HealthDb(db.path)
    assert (again.get("a"), again.load_all()) == (FULL, {"a": FULL})
    again.close()


def test_a_change_sees_what_was_stored_last(db: HealthDb) -> None:
    other = HealthDb(db.path)
    for turn in range(10):
        (db, other)[turn % 2].update("a", lambda found: (replace(found, gen=found.gen + 1), None))
    other.close()
    assert db.get("a").gen == 10


def test_what_another_connection_has_written_is_read_at_once(db: HealthDb) -> None:
    other = HealthDb(db.path)
    for gen in range(1, 4):
        other.update("a", lambda found, gen=gen: (replace(found, gen=gen), None))  # type: ignore[misc]
        assert [db.get("a").gen, db.get("a").gen, db.get("b").gen] == [gen, gen, 0]
    assert db.get("a") is db.get("a"), "between two writes nothing is read anew"
    other.close()


def test_no_update_is_lost_between_two_that_write_at_once(db: HealthDb) -> None:
    both = [db, HealthDb(db.path)]

    def work(mine: HealthDb) -> None:
        for _ in range(200):
            mine.update("a", lambda found: (replace(found, gen=found.gen + 1), None))

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(work, both))
    both[1].close()
    assert db.get("a").gen == 400


def test_a_change_that_fails_leaves_everything_as_it_was(db: HealthDb) -> None:
    db.update("a", lambda _: (FULL, None))

    def failing(found: ProviderState) -> tuple[ProviderState, None]:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError):
        db.update("a", failing)
    with pytest.raises(AicmoError):
        db.update("a", lambda found: (replace(found, state="nonsense"), StateChange("a", NOW, "ok", "nonsense", "")))
    assert (db.get("a"), list(db.events())) == (FULL, [])
    db.update("a", lambda found: (replace(found, gen=8), None))


def test_the_last_changes_of_state_are_kept_newest_first(db: HealthDb) -> None:
    for number in range(EVENTS_KEPT + 5):
        event = StateChange("a", NOW, "ok", "cooling", f"why {number}")
        db.update("a", lambda found, event=event: (found, event))  # type: ignore[misc]
    events = db.events()
    assert len(events) == EVENTS_KEPT
    assert (events[0].why, events[-1].why) == (f"why {EVENTS_KEPT + 4}", "why 5")
    assert len(db.events(3)) == 3


def test_opening_an_existing_file_keeps_what_is_in_it(db: HealthDb) -> None:
    db.update("a", lambda _: (FULL, None))
    for _ in range(3):
        HealthDb(db.path).close()
    assert db.get("a") == FULL


def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "health.db"
    HealthDb(path).close()
    newer = sqlite3.connect(path)
    newer.execute("PRAGMA user_version=99")
    newer.close()
    with pytest.raises(StoreNewer, match="version 99"):
        HealthDb(path)


def test_what_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "health.db"
    path.write_bytes(b"not a database, but somebody's file" * 100)
    with pytest.raises(StoreDamaged):
        HealthDb(path)
    assert path.read_bytes().startswith(b"not a database")


def test_a_read_only_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "health.db"
    HealthDb(path).close()
    path.chmod(0o400)
    with pytest.raises(StoreReadOnly):
        HealthDb(path)


def test_a_time_that_is_none_is_an_error_of_the_store(db: HealthDb) -> None:
    db.update("a", lambda _: (FULL, None))
    other = sqlite3.connect(db.path)
    with other:
        other.execute("UPDATE provider SET open_until = 'soon'")
    other.close()
    with pytest.raises(StoreError, match="soon"):
        db.get("a")
