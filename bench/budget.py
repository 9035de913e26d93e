"""What every benchmark shares: the table it prints, a fresh process per contender, and that process's memory."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

COLUMNS = ("what", "ours", "peer or limit", "ratio", "budget", "reached")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table; every value as a person reads it, with its unit."""

    what: str
    ours: str
    peer: str = ""
    """The peer's name and figure."""
    ratio: float | None = None
    """Ours over the peer's."""
    budget: str = ""
    reached: bool | None = None
    """``None`` where there is no budget."""


def print_rows(title: str, rows: Sequence[Row]) -> None:
    """A table on stdout, under its title."""
    lines = [
        (
            row.what,
            row.ours,
            row.peer,
            "" if row.ratio is None else f"{row.ratio:.2f}x",
            row.budget,
            {None: "", True: "yes", False: "NO"}[row.reached],
        )
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(COLUMNS, *lines, strict=True)]
    print(f"\n{title}")
    for line in (COLUMNS, tuple("-" * width for width in widths), *lines):
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def in_fresh_process(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call ``function`` in a new interpreter, so that no contender pays for another's memory or enjoys its caches."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as fresh:
        return fresh.submit(function, *args, **kwargs).result()


def peak_rss_mb() -> float:
    """The most memory this process has had, in MB (10^6 bytes). Linux.

    Not ``getrusage``: its figure survives ``exec``, so a child would show the size of whoever started it.
    """
    status = Path("/proc/self/status").read_text()
    kib = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(kib) * 1024 / 1e6
