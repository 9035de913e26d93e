"""The ledger as a file: what a server or a contact says is no formula in it."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from aicmo.crm.spreadsheet import unescaped
from aicmo.store.deliveries import Delivery, State
from aicmo_tui.ledger_export import export

SAID = ('=HYPERLINK("https://evil.example")', "+1", "-1", "@SUM(A1)", "\tx", "no such user")


@pytest.mark.parametrize("said", SAID)
def test_no_cell_begins_like_a_formula_and_each_is_read_back(tmp_path: Path, said: str) -> None:
    delivery = Delivery(1, said, State.FAILED, said, said, said, said, "address", 1, "", "2026-11-22T12:00:00Z")
    with export(str(tmp_path / "ledger.csv"), [delivery]).open(encoding="utf-8-sig", newline="") as file:
        (row,) = csv.DictReader(file)
    for column in ("email", "message_id", "provider", "code", "reason"):
        assert row[column][:1] not in ("=", "+", "-", "@", "\t")
        assert unescaped(row[column]) == said
