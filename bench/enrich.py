"""Ask the sandbox about 10,000 people: how much of the permitted rate is used, and that no credit is spent twice.

Three parts. *Rate*: Apollo may be called 16 times a second, which is its real limit of 1,000 a minute; what it saw,
from the first call to the last, is compared with what it allows. *Kills*: the same command is killed (SIGKILL) three
times at random moments and then let finish; the sandbox's ledger of credits says whether anybody was paid for twice.
*Partial*: Dropcontact dies in the middle; what Apollo found stands, and the rest is named.

    python -m bench.enrich [--people 10000] [--kills 3] [--seed N]
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aicmo.config import load_config
from aicmo.paths import Paths
from aicmo.sandbox import Fault, Handled, RunningSandbox, start_sandbox
from aicmo.sandbox.known import what_is_known
from aicmo.workspace import open_workspace
from bench.budget import Row, print_rows

PER_SECOND = 16
SHARE = 0.95
UNKNOWN_EVERY = 5
"""So often somebody is not known to Apollo, and goes on to Dropcontact."""
PATIENCE_S = 120.0

_CONFIG = """\
[sender]
name = "Ada Lovelace"
email = "ada@example.com"

[chains]
lead_enrichment = ["apollo", "dropcontact"]

[providers.apollo]
kind = "apollo"
base_url = "{apollo}"
api_key = "{apollo_key}"
limits = {{ second = {per_second} }}

[providers.dropcontact]
kind = "dropcontact"
base_url = "{dropcontact}"
api_key = "{dropcontact_key}"
poll_seconds = 1
"""


@dataclass(frozen=True, slots=True)
class Ledger:
    """What the two sides say was paid for."""

    people: int
    apollo_credits: int
    apollo_booked: int
    dropcontact_credits: int
    dropcontact_booked: int
    unknown: int
    """People of whom nobody knows whether they were paid for."""
    most_of_one: int
    """How often the person asked about most was found at Apollo."""
    expected_of_one: int
    """How many contacts are that person at the most."""
    answered: int

    @property
    def ok(self) -> bool:
        """Everything paid for is booked or in doubt, and nobody was found more often than they were asked about."""
        return (
            self.apollo_booked <= self.apollo_credits <= self.apollo_booked + self.unknown
            and self.dropcontact_booked <= self.dropcontact_credits <= self.dropcontact_booked + self.unknown
            and self.most_of_one <= self.expected_of_one
        )


def furnish(folder: Path, sandbox: RunningSandbox, people: int, *, per_second: int = PER_SECOND) -> Paths:
    """A store with so many people, each of whom has the LinkedIn page of somebody whom Apollo knows, or none."""
    sandbox.reset()
    sandbox.set_account("apollo", credits=10 * people, minute_limit=None)
    sandbox.set_account("dropcontact", credits=10 * people)
    paths = Paths(config_file=folder / "config.toml", data_dir=folder / "data")
    folder.mkdir(parents=True, exist_ok=True)
    paths.config_file.write_text(
        _CONFIG.format(
            apollo=sandbox.http["apollo"].base_url,
            dropcontact=sandbox.http["dropcontact"].base_url,
            apollo_key=sandbox.keys["apollo"],
            dropcontact_key=sandbox.keys["dropcontact"],
            per_second=per_second,
        )
    )
    paths.config_file.chmod(0o600)
    pages = [known.linkedin for known in what_is_known() if known.in_apollo]
    table = folder / "people.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("email", "last_name", "linkedin_url"))
        for number in range(people):
            page = f"https://www.linkedin.com/in/{pages[number % len(pages)]}" if number % UNKNOWN_EVERY else ""
            writer.writerow((f"person{number}@company{number % 500}.example", f"Person {number}", page))
    with open_workspace(paths, load_config(paths.config_file)) as workspace:
        workspace.crm.import_file(table)
    return paths


def rate(folder: Path, sandbox: RunningSandbox, people: int, *, per_second: int = PER_SECOND) -> tuple[float, float]:
    """Calls a second that Apollo saw from the first to the last, and the seconds of the whole run."""
    paths = furnish(folder, sandbox, people, per_second=per_second)
    started = time.monotonic()
    _finish(paths)
    elapsed_s = time.monotonic() - started
    calls = [each.at for each in _calls(sandbox, "apollo", "bulk_match")]
    return len(calls) / (calls[-1] - calls[0]).total_seconds(), elapsed_s


def kills(folder: Path, sandbox: RunningSandbox, people: int, times: int, seed: int) -> Ledger:
    """Kill it so many times while it asks, the last time while Dropcontact is at work, let it finish, and compare."""
    paths, chance = furnish(folder, sandbox, people, per_second=40), random.Random(seed)
    sandbox.set_account("dropcontact", ready_after_s=2.0)
    for number in range(times - 1):
        goal = chance.randint(number * 2 + 1, people // 10 * (number + 1) // (times + 1))
        _kill_at(paths, sandbox, "apollo", "bulk_match", goal, chance.random() * 0.1)
    _kill_at(paths, sandbox, "dropcontact", "enrich/all", 1, chance.random() * 0.5)
    for _ in range(3):  # what was handed in and not fetched is fetched first
        _finish(paths)
    return _compare(paths, sandbox, people)


def partial(folder: Path, sandbox: RunningSandbox, people: int, *, dies_after_s: float) -> dict[str, Any]:
    """Dropcontact goes away while it is asked; the document that the command prints, and its code."""
    paths = furnish(folder, sandbox, people, per_second=60)
    sandbox.set_faults([Fault("connect", "refuse", server="dropcontact", after_s=dies_after_s)])
    with _started(paths) as process:
        out, _ = process.communicate(timeout=PATIENCE_S)
    return {**json.loads(out), "code": process.returncode}


def _compare(paths: Paths, sandbox: RunningSandbox, people: int) -> Ledger:
    with open_workspace(paths, load_config(paths.config_file)) as workspace:
        rows = workspace.db.read(
            lambda db: db.execute(
                "SELECT provider, outcome, count(*), sum(millicredits) / 1000 FROM lookup GROUP BY 1, 2"
            ).fetchall()
        )
        answered = workspace.db.read(
            lambda db: db.execute(
                "SELECT count(DISTINCT contact_id) FROM lookup WHERE outcome IN ('found', 'no_match')"
            ).fetchone()[0]
        )
    booked, unknown = Counter[str](), 0
    for provider, outcome, count, credits in rows:
        booked[provider] += credits
        unknown += count if outcome in ("unknown", "asked") else 0
    log = sandbox.http_log()
    found = Counter(who for each in log if each.effect == "matched" for who in each.on)
    pages = sum(known.in_apollo for known in what_is_known())
    return Ledger(
        people,
        sum(each.credits for each in log if each.server == "apollo"),
        booked["apollo"],
        sum(each.credits for each in log if each.server == "dropcontact"),
        booked["dropcontact"],
        unknown,
        max(found.values()),
        -(-people // pages),
        answered,
    )


def _kill_at(paths: Paths, sandbox: RunningSandbox, server: str, path: str, calls: int, moment_s: float) -> None:
    with _started(paths) as process:
        gives_up_at = time.monotonic() + PATIENCE_S
        try:
            while process.poll() is None and len(_calls(sandbox, server, path)) < calls:
                if time.monotonic() > gives_up_at:
                    raise RuntimeError("It hangs.")
                time.sleep(0.01)
            time.sleep(moment_s)
        finally:
            process.kill()


def _finish(paths: Paths) -> None:
    with _started(paths) as process:
        out, err = process.communicate(timeout=PATIENCE_S)
    if process.returncode not in (0, 5, 8):
        raise RuntimeError(f"It ended with {process.returncode}: {err.decode()} {out.decode()}")


def _started(paths: Paths) -> subprocess.Popen[bytes]:
    words = [
        "contact",
        "enrich",
        "--yes",
        "--json",
        "--config",
        str(paths.config_file),
        "--data-dir",
        str(paths.data_dir),
    ]
    source = "from aicmo_tui.cli import main; main()"
    return subprocess.Popen([sys.executable, "-c", source, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def _calls(sandbox: RunningSandbox, server: str, path: str) -> list[Handled]:
    return [each for each in sandbox.http_log() if each.server == server and each.path.endswith(path)]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--people", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    said = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, start_sandbox(Path(name) / "sandbox") as sandbox:
        folder = Path(name)
        seen, elapsed_s = rate(folder / "rate", sandbox, said.people)
        ledger = kills(folder / "kills", sandbox, said.people // 5, said.kills, said.seed)
        left = partial(folder / "partial", sandbox, said.people // 2, dies_after_s=said.people / 2400)
    share = seen / PER_SECOND
    first, second = left["providers"]
    lost = second["not_asked"] + second["failed"]
    stood = left["code"] == 5 and first["asked"] == said.people // 2 and lost > 0
    print_rows(
        f"enrichment of {said.people:,} people in {elapsed_s:.0f} s (seed {said.seed})",
        [
            Row(
                "calls to Apollo a second",
                f"{seen:.2f}",
                f"allowed {PER_SECOND}",
                share,
                f">= {SHARE}x",
                share >= SHARE,
            ),
            Row(
                f"credits over {said.kills} kills: Apollo",
                f"{ledger.apollo_credits:,}",
                f"booked {ledger.apollo_booked:,}, in doubt {ledger.unknown:,}",
                budget="none twice",
                reached=ledger.ok,
            ),
            Row(
                f"credits over {said.kills} kills: Dropcontact",
                f"{ledger.dropcontact_credits:,}",
                f"booked {ledger.dropcontact_booked:,}",
                budget="none twice",
                reached=ledger.ok,
            ),
            Row("answered in the end", f"{ledger.answered:,}", f"of {ledger.people:,}"),
            Row(
                "Dropcontact dies: found by Apollo",
                f"{first['found']:,}",
                f"of {first['asked']:,} asked; Dropcontact: {second['asked']:,} asked, {lost:,} failed or not asked",
                budget="partly, exit 5",
                reached=stood,
            ),
        ],
    )
    return 0 if share >= SHARE and ledger.ok and stood else 1


if __name__ == "__main__":
    sys.exit(main())
