"""``aicmo content``: its versions, what differs between them, and whether what stands there now may go out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from aicmo.clock import parse_rfc3339
from aicmo.errors import InvalidInput
from aicmo_tui.cli import output
from aicmo_tui.cli.checking import report_record, report_told
from aicmo_tui.cli.verb import ROW_ID, Run, run_async, verb

if TYPE_CHECKING:
    from aicmo.publishing import CheckReport, Content, Contents, Draft
    from aicmo.store.contents import Version

CHANNEL = click.option("--channel", default="", metavar="NAME", help="linkedin, x, instagram ...; else the original.")


@verb(None, lists=True)
@click.argument("id_", metavar="ID", type=ROW_ID)
@CHANNEL
def versions(run: Run, id_: int, channel: str) -> None:
    """All that was saved, the latest first."""
    with run.open_workspace() as workspace:
        found = [version_record(each) for each in workspace.contents.versions(id_, channel)]
    columns = ["number", "at", "approved_at", "sent", "own", "subject"]
    output.rows(found, run.form, columns, empty="Nothing of its own: it follows the original.", numbers=["number"])


@verb(None)
@click.argument("id_", metavar="ID", type=ROW_ID)
@click.argument("before", metavar="[FROM]", type=ROW_ID, required=False)
@click.argument("after", metavar="[TO]", type=ROW_ID, required=False)
@CHANNEL
def diff(run: Run, id_: int, before: int | None, after: int | None, channel: str) -> None:
    """What differs between two versions: the last two, or those named; a channel's from the original, unless named.

    A line that is gone begins with -, one that is new with +; a line that was reworded begins with ~ and shows what is
    gone in [-...-] and what is new in {+...+}.
    """
    with run.open_workspace() as workspace:
        found = workspace.contents.compare(id_, before, after, channel)
    record = {
        "from": version_record(found.before),
        "to": version_record(found.after),
        "hunks": [
            {
                "field": each.field,
                "lines": [
                    {"mark": line.mark, "pieces": [[piece.mark, piece.text] for piece in line.pieces]}
                    for line in each.lines
                ],
            }
            for each in found.differences
        ],
    }
    text = [] if found.differences else [f"Version {found.before.number} and {found.after.number} say the same."]
    for each in found.differences:
        text += [f"{each.field}:", *(f"{line.mark} {line.text}".rstrip() for line in each.lines)]
    output.document(record, run.form, text)


@verb(None, changes=True)
@click.argument("id_", metavar="ID", type=ROW_ID)
@click.argument("number", metavar="VERSION", type=ROW_ID)
@CHANNEL
def restore(run: Run, id_: int, number: int, channel: str) -> None:
    """Say again what a version said, as a next version."""
    with run.open_workspace() as workspace:
        before = workspace.contents.wording(id_, channel).number
        after = workspace.contents.restore(id_, number, channel).number
    _tell(run, "restore", id_, channel, after, changed=after != before, said=f"says what version {number} said")


@verb(None, changes=True)
@click.argument("id_", metavar="ID", type=ROW_ID)
@click.option("--channel", required=True, metavar="NAME", help="linkedin, x, instagram ...")
@click.option("--subject", is_flag=True, help="Only the subject.")
@click.option("--body", is_flag=True, help="Only the body.")
def reset(run: Run, id_: int, channel: str, subject: bool, body: bool) -> None:
    """Let a channel follow the original again."""
    fields = [name for name, named in (("subject", subject), ("body", body)) if named]
    with run.open_workspace() as workspace:
        before = workspace.contents.wording(id_, channel)
        after = workspace.contents.reset(id_, channel, *fields)
    _tell(run, "reset", id_, channel, after.number, changed=after != before, said="follows the original")


@verb(None)
@click.argument("id_", metavar="ID", type=ROW_ID)
@CHANNEL
@click.option("--links", is_flag=True, help="Ask every link whether it leads anywhere; their servers see that.")
def check(run: Run, id_: int, channel: str, links: bool) -> int:
    """What is wrong with its words, whoever gets them. Exit code 6 when it could not go out.

    A post or a page with an error cannot be approved either.
    """
    from aicmo.publishing import CONTENT_TYPES
    from aicmo.publishing.preflight import joined

    async def look() -> CheckReport:
        async with run.open_workspace() as workspace:
            contents, preflight = workspace.contents, workspace.publishing.preflight
            found, draft = contents.get(id_), contents.wording(id_, channel).draft
            if (channel or CONTENT_TYPES[found.type].original) == "email":
                report = preflight.words(draft, found.title)
                asked = [await preflight.links(draft, found.title)] if links and report.ok else []
            else:
                report = contents.check(found.type, channel, draft)
                asked = [await preflight.ask(contents.links(found.type, channel, draft))] if links else []
            return joined([report, *asked])

    report = run_async(look())
    record = {key: value for key, value in report_record(report).items() if key not in ("audience", "suppressed")}
    record |= {"schema": "aicmo.content.check/1", "channel": channel or None}
    output.document(record, run.form, report_told(report, "could go out"))
    return 0 if report.ok else InvalidInput.exit_code


@verb(None, changes=True)
@click.argument("id_", metavar="ID", type=ROW_ID)
@CHANNEL
def approve(run: Run, id_: int, channel: str) -> None:
    """Approve what stands there now; any later change withdraws it. A campaign is approved with campaign approve.

    A post or a page with an error is refused; its warnings are told.
    """
    with run.open_workspace() as workspace:
        contents = workspace.contents
        found, before = contents.get(id_), contents.wording(id_, channel)
        after = contents.approve(id_, channel)
        report = _post_report(contents, found.type, channel, after.draft)
    said, warned = "is approved as it stands", [each.message for each in report.warnings]
    _tell(run, "approve", id_, channel, after.number, changed=not before.approved_at, said=said, warned=warned)


@verb(None, changes=True)
@click.argument("id_", metavar="ID", type=ROW_ID)
@CHANNEL
def unapprove(run: Run, id_: int, channel: str) -> None:
    """Take the approval back. What has begun to be sent goes on; campaign pause stops that."""
    with run.open_workspace() as workspace:
        before = workspace.contents.wording(id_, channel)
        workspace.contents.withdraw(id_, channel)
    _tell(run, "unapprove", id_, channel, before.number, changed=bool(before.approved_at), said="is not approved")


def _post_report(contents: Contents, type_: str, channel: str, draft: Draft) -> CheckReport:
    """Of a message nothing: whoever checks its campaign is told."""
    from aicmo.publishing import CONTENT_TYPES, CheckReport

    return (
        CheckReport()
        if (channel or CONTENT_TYPES[type_].original) == "email"
        else contents.check(type_, channel, draft)
    )


def version_record(version: Version) -> dict[str, Any]:
    """A version for a list, and for either side of a comparison."""
    draft = version.draft
    return {
        "number": version.number,
        "at": version.created_at or None,
        "approved_at": version.approved_at or None,
        "sent": version.sent,
        "own": list(version.own),
        "subject": draft.subject,
        "preheader": draft.preheader,
        "body": draft.body,
        "format": draft.format,
    }


def _moment(approved: Version) -> str:
    assert approved.approved_at is not None
    return output.moment(parse_rfc3339(approved.approved_at))


def told_approval(contents: Contents, content: Content, channel: str) -> str:
    """Whether what is shown there now is approved, and if it was once, what has changed since."""
    now, was = contents.wording(content.id, channel), contents.approved(content.id, channel)
    if now.approved_at:
        return f"approved {_moment(now)}"
    if was is None:
        return "not approved"
    if was.number == now.number:
        return f"not approved; version {was.number} was, {_moment(was)}, over another original"
    more = f" --channel {channel}" if channel else ""
    return (
        f"not approved; version {was.number} was, {_moment(was)}. "
        f"Since then: aicmo content diff {content.id} {was.number} {now.number}{more}"
    )


def _tell(
    run: Run, name: str, id_: int, channel: str, number: int, *, changed: bool, said: str, warned: Sequence[str] = ()
) -> None:
    status = "dry_run" if run.dry_run else "done" if changed else "unchanged"
    record = {
        "schema": f"aicmo.content.{name}/1",
        "status": status,
        "id": id_,
        "channel": channel or None,
        "version": number,
        "warnings": list(warned),
    }
    where = f" on {channel}" if channel else ""
    told = f"Content {id_}{where} {said}" + (" (dry run)." if run.dry_run else ".")
    output.document(record, run.form, [told, *(f"◐ {each}" for each in warned)])


VERBS = (versions, diff, restore, reset, check, approve, unapprove)
