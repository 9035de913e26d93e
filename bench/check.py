"""How long the check of a campaign takes, of a great many people: the first one of a program, and the next.

Beside it stands what nothing can be faster than: where nobody has opted out, one look at every contact; where some
have, the keyed hash of every address as well, because nothing else tells who it was. The processor's time counts, so
that neighbours do not. The budget is a second for a million people.

    python -m bench.check [--people 1000000]
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from aicmo.clock import SYSTEM_CLOCK
from aicmo.paths import Paths
from aicmo.store import suppressions
from aicmo.store.suppressions import SuppressionReason
from bench.budget import Row, in_fresh_process, print_rows
from bench.mailing import furnish, new_campaign, open_house

MOST_S = 1.0
ONE_IN = 50
"""Of so many, one has opted out in the second round."""
LOOK = "SELECT count(*) FROM contact WHERE first_name = ''"
HASH = "SELECT count(suppression_key(address)) FROM contact"


def _seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def checked(folder: str, campaign: int, limit: str) -> tuple[float, float, float]:
    """Seconds of the first check, of the next one, and of the SQL that is the limit."""
    with open_house(_paths(Path(folder))) as workspace:
        first, again = (_seconds(lambda: workspace.publishing.check(campaign)) for _ in range(2))
        return first, again, _seconds(lambda: workspace.db.read(lambda db: db.execute(limit).fetchall()))


def opt_some_out(paths: Paths) -> None:
    def write(db: sqlite3.Connection) -> None:
        now = SYSTEM_CLOCK.now()
        for (address,) in db.execute("SELECT address FROM contact WHERE id % ? = 0", (ONE_IN,)).fetchall():
            suppressions.add(db, address, SuppressionReason.MANUAL, "bench", now)

    with open_house(paths) as workspace:
        workspace.db.write(write)


def _paths(folder: Path) -> Paths:
    return Paths(config_file=folder / "config.toml", data_dir=folder / "data")


def _rows(what: str, took: tuple[float, float, float], limit: str, most_s: float | None) -> list[Row]:
    first, again, least = took
    budget, reached = (f"<= {most_s:.2f} s", first <= most_s) if most_s else ("", None)
    return [
        Row(f"{what}, first", f"{first:.2f} s", f"{limit} {least:.2f} s", first / least, budget, reached),
        Row(f"{what}, again", f"{again:.2f} s"),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=1_000_000)
    people = parser.parse_args().people
    with tempfile.TemporaryDirectory() as name:
        paths = furnish(Path(name), [2525], connections=1, people=people)
        campaign = new_campaign(paths)
        most_s = MOST_S * max(1.0, people / 1_000_000)
        rows = _rows("nobody opted out", in_fresh_process(checked, name, campaign, LOOK), "one look", most_s)
        opt_some_out(paths)
        rows += _rows("one in 50 did", in_fresh_process(checked, name, campaign, HASH), "the hashes", None)
    print_rows(f"campaign check, {people:,} people", rows)
    return 1 if any(row.reached is False for row in rows) else 0


if __name__ == "__main__":
    raise SystemExit(main())
