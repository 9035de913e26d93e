"""``aicmo campaign variant``, ``ab`` and ``winner``: several first messages, and which one is better."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aicmo.clock import parse_rfc3339
from aicmo.errors import ApprovalNeeded
from aicmo_tui.cli import output
from aicmo_tui.cli.verb import ROW_ID, Run, verb

if TYPE_CHECKING:
    from aicmo.publishing.variants import Standing
    from aicmo.store.variants import Figures
    from aicmo.workspace import Workspace

LETTER = click.Choice(["A", "B", "C", "D", "E"], case_sensitive=False)


@click.group()
def variant() -> None:
    """Other first messages of a campaign; its own is A."""


@verb(variant, changes=True)
@click.argument("id_", metavar="ID", type=ROW_ID)
@click.option("--content", "content_id", type=ROW_ID, metavar="ID", help="Other content; else the campaign's own.")
@click.option("--subject", default="", help="In place of the content's own.")
@click.option("--after", default="0", metavar="SPAN", help="How much later than the others it goes, such as 5h.")
def add(run: Run, id_: int, content_id: int | None, subject: str, after: str) -> None:
    """One more. Without a test (campaign ab) all variants go to even parts of the audience."""
    from aicmo.publishing.spans import parse_span

    with run.open_workspace() as workspace:
        workspace.variants.add(id_, content_id=content_id, subject=subject, wait_minutes=parse_span(after))
        _answer(run, "variant.add", workspace, id_)


@verb(variant, changes=True)
@click.argument("id_", metavar="ID", type=ROW_ID)
@click.argument("letter", metavar="LETTER", type=LETTER)
def remove(run: Run, id_: int, letter: str) -> None:
    """Take one out of a campaign that has not begun."""
    with run.open_workspace() as workspace:
        workspace.variants.remove(id_, letter)
        _answer(run, "variant.remove", workspace, id_)


@verb(variant, "list", lists=True)
@click.argument("id_", metavar="ID", type=ROW_ID)
def list_(run: Run, id_: int) -> None:
    """The variants, and what came of each; of a test, in its sample."""
    with run.open_workspace() as workspace:
        found = variants_record(workspace.variants.standing(id_))["variants"]
    columns = ["variant", "content_id", "subject", "after", "people", "sent", "clicks", "replies", "converted"]
    if run.form.is_text:
        for row in found:
            row["converted"] = row["converted"]["numerator"]
    output.rows(found, run.form, columns, empty="", numbers=["content_id", *columns[4:]])


@verb(changes=True)
@click.argument("id_", metavar="ID", type=ROW_ID)
@click.option("--goal", type=click.Choice(["clicks", "replies"]), default="clicks", help="What is better. [clicks]")
@click.option("--sample", type=int, default=20, metavar="PERCENT", help="Of the audience, for all variants. [20]")
@click.option("--holdout", type=int, default=0, metavar="PERCENT", help="Who get nothing, to compare with. [0]")
@click.option("--wait", default="24h", metavar="SPAN", help="How long each message has to show its worth. [24h]")
@click.option("--least", type=int, default=100, metavar="N", help="Sent of each before anything is concluded. [100]")
@click.option(
    "--unclear", type=click.Choice(["first", "ask"]), default="first",
    help="Without a clear winner: A goes to the rest, or you are asked. [first]",
)  # fmt: skip
@click.option("--off", is_flag=True, help="No test: all variants to even parts of all.")
def ab(
    run: Run, id_: int, goal: str, sample: int, holdout: int, wait: str, least: int, unclear: str, off: bool
) -> None:
    """Try the variants on a sample; the rest gets the better one."""
    from aicmo.publishing.spans import parse_span
    from aicmo.store.variants import Trial

    with run.open_workspace() as workspace:
        if off:
            workspace.variants.drop_test(id_)
        else:
            workspace.variants.set_test(Trial(id_, goal, sample, holdout, parse_span(wait), least, unclear))
        doubt = "" if off else workspace.variants.doubt(id_, _written_to(workspace, id_))
        _answer(run, "ab", workspace, id_, warnings=[doubt] if doubt else [])
        if doubt:
            run.say(f"▲ {doubt} Say a larger --sample, or a smaller --least.")


def _written_to(workspace: Workspace, id_: int) -> int:
    """How many it would go to now."""
    found = workspace.publishing.campaign(id_)
    reached = workspace.publishing.audience(found.audience, found.exclude)
    return int(reached.total - reached.suppressed)


@verb(changes=True)
@click.argument("id_", metavar="ID", type=ROW_ID)
@click.argument("letter", metavar="LETTER", type=LETTER)
def winner(run: Run, id_: int, letter: str) -> None:
    """Decide a test yourself: the rest gets this variant."""
    with run.open_workspace() as workspace:
        standing = workspace.variants.standing(id_)
        waiting, undecided = standing.waiting, standing.test is not None and not standing.test.decided_at
        people = "1 person" if waiting == 1 else f"{waiting:,} people"
        if undecided and not run.confirm(f"Send variant {letter} to {people} who wait?"):
            raise ApprovalNeeded("Nobody agreed, so nothing was decided.", hint="Answer y on a terminal, or say --yes.")
        released = workspace.variants.choose(id_, letter)
        _answer(run, "winner", workspace, id_, released=released)


def _answer(run: Run, name: str, workspace: Workspace, id_: int, **more: object) -> None:
    standing = workspace.variants.standing(id_)
    record = {"schema": f"aicmo.campaign.{name}/1", "status": "dry_run" if run.dry_run else "done", "id": id_, **more}
    said = variants_record(standing)
    told = variants_told(said)
    output.document({**record, **said}, run.form, [*told, *(["Nothing was changed."] if run.dry_run else [])])


def variants_record(standing: Standing) -> dict[str, Any]:
    """What there is to say of variants, a test, and those held out."""
    from aicmo.clock import rfc3339
    from aicmo.publishing.spans import told_span

    goal = standing.test.goal if standing.test else "clicks"
    trial = standing.test
    return {
        "variants": [
            {
                "variant": said.variant or "A",
                "content_id": said.content_id,
                "subject": subject,
                "after": told_span(said.wait_minutes),
                **_figures(found, goal),
            }
            for said, subject, found in zip(standing.messages, standing.subjects, standing.figures, strict=True)
        ],
        "rest": {"variant": standing.rest.variant, **_figures(standing.rest, goal)} if standing.rest else None,
        "holdout": _figures(standing.holdout, goal) if standing.holdout else None,
        "test": {
            "goal": trial.goal,
            "sample_percent": trial.sample_percent,
            "holdout_percent": trial.holdout_percent,
            "wait": told_span(trial.wait_minutes),
            "least": trial.least,
            "unclear": trial.unclear,
            "waiting": standing.waiting,
            "decision_at": rfc3339(standing.decision_at) if standing.decision_at else None,
            "decided_at": trial.decided_at,
            "winner": trial.winner or None,
            "because": trial.because or None,
        }
        if trial
        else None,
    }


def _figures(found: Figures, goal: str) -> dict[str, Any]:
    from aicmo.analytics.rates import Rate

    return {
        "people": found.people,
        "sent": found.sent,
        "clicks": found.clicks,
        "replies": found.replies,
        "rate": Rate(found.of(goal), found.sent).as_dict(),
        "converted": Rate(found.converted, found.people).as_dict(),
    }


def variants_told(record: dict[str, Any]) -> list[str]:
    told = [f"  {each['variant']}  {each['subject']}{_came_to(each, record)}" for each in record["variants"]]
    if rest := record["rest"]:
        told.append(f"  {rest['variant']} to the rest{_came_to({**rest, 'after': '0'}, record)}")
    if held_out := record["holdout"]:
        told.append(f"  held out {held_out['people']:,}, converted {_rate(held_out['converted'])}")
    if trial := record["test"]:
        told.append(
            f"  by {trial['goal']}: {trial['sample_percent']}% try them for {trial['wait']},"
            f" {trial['holdout_percent']}% are held out, at least {trial['least']:,} of each"
        )
        if trial["decided_at"]:
            told.append(f"  {trial['winner']} won: {trial['because']}")
        elif trial["because"]:
            told.append(f"  ? {trial['because']}: decide with aicmo campaign winner ID LETTER")
        elif trial["decision_at"]:
            when = output.moment(parse_rfc3339(trial["decision_at"]))
            told.append(f"  to be decided {when}; {trial['waiting']:,} wait for it")
        elif trial["waiting"]:
            told.append(
                f"  to be decided {trial['wait']} after the last of the sample went; {trial['waiting']:,} wait for it"
            )
    return told


def _came_to(each: dict[str, Any], record: dict[str, Any]) -> str:
    after = f" ({each['after']} later)" if each["after"] != "0" else ""
    if not each["people"]:
        return after
    goal = record["test"]["goal"] if record["test"] else "clicks"
    return f"{after}  sent {each['sent']:,}, {goal} {_rate(each['rate'])}, converted {_rate(each['converted'])}"


def _rate(rate: dict[str, Any]) -> str:
    """``12 (3.0%, 1.7-5.2)``: the Wilson interval at 95 %."""
    if rate["interval"] is None:
        return f"{rate['numerator']:,}"
    low, high = (100 * end for end in rate["interval"])
    return f"{rate['numerator']:,} ({rate['value']:.1%}, {low:.1f}-{high:.1f})"
