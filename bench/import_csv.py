"""Import a CSV of people, beside ``sqlite-utils insert --csv --pk email`` on the same file.

Both run as whole processes, into a database of their own. Ours also validates, normalises, tags, links domains and
fills the search index. The budget at 1 M rows is half the peer's time and 250 MB.

    python -m bench.import_csv [--rows 100000]
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


class Run(NamedTuple):
    seconds: float
    peak_mb: float
    """MB of 10^6 bytes. This process, from which both are forked, is smaller than either."""


def write_people(path: Path, rows: int) -> None:
    """A table of ``rows`` people, the same each time: a third with two tags, names with and without accents."""
    chance = random.Random(1)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("email", "first_name", "last_name", "company", "title", "phone", "city", "tags"))
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
                )
            )


def run(*command: str) -> Run:
    """Run a program to its end. Raises ``SystemExit`` when it fails."""
    began = time.perf_counter()
    pid = os.spawnv(os.P_NOWAIT, command[0], command)
    _, status, usage = os.wait4(pid, 0)
    if status:
        raise SystemExit(f"{command[0]} failed with {os.waitstatus_to_exitcode(status)}")
    return Run(time.perf_counter() - began, usage.ru_maxrss * 1024 / 1e6)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000)
    rows = parser.parse_args().rows
    peer_program = str(Path(sys.executable).with_name("sqlite-utils"))
    with tempfile.TemporaryDirectory() as folder:
        people = Path(folder, "people.csv")
        write_people(people, rows)
        peer_db, our_db = str(Path(folder, "peer.db")), str(Path(folder, "ours", "aicmo.db"))
        peer = run(peer_program, "insert", peer_db, "people", str(people), "--csv", "--pk", "email", "--silent")
        ours = run(sys.executable, "-c", OURS, our_db, str(people), str(rows))
    print_rows(
        f"Import of {rows:,} rows of CSV",
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
                "peak memory",
                f"{ours.peak_mb:.0f} MB",
                f"sqlite-utils {peer.peak_mb:.0f} MB",
                budget=f"< {MOST_MEMORY_MB} MB",
                reached=ours.peak_mb < MOST_MEMORY_MB,
            ),
        ],
    )


if __name__ == "__main__":
    main()
