"""The failover scenarios, in their short form: every target that needs no stopwatch is reached."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_scenario_reaches_its_targets() -> None:
    command = [sys.executable, "-m", "bench.failover", "--short"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 targets missed" in done.stdout
    assert {f"B{number}" for number in range(1, 13)} <= set(done.stdout.split())
