"""How well the gateway heals itself: the scenarios B1-B12 of the design, with installed peers run beside it.

    python -m bench.failover --all       every scenario, all seeds (minutes)
    python -m bench.failover --short     every scenario, few seeds (seconds)

A figure is a mean over seeds with its 95 % interval; a target counts as reached only when the whole interval is on the
right side. Where a peer has no such notion, its column is empty. Exits 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from importlib.metadata import version

from bench.failover_peers import installed, missing
from bench.failover_virtual import Line, all_virtual


def print_lines(lines: list[Line], peers: list[str]) -> None:
    """A table on stdout."""
    head = ("scenario", "seeds", "figure", "aicmo", *peers, "target", "reached")
    judged = {None: "", True: "yes", False: "NO"}
    rows = [
        (
            it.scenario,
            it.seeds,
            it.figure,
            it.ours,
            *[it.peers.get(name, "") for name in peers],
            it.target,
            judged[it.reached],
        )
        for it in lines
    ]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, tuple("-" * width for width in widths), *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def run(*, short: bool) -> list[Line]:
    from bench.failover_real import all_real

    return sorted(
        [*all_virtual(installed(), short=short), *all_real(installed(), short=short)],
        key=lambda it: int(it.scenario.split()[0][1:]),
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--all", action="store_true", help="every scenario, all seeds")
    which.add_argument("--short", action="store_true", help="every scenario, few seeds")
    told = parser.parse_args(arguments)
    started = time.monotonic()
    versions = ", ".join(f"{name} {version(name)}" for name in installed())
    print(f"Python {platform.python_version()}, {platform.machine()}; peers: {versions or 'none'}")
    if missing():
        print(f"not installed (pip install 'aicmo[bench]'): {', '.join(missing())}")
    lines = run(short=told.short)
    print_lines(lines, installed())
    missed = [it for it in lines if it.reached is False]
    print(f"\n{len(lines)} figures in {time.monotonic() - started:.0f} s; {len(missed)} targets missed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
