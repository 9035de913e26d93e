"""Kill an import at random points, go on with it, and compare with one that nobody killed.

Each round imports the same file into a copy of the same small store, in a process of its own with small batches, and
kills that with SIGKILL after a random number of batches and a random moment more. The import is then gone on with, and
what is there at the end must be what the uninterrupted run left, row for row: people, tags, receipts, opt-outs, what
undo knows, the counts, the rejected rows.

    python -m bench.import_kill [--rounds 50] [--seed N]
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROWS = 2_000
BATCH_ROWS = 40
CHILD = """
import sys
from pathlib import Path
from aicmo.crm import CRMRepository
from aicmo.store import open_database
db = open_database(Path(sys.argv[1]))
say = lambda progress: print(progress.counts.rows, flush=True)
CRMRepository(db).import_file(Path(sys.argv[2]), rejected_file=Path(sys.argv[3]), tags=["spring"], progress=say,
                              policy="overwrite", batch_rows=int(sys.argv[4]))
"""
_COMPARED = {
    "people": """SELECT id, address, email, first_name, last_name, company, title, phone, domain, stage, fields,
                        import_id FROM contact ORDER BY id""",
    "tags": "SELECT name, contact_id FROM contact_tag JOIN tag ON tag.id = tag_id ORDER BY 1, 2",
    "search": "SELECT term, doc, col, offset FROM word ORDER BY 1, 2, 3, 4",
    "indexes": "SELECT name FROM sqlite_master WHERE type IN ('index', 'trigger') ORDER BY 1",
    "stages": "SELECT contact_id, from_stage, to_stage, cause, change_id FROM stage_change ORDER BY contact_id, id",
    "opt-outs": "SELECT hex(key), reason, source FROM suppression ORDER BY 1",
    "undo": """SELECT change_id, contact_id, 'before', key, value FROM change_row, json_each(before)
               UNION ALL SELECT change_id, contact_id, 'after', key, value FROM change_row, json_each(after)
               ORDER BY 1, 2, 3, 4""",
    "counts": "SELECT import.id, status, counts, rows_read, summary FROM import JOIN change ON change.id = change_id",
}


class Killed(NamedTuple):
    resumed_at: int
    """Rows that the killed process had done; 0 when it had done none, or all of them."""
    differences: tuple[str, ...]
    """What is not as it should be."""


def write_people(path: Path) -> None:
    """New people, known ones, some twice, some unsubscribed, some with no address, some lines empty."""
    chance = random.Random(7)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("email", "first_name", "stage", "tags", "status", "city"))
        for number in range(ROWS):
            person = chance.randrange(ROWS)
            writer.writerow(
                chance.choices(
                    (
                        (f"p{person}@x.example", "Anna", "", f"t{person % 7}", "subscribed", "Lyon"),
                        (f"p{person}@x.example", "Zoë", "ENGAGED", "vip", "", ""),
                        (f"p{person}@x.example", "", "", "", "unsubscribed", f"c{number}"),
                        (f"nobody {number}", "", "", "", "", ""),
                        (),
                    ),
                    (6, 2, 1, 1, 1),
                )[0]
            )


def prepare(folder: Path) -> tuple[Path, Path]:
    """The file to import, and the store to import it into: it knows some of the people."""
    from aicmo.crm import CRMRepository
    from aicmo.store import open_database

    people, seed, store = folder / "people.csv", folder / "seed.csv", folder / "store"
    write_people(people)
    seed.write_text("email,first_name\n" + "".join(f"p{n}@x.example,Old\n" for n in range(0, ROWS, 5)))
    with contextlib.closing(open_database(store / "aicmo.db")) as db:
        CRMRepository(db).import_file(seed)
    return people, store


def finish(store: Path, people: Path) -> int:
    """Import, or go on importing; how many rows were done already."""
    from aicmo.crm import CRMRepository
    from aicmo.store import open_database

    with contextlib.closing(open_database(store / "aicmo.db")) as db:
        result = CRMRepository(db).import_file(
            people, rejected_file=store / "rejected.csv", tags=["spring"], policy="overwrite", batch_rows=BATCH_ROWS
        )
    return result.resumed_at


def is_done(store: Path, people: Path) -> bool:
    """Whether the killed process had done it all, and was only still on its way out."""
    from aicmo.store import imports, open_database

    with contextlib.closing(open_database(store / "aicmo.db")) as db:
        newest = db.read(imports.listed)[0]
    return newest.source == people.name and newest.status == "done"


def left_in(store: Path) -> dict[str, object]:
    """Everything that the import is answerable for."""
    from aicmo.store import open_database
    from aicmo.store.database import connect

    open_database(store / "aicmo.db").close()
    with contextlib.closing(connect(store / "aicmo.db")) as connection:
        connection.execute("CREATE VIRTUAL TABLE temp.word USING fts5vocab (main, contact_fts, instance)")
        left: dict[str, object] = {
            what: [tuple(row) for row in connection.execute(sql)] for what, sql in _COMPARED.items()
        }
    left["rejected rows"] = (store / "rejected.csv").read_text(encoding="utf-8")
    return left


def kill_once(folder: Path, people: Path, store: Path, wanted: dict[str, object], chance: random.Random) -> Killed:
    """One round. A process that was faster than its killer counts: nothing is left to do then."""
    ours = folder / "round"
    shutil.copytree(store, ours)
    command = [sys.executable, "-c", CHILD, str(ours / "aicmo.db"), str(people), str(ours / "rejected.csv")]
    batches = chance.randrange(ROWS // BATCH_ROWS)
    with subprocess.Popen([*command, str(BATCH_ROWS)], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        for _ in range(batches):
            child.stdout.readline()
        time.sleep(chance.random() * 0.02)
        child.kill()
    resumed_at = 0 if is_done(ours, people) else finish(ours, people)
    left = left_in(ours)
    shutil.rmtree(ours)
    return Killed(resumed_at, tuple(what for what in wanted if left[what] != wanted[what]))


def kill_many(rounds: int, seed: int) -> list[Killed]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        people, store = prepare(folder)
        reference = folder / "reference"
        shutil.copytree(store, reference)
        finish(reference, people)
        wanted = left_in(reference)
        chance = random.Random(seed)
        return [kill_once(folder, people, store, wanted, chance) for _ in range(rounds)]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    said = parser.parse_args()
    killed = kill_many(said.rounds, said.seed)
    resumed = sorted(each.resumed_at for each in killed if each.resumed_at)
    wrong = [each for each in killed if each.differences]
    print(f"seed {said.seed}: {len(killed)} kills, {len(resumed)} gone on with, behind rows {resumed}")
    print(f"different from the uninterrupted run: {len(wrong)}")
    for each in wrong:
        print(f"  killed behind row {each.resumed_at}: {', '.join(each.differences)}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
