"""Import a CSV of people, beside ``sqlite-utils insert --csv --pk email`` on the same file.

Both run as whole processes, into a database of their own. Ours also validates, normalises, tags, links domains and
fills the search index. The two take turns, and the
fastest run of each counts: the slower ones measure the neighbours. The processor's time beside it counts both of our
threads. The budget at 1 M rows is half the peer's time and 250 MB. ``--wide`` gives every row a long note, about 300
bytes in all, so that a million rows are a file of 300 MB; ``--undo`` also takes the import back.

    python -m bench.import_csv [--rows 100000] [--runs 3] [--wide] [--undo]
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from bench.budget import Row, print_rows

MOST_TIME = 0.5
"""Of the peer's, at 1 M rows."""
MOST_MEMORY_MB = 250
FIRST = ("Ada", "Bob", "Chloé", "Dan", "Eve", "Fritz", "Gül", "Hans", "Ines", "José")
OURS = """
import sys
from pathlib import Path
from aicmo.crm import CRMRepository
from aicmo.store import open_database
db = open_database(Path(sys.argv[1]))
result = CRMRepository(db).import_file(Path(sys.argv[2]), tags=["bench"])
db.close()
assert result.counts.created == int(sys.argv[3]), result
"""
UNDO = """
import sys
from pathlib import Path
from aicmo.crm.imports import Imports
from aicmo.store import open_database
db = open_database(Path(sys.argv[1]))
result = Imports(db).undo(1)
left = db.read(lambda c: c.execute("SELECT count(*) FROM contact").fetchone()[0])
db.close()
assert left == 0, result
"""
NOTE = "Met at the fair in London; asked for the price list, and for a call in the first week after the holidays. " * 2


class Run(NamedTuple):
    seconds: float
    cpu_s: float
    """Of all its threads, the system's part included."""
    peak_mb: float
    """MB of 10^6 bytes. This process, from which both are forked, is smaller than either."""


def write_people(path: Path, rows: int, *, wide: bool = False) -> None:
    """A table of ``rows`` people, the same each time: a third with two tags, names with and without accents."""
    note = (NOTE,) if wide else ()
    chance = random.Random(1)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(
            (
                "email",
                "first_name",
                "last_name",
                "company",
                "title",
                "phone",
                "city",
                "tags",
                *(["note"] if wide else []),
            )
        )
        for number in range(rows):
            company, name = chance.randrange(rows // 10 + 1), chance.randrange(5000)
            writer.writerow(
                (
                    f"p{number}.name{name}@corp{company}.example",
                    chance.choice(FIRST),
                    f"Name{name}",
                    f"Corp {company} Ltd",
                    "Head of Marketing",
                    f"+44 20 7946 {number % 10_000:04d}",
                    "London",
                    "vip,new" if number % 3 == 0 else "new",
                    *note,
                )
            )


def run(*command: str) -> Run:
    """Run a program to its end. Raises ``SystemExit`` when it fails."""
    began = time.perf_counter()
    pid = os.spawnv(os.P_NOWAIT, command[0], command)
    _, status, usage = os.wait4(pid, 0)
    if status:
        raise SystemExit(f"{command[0]} failed with {os.waitstatus_to_exitcode(status)}")
    return Run(time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6)


def take_turns(people: Path, rows: int, runs: int, *, undo: bool) -> tuple[list[Run], list[Run], list[Run]]:
    """The peer's runs, ours, and those that took ours back."""
    peer_program = str(Path(sys.executable).with_name("sqlite-utils"))
    peers, ours, undone = [], [], []
    for _ in range(runs):
        with tempfile.TemporaryDirectory(prefix="aicmo-bench-") as folder:
            peer_db, our_db = str(Path(folder, "peer.db")), str(Path(folder, "ours", "aicmo.db"))
            insert = (peer_program, "insert", peer_db, "people", str(people), "--csv", "--pk", "email", "--silent")
            peers.append(run(*insert))
            ours.append(run(sys.executable, "-c", OURS, our_db, str(people), str(rows)))
            if undo:
                undone.append(run(sys.executable, "-c", UNDO, our_db))
    return peers, ours, undone


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--wide", action="store_true", help="rows of about 300 bytes")
    parser.add_argument("--undo", action="store_true", help="also take the import back")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="aicmo-bench-") as folder:
        people = Path(folder, "people.csv")
        write_people(people, asked.rows, wide=asked.wide)
        size_mb = people.stat().st_size / 1e6
        peers, all_ours, undone = take_turns(people, asked.rows, asked.runs, undo=asked.undo)
    peer, ours = min(peers), min(all_ours)
    peak_mb = max(each.peak_mb for each in all_ours)
    print_rows(
        f"Import of {asked.rows:,} rows of CSV, {size_mb:.0f} MB; the fastest of {asked.runs}",
        [
            Row(
                "time, with tags, search and validation",
                f"{ours.seconds:.1f} s",
                f"sqlite-utils {peer.seconds:.1f} s",
                ours.seconds / peer.seconds,
                f"<= {MOST_TIME:.2f}x",
                ours.seconds <= MOST_TIME * peer.seconds,
            ),
            Row(
                "processor time",
                f"{ours.cpu_s:.1f} s",
                f"sqlite-utils {peer.cpu_s:.1f} s",
                ours.cpu_s / peer.cpu_s,
            ),
            Row(
                "peak memory",
                f"{peak_mb:.0f} MB",
                f"sqlite-utils {peer.peak_mb:.0f} MB",
                budget=f"< {MOST_MEMORY_MB} MB",
                reached=peak_mb < MOST_MEMORY_MB,
            ),
            *(Row("undo", f"{each.seconds:.1f} s, {each.peak_mb:.0f} MB") for each in sorted(undone)[:1]),
        ],
    )


if __name__ == "__main__":
    main()
