"""Our own bad input, several times in a row: kept as a few short samples, and no address among them."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from pathlib import Path

from fakes import FakeProvider, ManualClock, attempt

from aicmo.gateways import HealthRegistry, Outcome
from aicmo.gateways.refused_input import RENEWED_S, STALE_S, repeated, samples, shortened
from aicmo.store.health import HealthDb

A = FakeProvider("a")
DETAIL = "Unknown field\x1b[2J name 'Titel' of <ada.lovelace@example.com>" + "x" * 500


async def refused(registry: HealthRegistry, *records: str) -> str:
    for record in records:
        told = attempt("a", Outcome.INPUT, code="422", detail=DETAIL)
        await registry.record(A, told, await registry.admit(A), concerning=record)
    return registry.states()["a"].inputs if "a" in registry.states() else ""


async def test_three_in_a_row_are_told_and_two_are_not(tmp_path: Path) -> None:
    clock, store = ManualClock(), HealthDb(tmp_path / "health.db")
    registry = HealthRegistry(store, clock=clock)
    assert repeated(await refused(registry, "ada.lovelace@example.com", "bob@example.com"), clock.now()) == ()
    kept = repeated(await refused(registry, "eve@example.com"), clock.now())
    assert [each.record for each in kept] == ["a…@example.com", "b…@example.com", "e…@example.com"]
    state = registry.states()["a"]
    assert (state.state, state.observations, state.consecutive_failures, state.gen) == ("ok", 0, 0, 0)
    assert repeated(state.inputs, clock.now() + timedelta(seconds=STALE_S)) == ()
    await registry.close()
    store.close()


async def test_no_address_is_kept_whole_and_nothing_that_steers_or_sprawls(tmp_path: Path) -> None:
    store = HealthDb(tmp_path / "health.db")
    registry = HealthRegistry(store, clock=ManualClock())
    kept = await refused(registry, "ada.lovelace@example.com", "ada.lovelace@example.com\r\n\x1b]0;x", "recABCDEFG")
    assert "ada.lovelace" not in kept and "\x1b" not in kept and "recABCDEFG" not in kept
    assert [len(each.told) < 200 for each in samples(kept)] == [True] * 3
    await registry.close()
    store.close()
    assert b"ada.lovelace" not in (tmp_path / "health.db").read_bytes()


async def test_an_answer_between_them_ends_the_row(tmp_path: Path) -> None:
    registry = HealthRegistry(clock=ManualClock())
    await refused(registry, "a@x.example", "b@x.example")
    await registry.record(A, attempt("a", Outcome.OK), await registry.admit(A))
    await registry.flush()
    assert len(samples(await refused(registry, "c@x.example"))) == 1
    await registry.close()


async def test_a_bad_import_of_thousands_writes_a_few_times(tmp_path: Path) -> None:
    clock, store = ManualClock(), HealthDb(tmp_path / "health.db")
    registry, other = HealthRegistry(store, clock=clock), sqlite3.connect(tmp_path / "health.db")
    await refused(registry, *["a@x.example"] * 3)
    before = other.execute("PRAGMA data_version").fetchone()
    await refused(registry, *["z@x.example"] * 1000)
    assert other.execute("PRAGMA data_version").fetchone() == before
    clock.advance(RENEWED_S)
    kept = await refused(registry, "z@x.example")
    assert [each.record for each in samples(kept)] == ["a…@x.example", "a…@x.example", "z…@x.example"]
    other.close()
    await registry.close()
    store.close()


def test_a_record_is_shortened_so_that_only_who_knows_it_finds_it() -> None:
    names = ["ada@example.com", "@example.com", "recABC", "ab", "", "x" * 90 + "@" + "y" * 90 + ".example"]
    assert [shortened(each) for each in names][:5] == ["a…@example.com", "@ex…", "rec…", "ab", ""]
    assert len(shortened(names[5])) <= 40
