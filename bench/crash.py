"""Kill a running send at random moments, and look whether anybody got two messages or was forgotten.

Each round starts a campaign with ``aicmo campaign start ID --wait --yes``, kills it (SIGKILL) at a random moment, goes
on with ``aicmo run``, kills that too, and at last lets it finish. Then the ledger, as ``aicmo campaign deliveries
--json`` tells it, is compared with what the servers received. All rounds share one data folder, so what one leaves
behind the next one meets. The first of the two servers fails at some messages, in each of the ways of ``sink.FAULTS``,
so that failover is under way too, and some answers are lost without a kill.
What was received is filed in the Sent of a mailbox, so that the unknown can be resolved by that evidence.

    python -m bench.crash [--kills 300] [--seed N]
"""

from __future__ import annotations

import argparse
import imaplib
import json
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aicmo.paths import Paths
from aicmo.sandbox import PASSWORD, USER, RunningSandbox, start_sandbox
from bench.budget import Row, print_rows
from bench.mailing import furnish, new_campaign
from bench.sink import Received, Sink, start_sink

CONNECTIONS = 5
RTT_S = 0.005
"""With this a send to 200 people takes a second: long enough to be hit anywhere."""
FAULT_EVERY = 23
MOST_KILLS = 5
"""In one round."""
STARTING_S = 0.6
"""A program started a moment ago is still opening its files: some kills fall in there."""
EVIDENCE = "it was sent:"
"""How the ledger's reason begins where evidence resolved it."""
PATIENCE_S = 60.0
"""No run takes that long; one that does hangs, and that is an error."""


@dataclass(slots=True)
class CrashReport:
    """What all rounds together came to."""

    seed: int
    rounds: int = 0
    kills: int = 0
    kills_in_sending: int = 0
    """Kills that hit a process some of whose messages had been accepted, and others were still to go."""
    audience: int = 0
    received: int = 0
    lost: int = 0
    """Messages that a server took without saying so."""
    unknown: int = 0
    unknown_received: int = 0
    """Of the unknown: those that had arrived."""
    resolved: int = 0
    """Of the unknown: those that the copy in Sent showed to have gone."""
    untrue: list[str] = field(default_factory=list)
    """Resolved as sent, and never received."""
    queued_or_failed: int = 0
    """Listed, and nothing of them has arrived. None is expected when every round ends."""
    duplicates: list[str] = field(default_factory=list)
    """Recipients, or Message-IDs, that were received twice."""
    unaccounted: list[str] = field(default_factory=list)
    """Ledger and servers disagree: one sentence each."""
    too_many_unknown: list[str] = field(default_factory=list)
    """Rounds that left more unknown than there were connections to lose and answers lost."""

    @property
    def ok(self) -> bool:
        return not (self.duplicates or self.unaccounted or self.too_many_unknown or self.untrue)


def crash_runs(kills: int, seed: int, folder: Path, *, recipients: int = 200) -> CrashReport:
    """Do rounds in ``folder``, which must exist, until so many processes were killed. The same seed makes the same
    plan, not the same timing.

    Raises ``RuntimeError`` when a program fails otherwise than by being killed, or does not end.
    """
    report, chance = CrashReport(seed), random.Random(seed)
    with (
        start_sink(folder / "received.tsv", servers=2, rtt_s=RTT_S, fault_every=FAULT_EVERY) as sink,
        start_sandbox(folder / "sandbox") as sandbox,
    ):
        port = sandbox.imap.port
        paths = furnish(folder, sink.ports, connections=CONNECTIONS, people=recipients, mailbox=port)
        while report.kills < kills:
            number = report.rounds + 1
            this = _Round(number, paths, sink, sandbox, recipients, new_campaign(paths), sink.count())
            for turn in range(chance.randint(1, MOST_KILLS)):
                if report.kills + this.kills < kills:
                    this.kill(first=turn == 0, chance=chance)
            this.finish()
            this.compare(report)
    return report


@dataclass(slots=True)
class _Round:
    number: int
    paths: Paths
    sink: Sink
    sandbox: RunningSandbox
    recipients: int
    campaign: int
    before: int
    """How many messages the sink had when the round began."""
    filed: int = 0
    """How many of this round's have a copy in Sent."""
    kills: int = 0
    kills_in_sending: int = 0

    @property
    def arrived(self) -> int:
        return self.sink.count() - self.before

    def kill(self, *, first: bool, chance: random.Random) -> None:
        """Start it or go on with it, and kill whoever sends at a random moment, if it still lives then."""
        arrived = self.arrived
        # Before its first message a campaign may not even have begun: then it is started again.
        start = first or (not arrived and self._show()["status"] == "draft")
        words = ("campaign", "start", str(self.campaign), "--wait", "--yes") if start else ("run",)
        process = subprocess.Popen(
            _command(self.paths, *words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, process_group=0
        )
        try:
            if chance.random() < 0.2:
                goal, moment_s = 0, chance.uniform(0, STARTING_S)
            else:
                goal = arrived + chance.randrange(max(1, self.recipients - arrived))
                moment_s = chance.uniform(0, 4 * RTT_S)
            gives_up_at = time.monotonic() + PATIENCE_S
            while process.poll() is None and self.arrived < goal:
                if time.monotonic() > gives_up_at:
                    raise RuntimeError(f"Campaign {self.campaign} hangs.")
                time.sleep(0.001)
            time.sleep(moment_s)
            alive = process.poll() is None
        finally:
            process.kill()
            process.wait()
        self.kills += alive
        self.kills_in_sending += alive and arrived < self.arrived < self.recipients

    def finish(self) -> None:
        """Run, as cron would, until nothing is open. The first run meets the files just as the kill left them."""
        gives_up_at = time.monotonic() + PATIENCE_S
        while True:
            self._file_copies()
            run = json.loads(_aicmo(self.paths, "run", "--json"))
            found = self._show()
            if found["status"] == "finished":
                self._file_copies()
                if found["counts"]["unknown"]:  # those of an earlier run are not asked about again before a minute
                    _aicmo(self.paths, "campaign", "resolve", str(self.campaign), "--evidence", "--json", codes=(0, 8))
                return
            if found["status"] == "draft":
                _aicmo(self.paths, "campaign", "start", str(self.campaign), "--yes")
            elif time.monotonic() > gives_up_at:
                raise RuntimeError(f"Campaign {self.campaign} does not finish: {found['counts']}, {run['reason']}")
            elif run["status"] == "waiting":  # both servers rest for a moment, or a retry is due soon
                time.sleep(0.2)

    def compare(self, report: CrashReport) -> None:
        """Put the ledger beside what the servers have, and add what comes of it to ``report``."""
        ledger = json.loads(_aicmo(self.paths, "campaign", "deliveries", str(self.campaign), "--json"))
        received = self.sink.received()[self.before :]
        for what, copies in (
            ("recipient", Counter(mail.recipient for mail in received)),
            ("Message-ID", Counter(mail.message_id for mail in received)),
        ):
            report.duplicates += [f"{self}: {what} {name} x {count}" for name, count in copies.items() if count > 1]
        arrived = {(mail.recipient, mail.message_id) for mail in received}
        unknown = 0
        for row in ledger:
            state, has = row["state"], (row["email"], row["message_id"]) in arrived
            if state == "sent" and (row["reason"] or "").startswith(EVIDENCE):
                unknown += 1
                report.unknown_received += has
                report.resolved += 1
                report.untrue += [] if has else [f"{self}: {row['email']} was resolved as sent and was not received"]
            elif state == "unknown":
                unknown += 1
                report.unknown_received += has
            elif state == "sent" and not has:
                report.unaccounted.append(f"{self}: {row['email']} is sent and was not received")
            elif state != "sent" and has:
                report.unaccounted.append(f"{self}: {row['email']} was received and is {state}")
            elif state != "sent":
                report.queued_or_failed += 1
        listed = {row["email"] for row in ledger}
        strangers = {mail.recipient for mail in received} - listed
        report.unaccounted += [f"{self}: {email} was received and is not listed" for email in strangers]
        if len(listed) != self.recipients:
            report.unaccounted.append(f"{self}: {len(listed)} are listed, of {self.recipients}")
        lost = sum(not mail.answered for mail in received)
        if unknown > self.kills * CONNECTIONS + lost:
            too_many = f"{self}: {unknown} unknown after {self.kills} kills and {lost} lost answers"
            report.too_many_unknown.append(too_many)
        report.lost += lost
        report.rounds += 1
        report.kills += self.kills
        report.kills_in_sending += self.kills_in_sending
        report.audience += self.recipients
        report.received += len(received)
        report.unknown += unknown

    def __str__(self) -> str:
        return f"round {self.number}"

    def _file_copies(self) -> None:
        """Put into Sent what was received since the last time: only the heads, because nothing else is read."""
        received = self.sink.received()[self.before + self.filed :]
        self.filed += len(received)
        file_copies(self.sandbox, received)

    def _show(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(_aicmo(self.paths, "campaign", "show", str(self.campaign), "--json"))
        return found


# --- the program ----------------------------------------------------------------------------------------------------


def file_copies(sandbox: RunningSandbox, received: Sequence[Received]) -> None:
    """Append the head of each to the Sent of the sandbox's mailbox."""
    with imaplib.IMAP4(sandbox.imap.host, sandbox.imap.port, timeout=PATIENCE_S) as mailbox:
        mailbox.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        mailbox.login(USER, PASSWORD)
        for mail in received:
            head = f"To: {mail.recipient}\r\nMessage-ID: {mail.message_id}\r\n\r\n"
            mailbox.append("Sent", "", "", head.encode())


def _aicmo(paths: Paths, *words: str, codes: tuple[int, ...] = (0,)) -> str:
    done = subprocess.run(_command(paths, *words), capture_output=True, text=True, timeout=PATIENCE_S)
    if done.returncode not in codes:
        raise RuntimeError(f"aicmo {' '.join(words)} exits {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def _command(paths: Paths, *words: str) -> list[str]:
    program = str(Path(sys.executable).with_name("aicmo"))
    return [program, "--config", str(paths.config_file), "--data-dir", str(paths.data_dir), *words]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=300, help="so many processes are killed")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**31))
    parser.add_argument("--recipients", type=int, default=200)
    told = parser.parse_args()
    print(f"seed {told.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="aicmo-crash-") as temporary:
        report = crash_runs(told.kills, told.seed, Path(temporary), recipients=told.recipients)
    for complaint in (*report.duplicates, *report.unaccounted, *report.too_many_unknown, *report.untrue):
        print(complaint)
    print_rows(
        f"{report.kills} x kill -9, {report.kills_in_sending} amid sending, in {report.rounds} campaigns to"
        f" {told.recipients} people; seed {report.seed}",
        [
            Row("recipients", f"{report.audience:,}"),
            Row("messages received", f"{report.received:,}"),
            Row("  taken without an answer", str(report.lost)),
            Row("received twice", str(len(report.duplicates)), budget="0", reached=not report.duplicates),
            Row("missing and not listed", str(len(report.unaccounted)), budget="0", reached=not report.unaccounted),
            Row("listed as queued or failed", str(report.queued_or_failed)),
            Row(
                "unknown",
                str(report.unknown),
                f"{CONNECTIONS} connections x {report.kills} kills + {report.lost} lost answers",
                budget="<= both together",
                reached=not report.too_many_unknown,
            ),
            Row("  of these had been received", str(report.unknown_received)),
            Row("  resolved by the copy in Sent", str(report.resolved)),
            Row(
                "  resolved as sent and never received", str(len(report.untrue)), budget="0", reached=not report.untrue
            ),
        ],
    )
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())
