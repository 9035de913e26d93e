"""How long until a command answers, or the app stands on the screen.

Whole processes, from their start. The app runs in a pseudo-terminal; the time counts until its text stands on the
screen that pyte makes of what it wrote. The contenders take turns, and the fastest run of each counts: the slower ones
measure the neighbours. All of them start as an installed program does, from compiled modules.

    python -m bench.start [--rows 100000] [--runs 7]
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import select
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import pyte

from aicmo.paths import Paths
from bench.budget import Row, print_rows
from bench.mailing import furnish
from bench.table import build

COLUMNS, LINES = 120, 40
GIVES_UP_S = 30.0
INSTALLED = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""An environment in which the first turn, which does not count, leaves our modules compiled, as installing does."""
QUIET_S = 0.05
"""So long without output, and what there is is worth looking at."""
ONE_LABEL = """
from textual.app import App
from textual.widgets import Label
class OneLabel(App):
    def compose(self):
        yield Label("It stands.")
OneLabel().run()
"""


def until_done(command: list[str]) -> float:
    """Seconds from the start of a command to its end, whatever its exit code."""
    began = time.perf_counter()
    nothing = subprocess.DEVNULL
    subprocess.run(command, stdin=nothing, stdout=nothing, stderr=nothing, env=INSTALLED, check=False)
    return time.perf_counter() - began


def until_seen(command: list[str], text: str) -> float:
    """Seconds from the start of a command in a terminal until ``text`` stands on the screen; then it is killed.

    Raises ``RuntimeError`` when it does not come.
    """
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    environment = {**INSTALLED, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    began = time.perf_counter()
    process = subprocess.Popen(
        command, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
    )
    try:
        os.close(slave)
        written: list[tuple[float, bytes]] = []
        while time.perf_counter() - began < GIVES_UP_S:
            # Reading comes first: a full terminal would hold the program up, and pyte takes its time.
            if select.select([master], [], [], QUIET_S)[0]:
                written.append((time.perf_counter() - began, os.read(master, 1 << 16)))
            elif (seen_s := _when_seen(written, text)) is not None:
                return seen_s
        raise RuntimeError(f"{command[0]} does not show {text!r}")
    finally:
        process.kill()
        process.wait()
        os.close(master)


def _when_seen(written: list[tuple[float, bytes]], text: str) -> float | None:
    """When the piece that made ``text`` stand on the screen arrived; ``None`` when it does not stand there."""
    screen = pyte.Screen(COLUMNS, LINES)
    stream = pyte.ByteStream(screen)
    for seconds, piece in written:
        stream.feed(piece)
        if any(text in line for line in screen.display):
            return seconds
    return None


def take_turns(contenders: Mapping[str, Callable[[], float]], runs: int) -> dict[str, list[float]]:
    """Each contender's times. A first turn, which fills the caches, does not count."""
    for contender in contenders.values():
        contender()
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(runs):
        for name, contender in contenders.items():
            times[name].append(contender())
    return times


def told(times: list[float]) -> str:
    return f"{min(times) * 1000:.0f} ms (median {statistics.median(times) * 1000:.0f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000, help="contacts in the larger store")
    parser.add_argument("--runs", type=int, default=7)
    asked = parser.parse_args()
    programs = Path(sys.executable).parent
    with tempfile.TemporaryDirectory(prefix="aicmo-bench-") as temporary:
        small, large = Path(temporary, "small"), Path(temporary, "large")
        for folder in (small, large):
            folder.mkdir()
        build(large, asked.rows)
        few = _aicmo(furnish(small, [1], connections=1, people=10))
        many = _aicmo(Paths(small / "config.toml", large / "data"))
        times = take_turns(
            {
                "sqlite-utils --version": partial(until_done, [str(programs / "sqlite-utils"), "--version"]),
                "aicmo --version": partial(until_done, [*few, "--version"]),
                "aicmo health --status --json": partial(until_done, [*few, "health", "--status", "--json"]),
                "a one-label Textual app": partial(until_seen, [sys.executable, "-c", ONE_LABEL], "It stands."),
                "first paint": partial(until_seen, few, "AICMO · Home"),
                f"first paint, {asked.rows:,} contacts": partial(until_seen, many, "AICMO · Home"),
            },
            asked.runs,
        )
    budgets = (
        ("aicmo --version", "sqlite-utils --version", 1.0),
        ("aicmo health --status --json", "sqlite-utils --version", 1.6),
        ("first paint", "a one-label Textual app", 1.15),
        (f"first paint, {asked.rows:,} contacts", "a one-label Textual app", 1.15),
    )
    rows = []
    for what, peer, most in budgets:
        ratio = min(times[what]) / min(times[peer])
        rows.append(
            Row(what, told(times[what]), f"{peer} {told(times[peer])}", ratio, f"<= {most:.2f}x", ratio <= most)
        )
    print_rows(f"Start, the fastest of {asked.runs}", rows)


def _aicmo(paths: Paths) -> list[str]:
    program = str(Path(sys.executable).with_name("aicmo"))
    return [program, "--config", str(paths.config_file), "--data-dir", str(paths.data_dir)]


if __name__ == "__main__":
    main()
