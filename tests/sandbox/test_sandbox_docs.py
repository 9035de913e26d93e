from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path

from aicmo.sandbox import AudienceRates

PAGE = Path(__file__).parents[2] / "docs" / "sandbox.md"


def test_the_page_has_a_row_with_the_default_of_every_rate() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| ([0-9.]+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE))

    assert {name: float(default) for name, default in rows.items()} == asdict(AudienceRates())
