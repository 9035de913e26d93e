"""``kill -9`` in the middle of a send; ``python -m bench.crash`` does the same with many more kills."""

from __future__ import annotations

import random
from pathlib import Path

from bench.crash import crash_runs


def test_killing_a_send_anywhere_sends_nothing_twice_and_loses_nobody(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(2**31)
    print(f"seed {seed}")  # pytest shows it when the promise is broken
    report = crash_runs(10, seed, tmp_path, recipients=150)
    assert report.duplicates == []
    assert report.unaccounted == []
    assert report.too_many_unknown == []
    assert report.untrue == []
    assert report.resolved == report.unknown_received
    assert report.kills == 10
