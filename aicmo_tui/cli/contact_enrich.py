"""Asking providers about people: enrich, verify, and conflicts, where they say something else than what stands there.

What it may cost is said before anybody is asked. Ctrl-C stops between batches; whatever was paid for is kept.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from aicmo.errors import AuthNeeded, Interrupted, OutcomeUnknown, ProviderUnavailable
from aicmo_tui.cli import output
from aicmo_tui.cli.people import QUERY, agree
from aicmo_tui.cli.verb import PARTLY_FAILED, Run, run_async, verb

if TYPE_CHECKING:
    from aicmo.crm.enrichment import EnrichmentPipeline, EnrichmentResult, Progress, ProviderCounts, Quote

_SAID = {
    "found": "found",
    "no_match": "nobody knows",
    "failed": "failed",
    "unknown": "unknown",
    "remaining": "not asked about",
}
_SKIPPED = {
    "suppressed": "must not be written to",
    "recent": "were asked about not long ago; --again asks all the same",
    "unknown": "may have been paid for already; --retry-unknown asks again",
    "waiting": "have an answer that is still to be fetched",
    "nothing_known": "have nothing to be found by",
    "gone": "were deleted or suppressed meanwhile",
}


def _options(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--max-credits", type=click.IntRange(0), help="Spend at most so many, all providers together."),
        click.option("--retry-unknown", is_flag=True, help="Also those whose answer was lost; they may cost again."),
        click.option("--again", is_flag=True, help="Also those who were asked about not long ago."),
        click.argument("query", nargs=-1),
    ):
        function = option(function)
    return function


@verb(changes=True, epilog=QUERY)
@_options
@click.option("--parallel/--waterfall", default=None, help="All providers, or the next for whom one does not know.")
def enrich(run: Run, query: tuple[str, ...], parallel: bool | None, **wishes: Any) -> int:
    """Ask who people are, by way of the chain lead_enrichment. Fills empty fields; what differs is kept and shown by
    contact conflicts."""
    from aicmo.crm.enrichment import LEAD_ENRICHMENT

    return _ask(run, "enrich", " ".join(query), LEAD_ENRICHMENT, parallel=parallel, **wishes)


@verb(changes=True, epilog=QUERY)
@_options
def verify(run: Run, query: tuple[str, ...], **wishes: Any) -> int:
    """Ask whether people's addresses are good, by way of the chain email_verification."""
    from aicmo.crm.enrichment import EMAIL_VERIFICATION

    return _ask(run, "verify", " ".join(query), EMAIL_VERIFICATION, parallel=False, **wishes)


@verb(name="conflicts", lists=True, epilog=QUERY)
@click.argument("query", nargs=-1)
def conflicts_(run: Run, query: tuple[str, ...]) -> None:
    """Where providers say something else than what stands there; contact edit chooses."""
    with run.open_workspace() as workspace:
        pipeline: EnrichmentPipeline = workspace.enrichment
        rows = (
            {
                "email": each.email,
                "field": each.field,
                "value": each.value,
                "provider": said.provider,
                "says": said.value,
                "at": said.at,
            }
            for each in pipeline.conflicts(" ".join(query))
            for said in each.says
        )
        output.rows(
            rows, run.form, ["email", "field", "value", "provider", "says", "at"], empty="Nobody says otherwise."
        )


def _ask(run: Run, name: str, query: str, capability: str, **wishes: Any) -> int:
    try:
        quote, result = run_async(_run(run, query, capability, wishes))
    except Interrupted:
        raise Interrupted(
            "Cut off; what was on its way may have been paid for.",
            hint="Ask again: what can be fetched is fetched, the rest is called unknown.",
        ) from None
    document = {"schema": f"aicmo.contact.{name}/1", **_planned(quote)}
    if result is None:
        output.document({**document, "status": "dry_run"}, run.form, [*_estimated(quote), "Nobody was asked."])
        return 0
    output.document({**document, **_record(result)}, run.form, _told(result))
    if result.change_id is not None:
        run.say(f"Take back what it changed with: aicmo undo {result.change_id}")
    return _exit_code(result)


async def _run(run: Run, query: str, capability: str, wishes: dict[str, Any]) -> tuple[Quote, EnrichmentResult | None]:
    from aicmo.crm.enrichment import Wish
    from aicmo.log import logging_to

    async with run.open_workspace() as workspace:
        pipeline: EnrichmentPipeline = workspace.enrichment
        if wishes["parallel"] is None:
            wishes["parallel"] = workspace.config.enrichment.parallel
        wish = Wish(capability, **wishes)
        quote = await pipeline.quote(query, wish)
        if run.dry_run:
            return quote, None
        if quote.credits:
            for each in _estimated(quote):
                run.say(each)
            agree(run, f"Ask about {len(quote.plan.todo):,} people, for at most {quote.credits:,} credits?")
            wish = replace(wish, max_credits=quote.credits)  # what was agreed to, whoever is added meanwhile
        bar = _Bar(run)
        try:
            with logging_to(workspace.paths.log_file), _stoppable(pipeline):
                return quote, await pipeline.run(query, wish, progress=bar.draw)
        finally:
            bar.end()


@contextmanager
def _stoppable(pipeline: EnrichmentPipeline) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM stops between batches; a second one cuts off what is on its way."""
    import asyncio

    loop, running = asyncio.get_running_loop(), asyncio.current_task()
    stops: list[asyncio.Task[None]] = []

    def stop() -> None:
        if stops and running is not None:
            running.cancel()
        stops.append(asyncio.ensure_future(pipeline.stop()))

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


# --- telling ----------------------------------------------------------------------------------------------------------


def _planned(quote: Quote) -> dict[str, Any]:
    """What was to be done, and what it may cost at most."""
    return {
        "counts": {"selected": quote.plan.selected, "to_ask": len(quote.plan.todo)},
        "skipped": dict(quote.plan.skipped),
        "credits_at_most": quote.credits,
        "estimate": [
            {
                "provider": each.provider,
                "people_at_most": quote.plan.at_most(each.provider),
                "calls": each.calls,
                "credits_at_most": next((cost.cost for cost in each.costs if cost.unit == "credits"), 0),
                "budget_left": next((cost.limit - cost.used for cost in each.costs if cost.limit is not None), None),
                "credits_left": each.told_left,
                "open": each.open,
                "reason": each.reason or None,
            }
            for each in quote.providers
        ],
    }


def _estimated(quote: Quote) -> Iterator[str]:
    planned = _planned(quote)
    yield f"{quote.plan.selected:,} selected, {len(quote.plan.todo):,} to ask about"
    yield from _skipped(planned["skipped"])
    for place, each in enumerate(planned["estimate"], 1):
        parts = [f"{place}. {each['provider']}: at most {each['people_at_most']:,} people"]
        parts.append(f"{each['credits_at_most']:,} credits at most" if each["credits_at_most"] else "free")
        if each["budget_left"] is not None:
            parts.append(f"{each['budget_left']:,} left of this month's budget")
        if each["credits_left"] is not None:
            parts.append(f"{each['credits_left']:,} credits left there when last seen")
        if each["reason"]:
            parts.append(f"not now: {each['reason']}")
        yield ", ".join(parts)
    if not planned["estimate"]:
        yield "No provider is configured: name one in [chains]."
    if quote.max_credits is not None:
        yield f"At most {quote.credits:,} credits are spent, all together."


def _skipped(skipped: dict[str, int]) -> Iterator[str]:
    for name, said in _SKIPPED.items():
        if skipped.get(name):
            yield f"  {skipped[name]:,} left out: they {said}"


def _record(result: EnrichmentResult) -> dict[str, Any]:
    return {
        "status": result.status,
        "why": result.why or None,
        "counts": result.counts_dict(),
        "skipped": dict(result.skipped),
        "providers": [each.as_dict() for each in result.providers],
        "fetched": result.fetched,
        "lost": result.lost,
        "changed": result.changed,
        "conflicts": result.conflicts,
        "suppressed": list(result.suppressed),
        "verdicts": dict(result.verdicts),
        "change_id": result.change_id,
    }


def _told(result: EnrichmentResult) -> Iterator[str]:
    if result.status == "skipped":
        yield f"skipped: {result.why}"
    counted = [f"{said} {result.counts[name]:,}" for name, said in _SAID.items() if result.counts[name]]
    yield f"{result.selected:,} selected: " + (", ".join(counted) or "nobody to ask about")
    yield from _skipped(dict(result.skipped))
    yield from map(_provider_line, result.providers)
    if result.fetched:
        yield f"Fetched what earlier runs had paid for: {result.fetched:,} people."
    if result.lost:
        yield f"▲ {result.lost:,} answers were lost when an earlier run was killed; they may have been paid for."
    if result.verdicts:
        yield "Addresses: " + ", ".join(f"{word} {count:,}" for word, count in sorted(result.verdicts.items()))
    for email in result.suppressed:
        yield f"▲ {email} must not be written to, says the provider: suppressed."
    if result.conflicts:
        yield f"▲ {result.conflicts:,} values differ from what stands there: aicmo contact conflicts"
    if result.counts["unknown"]:
        yield "? Nobody knows what came of the unknown. --retry-unknown asks again, and may cost again."
    if result.counts["remaining"] and result.status != "skipped":
        yield "Go on with the same command: nobody is paid for twice."


def _provider_line(each: ProviderCounts) -> str:
    parts = [f"{name.replace('_', ' ')} {getattr(each, name):,}" for name in ("found", "no_match", "failed", "unknown")
             if getattr(each, name)]  # fmt: skip
    told = f"{each.provider}: asked about {each.asked:,}"
    told += f" ({', '.join(parts)})" if parts else ""
    told += f", {float(each.credits):g} credits" if each.credits else ""
    told += f", {each.credits_in_doubt:,} more in doubt" if each.credits_in_doubt else ""
    told += f"; not asked about {each.not_asked:,}" if each.not_asked else ""
    return told + (f": {each.why}" if each.why else "")


def _exit_code(result: EnrichmentResult) -> int:
    if result.status == "stopped":
        return Interrupted.exit_code
    if result.counts["unknown"]:
        return OutcomeUnknown.exit_code
    if result.status == "skipped":
        return ProviderUnavailable.exit_code
    if result.status != "partial":
        return 0
    if any(each.asked for each in result.providers):
        return PARTLY_FAILED
    refused = any(each.refused for each in result.providers)
    return AuthNeeded.exit_code if refused else ProviderUnavailable.exit_code


class _Bar:
    """How far it is, on a terminal's stderr."""

    def __init__(self, run: Run) -> None:
        self._on = not run.quiet and run.form.is_text and sys.stderr.isatty()
        self._drawn = False

    def draw(self, progress: Progress) -> None:
        if self._on:
            each = "  ".join(f"{it.provider} {it.asked:,}" for it in progress.providers)
            done = output.progress_bar(progress.done, progress.total)
            print(
                f"\r{done}  {progress.done:,} of {progress.total:,}  {each}\x1b[K", end="", file=sys.stderr, flush=True
            )
            self._drawn = True

    def end(self) -> None:
        if self._drawn:
            print(file=sys.stderr)


ASKING = (enrich, verify, conflicts_)
"""The verbs of this module."""
