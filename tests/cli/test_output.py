"""Rows on a terminal fit on its lines; in a pipe nothing is narrowed."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from aicmo_tui.cli import output
from aicmo_tui.cli.output import Form

ROWS = [{"id": 12, "email": "ann@one.example", "text": "a plan " * 7, "name": "陽菜 " * 8}]


@pytest.mark.parametrize(("room", "is_terminal", "fits"), [(80, True, True), (200, True, True), (80, False, False)])
def test_a_row_fits_on_a_line_of_the_terminal(
    room: int, is_terminal: bool, fits: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(room))
    monkeypatch.setattr("sys.stdout.isatty", lambda: is_terminal)
    output.rows(ROWS, Form(), ["id", "email", "text", "name"], empty="", numbers=["id"])
    lines = capsys.readouterr().out.splitlines()
    assert all(cell_len(line) <= room for line in lines) == fits
    assert "ann@one.example" in lines[1] and ("…" in lines[1]) == (is_terminal and room == 80)
