"""``aicmo contact sync``: the same people here and in another CRM, kept in step."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from aicmo.errors import AuthNeeded, ProviderUnavailable
from aicmo_tui.cli import output
from aicmo_tui.cli.people import QUERY
from aicmo_tui.cli.verb import PARTLY_FAILED, Run, run_async, verb

if TYPE_CHECKING:
    from aicmo.crm.syncing import SyncProgress, SyncResult

_SKIPPED = ProviderUnavailable.exit_code
_COLUMNS = ["email", "field", "ours", "theirs", "original", "kept", "at"]


@verb(changes=True, epilog=QUERY)
@click.argument("query", nargs=-1)
@click.option(
    "--direction", type=click.Choice(["both", "pull", "push"]), default="both", help="Which side may be changed."
)
@click.option(
    "--rule",
    type=click.Choice(["ours", "theirs", "newer", "ask"]),
    default="ours",
    help="Whose value stands when both sides changed a field; ask leaves both until you say.",
)
@click.option("--full", is_flag=True, help="Read every row there, not only those that changed; tells the deleted ones.")
@click.option("--recreate", is_flag=True, help="Write again those whose rows were deleted there.")
@click.option("--conflicts", is_flag=True, help="Only list what both sides had changed, and which value was kept.")
def sync(
    run: Run, query: tuple[str, ...], direction: str, rule: str, full: bool, recreate: bool, conflicts: bool
) -> int:
    """Keep people in step with Airtable: what changed there comes here, what changed here goes there. With a query,
    only these, and nobody new. Exits 5 when something could not be brought over, 7 when no CRM can be asked."""
    if conflicts:
        with run.open_workspace() as workspace:
            found = [
                {"email": each.email, **each.clash._asdict(), "at": each.at} for each in workspace.sync.conflicts()
            ]
        output.rows(found, run.form, _COLUMNS, empty="No field was changed on both sides.")
        return 0
    from aicmo.crm.syncing import SyncOptions

    options: Any = {"query": " ".join(query), "direction": direction, "rule": rule}
    bar = _Line(run)

    async def work() -> SyncResult:
        async with run.open_workspace() as workspace:
            chosen = SyncOptions(**options, dry_run=run.dry_run, full=full, recreate=recreate)
            result: SyncResult = await workspace.sync.sync(chosen, progress=bar.draw)
            return result

    try:
        result = run_async(work())
    finally:
        bar.end()
    output.document(record(result), run.form, told(result))
    return _exit_code(result)


def record(result: SyncResult) -> dict[str, Any]:
    """A sync as JSON tells it."""
    problem = result.problem
    return {
        "schema": "aicmo.contact.sync/1",
        "status": "dry_run" if result.dry_run else result.status,
        "provider": result.provider,
        "direction": result.direction,
        "reason": result.reason,
        "counts": result.counts(),
        "conflict_count": result.conflict_count,
        "conflicts": [each._asdict() for each in result.conflicts],
        "suppressed": result.suppressed,
        "stages_kept": result.stages_kept,
        "deleted_there": result.deleted_there,
        "change_id": result.change_id,
        "problem": problem
        and {
            "outcome": problem.outcome.value,
            "reason": problem.reason,
            "retry_at": problem.retry_at.isoformat() if problem.retry_at else None,
        },
        "warnings": list(result.warnings),
        "warnings_unnamed": result.unnamed,
    }


def told(result: SyncResult) -> list[str]:
    """The same in a few lines."""
    if result.reason:
        return [result.reason]
    pull, push, spoken = result.pull, result.push, result.interactions
    would = "would be " if result.dry_run else ""
    lines = [
        f"here: {pull.created:,} {would}new, {pull.updated:,} changed, {pull.unchanged:,} unchanged, "
        f"{pull.skipped:,} skipped, {pull.rejected:,} rejected",
        f"there: {push.created:,} {would}new, {push.updated:,} changed, {push.failed:,} refused, "
        f"{push.gone:,} deleted, {push.unknown:,} unknown",
    ]
    if spoken.pulled or spoken.pushed or spoken.failed or spoken.unknown:
        lines.append(f"interactions: {spoken.pulled:,} came here, {spoken.pushed:,} went there")
    if push.unknown or spoken.unknown:
        lines.append(
            "▲ The answer to some writes was lost; the next sync writes them again, and nobody is there twice."
        )
    lines += [
        f"▲ {each.email}: {each.field} is “{each.ours}” here and “{each.theirs}” there; kept: {each.kept}"
        for each in result.conflicts
    ]
    if result.conflict_count > len(result.conflicts):
        lines.append(f"▲ {result.conflict_count:,} conflicts in all; see them with: aicmo contact sync --conflicts")
    lines += [f"▲ {warning}" for warning in result.warnings]
    if result.unnamed:
        lines.append(f"▲ and {result.unnamed:,} more like that")
    if result.problem:
        lines.append(f"▲ It stopped: {result.problem.reason} The next sync goes on from there.")
    if result.dry_run:
        lines.append("Nothing was changed on either side.")
    elif result.change_id is not None:
        lines.append(f"Take back what it changed here with: aicmo undo {result.change_id}")
    return lines


def _exit_code(result: SyncResult) -> int:
    if result.status == "skipped":
        return _SKIPPED
    if result.problem and result.problem.outcome.value == "auth":
        return AuthNeeded.exit_code
    return PARTLY_FAILED if result.status == "partly" else 0


class _Line:
    """How far a sync is, on a terminal's stderr."""

    def __init__(self, run: Run) -> None:
        self._on = not run.quiet and run.form.is_text and sys.stderr.isatty()
        self._drawn = False

    def draw(self, progress: SyncProgress) -> None:
        if self._on:
            print(f"\r{progress.what} {progress.done:,}\x1b[K", end="", file=sys.stderr, flush=True)
            self._drawn = True

    def end(self) -> None:
        if self._drawn:
            print(file=sys.stderr)
