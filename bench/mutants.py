"""What if a guard were gone: each one is switched off, one at a time, in a copy of the source; its test must fail.

A guard whose absence no test notices is decoration. The table says which edit switches a guard off and which tests
must break; an edit that no longer fits the source is an error, so the table cannot rot.

    python -m bench.mutants [WORD ...]        only the guards whose name holds one of these words
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.budget import Row, print_rows

ROOT = Path(__file__).parent.parent
COPIED = ("core", "aicmo_tui", "tests", "bench", "pyproject.toml")
GIVES_UP_S = 180
CHAIN, WORK = "gateways/chain.py", "gateways/chain_work.py"
BREAKER, HEALTH = "gateways/breaker.py", "gateways/health.py"
WALKS = "gateways/test_state_machine.py::test_with_all_guards_no_promise_is_broken"
DEADLINE = "gateways/test_deadline.py::test_a_side_effect_that_is_cut_off_may_have_happened"
"""Not the Hypothesis tests: those notice too, and then take minutes to find the smallest story."""
LEDGER, LIMITS = "store/claiming.py", "gateways/limits.py"


@dataclass(frozen=True, slots=True)
class Mutant:
    guard: str
    file: str
    """Below ``core/aicmo``."""
    source: str
    """Occurs once there."""
    without: str
    tests: str
    """What pytest is told to run, below ``tests``."""


MUTANTS = (
    # --- the chain: who may be called after whom
    Mutant(
        "applied: what may have happened moves nowhere",
        WORK,
        "in LAST_WORD or (self.side_effect and attempt.applied is not Applied.NO)",
        "in LAST_WORD",
        "gateways/test_chain.py",
    ),
    Mutant(
        "input and recipient move nowhere",
        WORK,
        "frozenset({Outcome.OK, Outcome.INPUT, Outcome.RECIPIENT, Outcome.CONTENT, Outcome.CANCELLED})",
        "frozenset({Outcome.OK, Outcome.CONTENT, Outcome.CANCELLED})",
        "gateways/test_chain.py",
    ),
    Mutant(
        "a provider that is closed is skipped",
        CHAIN,
        "            if not admission.allowed:\n                work.closed",
        "            if False:\n                work.closed",
        "gateways/test_chain.py",
    ),
    Mutant(
        "refused content takes nobody else down",
        CHAIN,
        "admission.cause == REPUTATION:",
        "admission.cause == 'none':",
        "gateways/test_chain.py",
    ),
    Mutant(
        "the deadline cuts",
        CHAIN,
        "    if seconds is None:\n        return await op(provider)",
        "    if True:\n        return await op(provider)",
        DEADLINE,
    ),
    Mutant(
        "what the deadline cut may have happened",
        CHAIN,
        "applied=Applied.UNKNOWN if side_effect else Applied.NO))",
        "applied=Applied.NO))",
        DEADLINE,
    ),
    Mutant(
        "a budget refuses",
        CHAIN,
        "if isinstance(taken, Refusal):",
        "if False:",
        "gateways/test_chain.py gateways/test_limits.py",
    ),
    Mutant("a retry is paid for", "gateways/retry.py", "if self.tokens < 1:", "if False:", "gateways/test_chain.py"),
    # --- the breaker: closed, cooling, probed
    Mutant(
        "closed until its time",
        BREAKER,
        "return until if until > now else None",
        "return None",
        WALKS,
    ),
    Mutant(
        "failures in a row close",
        BREAKER,
        "if state.state == OK and not _is_down(state, attempt, now) and",
        "if state.state == OK and",
        WALKS,
    ),
    Mutant(
        "Retry-After is kept",
        BREAKER,
        "        return attempt.retry_at\n    return now + timedelta(seconds=default_s)",
        "        return now\n    return now + timedelta(seconds=default_s)",
        WALKS,
    ),
    Mutant(
        "one probe at a time (the lease)",
        BREAKER,
        "return state.lease_until is not None and now < state.lease_until <=",
        "return False and now < state.lease_until <=",
        WALKS,
    ),
    Mutant(
        "a lease ends with its holder",
        BREAKER,
        "LEASE_S = 18.0",
        "LEASE_S = 1e9",
        WALKS,
    ),
    Mutant(
        "fencing: an old result decides nothing",
        BREAKER,
        "attempt.outcome, gen == state.gen",
        "attempt.outcome, True",
        WALKS,
    ),
    Mutant(
        "input and recipient cost no health",
        BREAKER,
        "    if outcome in BLAMELESS:\n",
        "    if False:\n",
        WALKS,
    ),
    Mutant(
        "an override ends",
        BREAKER,
        "state.override_until is None or state.override_until <= now:",
        "state.override_until is None:",
        WALKS,
    ),
    Mutant(
        "another credential unblocks",
        HEALTH,
        "if fingerprint and fingerprint != state.config_fingerprint:",
        "if False:",
        WALKS,
    ),
    Mutant(
        "no network is nobody's fault",
        HEALTH,
        "if self._network.down and unreachable(attempt):",
        "if False:",
        "gateways/test_local_fault.py gateways/test_provider_health.py",
    ),
    # --- limits and budgets
    Mutant(
        "a rate holds",
        "gateways/rates.py",
        "return uses if waits else [use for use, _ in counted]",
        "return [use for use, _ in counted]",
        "gateways/test_limits.py",
    ),
    Mutant("a budget holds", LIMITS, "if left < held[unit]:", "if False:", "gateways/test_limits.py"),
    # --- the ledger: nobody twice
    Mutant(
        "only a running campaign is claimed",
        LEDGER,
        '    if campaign is None or campaign["status"] != "running":\n',
        "    if False:\n",
        "store/test_deliveries.py publishing/test_pipeline.py",
    ),
    Mutant(
        "an opt-out holds until the body",
        LEDGER,
        "    if suppressed:\n",
        "    if False:\n",
        "store/test_deliveries.py publishing/test_outbox.py",
    ),
    Mutant(
        "only the latest claim settles",
        LEDGER,
        "        verdict.state,\n        now,\n        claim=delivery.claim,",
        "        verdict.state,\n        now,",
        "store/test_deliveries.py publishing/test_outbox.py",
    ),
    Mutant(
        "after a crash it is unknown, never queued",
        LEDGER,
        "SET state = 'unknown', reason = ?, at = ? WHERE state = 'sending'",
        "SET state = 'queued', reason = ?, at = ? WHERE state = 'sending'",
        "store/test_deliveries.py publishing/test_outbox.py",
    ),
    Mutant(
        "one sender at a time",
        "store/file_lock.py",
        "fcntl.LOCK_EX | fcntl.LOCK_NB",
        "fcntl.LOCK_SH | fcntl.LOCK_NB",
        "cli/test_exit_codes.py::test_75_locked_only_where_that_was_asked_for",
    ),
)


def noticed_by(mutant: Mutant, copy: Path) -> str:
    """The first test that fails without the guard; empty when none does. Raises ``ValueError`` on a stale edit."""
    file = copy / "core" / "aicmo" / mutant.file
    whole = file.read_text(encoding="utf-8")
    if whole.count(mutant.source) != 1:
        raise ValueError(f"{mutant.file} holds {mutant.source!r} {whole.count(mutant.source)} times")
    file.write_text(whole.replace(mutant.source, mutant.without), encoding="utf-8")
    try:
        return first_failure(mutant.tests.split(), copy)
    finally:
        file.write_text(whole, encoding="utf-8")


def first_failure(tests: Sequence[str], copy: Path) -> str:
    """The first of ``tests`` that fails in the copy; empty when all pass. Raises ``ValueError`` if they cannot run."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "--tb=no", "-rf"]
            + [f"tests/{path}" for path in tests],
            cwd=copy,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(copy / "core"), str(copy)])},
            capture_output=True,
            text=True,
            timeout=GIVES_UP_S,
        )
    except subprocess.TimeoutExpired:
        return f"no end within {GIVES_UP_S} s"
    if done.returncode not in (0, 1):
        raise ValueError(done.stdout + done.stderr)
    failed = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("FAILED")]
    return failed[0].removeprefix("tests/") if failed else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("words", nargs="*", metavar="WORD")
    words = parser.parse_args().words
    rows = []
    with tempfile.TemporaryDirectory(prefix="aicmo-mutants-") as temporary:
        copy = Path(temporary)
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, copy / name)
        chosen = [it for it in MUTANTS if not words or any(word in it.guard for word in words)]
        broken = first_failure(sorted({path for it in chosen for path in it.tests.split()}), copy)
        if broken:
            sys.exit(f"With all guards in place {broken} fails already; that comes first.")
        for mutant in chosen:
            test = noticed_by(mutant, copy)
            rows.append(Row(mutant.guard, test or "nobody notices", reached=bool(test)))
            print(f"{'noticed' if test else 'MISSED '}  {mutant.guard}", file=sys.stderr, flush=True)
    print_rows(f"Guards switched off, {sum(bool(row.reached) for row in rows)} of {len(rows)} noticed", rows)
    sys.exit(0 if all(row.reached for row in rows) else 1)


if __name__ == "__main__":
    main()
