"""Keeping people in step with another CRM: say what would happen on each side, do it, say what happened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from aicmo.crm.syncing import SyncOptions, SyncProgress, SyncResult
from aicmo_tui.present import MUTED, TITLE, WARN, line, lines, number, value
from aicmo_tui.widgets.dialogs import Busy, Choose, confirm
from aicmo_tui.work import off_loop

if TYPE_CHECKING:
    from aicmo_tui.app import AicmoApp

SHOWN = 8
"""Conflicts, and warnings, that a dialog names."""
_HEADINGS = {"done": "In step", "cancelled": "Stopped; what was done by then stays", "locked": "Not now"}


async def sync_people(app: AicmoApp) -> bool:
    """The conversation; whether anybody here was changed. Raises what the sync raises, such as ``AuthNeeded``."""
    seen = await run_sync(app, dry_run=True)
    if seen.status == "cancelled":
        return False
    if seen.status == "skipped":
        await app.push_screen_wait(Choose(line(("There is no CRM", TITLE)), {"": "Close"}, details=told(seen)))
        return False
    question = line("Bring both sides together with ", value(seen.provider, TITLE), "?")
    if not await app.push_screen_wait(confirm(question, "Sync", details=told(seen))):
        return False
    done = await run_sync(app, dry_run=False)
    heading = _HEADINGS.get(done.status, "In step, but for some")
    await app.push_screen_wait(Choose(line((heading, TITLE)), {"": "Close"}, details=told(done)))
    return done.change_id is not None


async def run_sync(app: AicmoApp, *, dry_run: bool) -> SyncResult:
    """Sync behind a bar; ``escape`` stops it after the page or batch under way."""
    busy = Busy(line("Looking at both sides" if dry_run else "Bringing both sides together"))

    def note(progress: SyncProgress) -> None:
        busy.note(progress.done, None)

    sync = await off_loop(app, lambda: app.workspace.sync)
    await app.push_screen(busy)
    try:
        return await sync.sync(SyncOptions(dry_run=dry_run), progress=note, cancelled=lambda: busy.stopped)
    finally:
        busy.dismiss()


def told(result: SyncResult) -> Content:
    """What came, or would come, of it."""
    if result.reason:
        return value(result.reason)
    here, there, spoken = result.pull, result.push, result.interactions
    rows = [
        _counts("here", {"new": here.created, "changed": here.updated, "rejected": here.rejected}),
        _counts(
            "there",
            {
                "new": there.created,
                "changed": there.updated,
                "refused": there.failed,
                "deleted": there.gone,
                "unknown": there.unknown,
            },
        ),
    ]
    if spoken.pulled or spoken.pushed:
        rows.append(_counts("interactions", {"came here": spoken.pulled, "went there": spoken.pushed}))
    for each in result.conflicts[:SHOWN]:
        sides = value(each.ours), " here, ", value(each.theirs), " there; kept: ", (each.kept, WARN)
        rows.append(line(value(each.email), f": {each.field} is ", *sides))
    more = result.conflict_count - SHOWN
    if more > 0:
        rows.append(line((f"and {number(more)} more conflicts: aicmo contact sync --conflicts", MUTED)))
    rows += [value(warning, MUTED) for warning in result.warnings[:SHOWN]]
    if result.problem:
        rows.append(value(f"It stopped: {result.problem.reason} The next sync goes on from there.", WARN))
    return lines(rows)


def _counts(side: str, named: dict[str, int]) -> Content:
    told = " · ".join(f"{number(count)} {name}" for name, count in named.items() if count) or "nothing to do"
    return line((f"{side}: ", MUTED), told)
