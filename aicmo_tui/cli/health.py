"""``aicmo health``: who serves, how well, and what to do about it. Speaks the exit codes of monitoring plugins.

Whatever is broken, ``--json`` prints one valid document: a monitoring system must be able to read that nothing is
known.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from aicmo.clock import SYSTEM_CLOCK, rfc3339
from aicmo.errors import AicmoError, ApprovalNeeded, InvalidInput, NotFound, StoreError
from aicmo.text import shown
from aicmo_tui.cli import output
from aicmo_tui.cli.verb import Run, run_async, unexpected, verb

if TYPE_CHECKING:
    from datetime import datetime, timedelta
    from pathlib import Path

    from aicmo.gateways.selfcheck import Checked
    from aicmo.gateways.status import HealthReport, ProviderHealth
    from aicmo.provider_state import StateChange
    from aicmo.services import Services

    Look = Callable[[], HealthReport]

EXIT_CODES = {"ok": 0, "warning": 1, "critical": 2, "unknown": 3}
"""The Monitoring Plugins Development Guidelines' codes; this verb alone speaks them."""
GLYPHS = {
    "ok": "●",
    "slow": "◐",
    "cooling": "▲",
    "flapping": "▲",
    "probing": "◐",
    "blocked": "✕",
    "disabled": "✕",
    "forced": "◆",
    "no data": "○",
    "unsupported": "○",
}
CHANGES_SHOWN = 5
REDRAW_S = 2.0
_SPANS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@verb(changes=True, failure_code=EXIT_CODES["unknown"])
@click.option("--status", is_flag=True, help="The stored state, without asking any provider.")
@click.option("--watch", is_flag=True, help="Keep watching, until interrupted; with --json one object a line.")
@click.option("--interval", type=click.FloatRange(min=0.1), metavar="S", help="Seconds between looks.  [default: 2]")
@click.option(
    "--prometheus",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Also write FILE for Prometheus' textfile collector.",
)
@click.option("--force", metavar="PROVIDER", help="Use it whatever its state, for a while.")
@click.option("--disable", metavar="PROVIDER", help="Do not use it, for a while.")
@click.option("--reset", metavar="PROVIDER", help="Give it a clean slate, and end what was forced or disabled.")
@click.option("--for", "span", metavar="TIME", help="How long: 90s, 30m, 2h, 7d; at most 31 days.  [default: 30m]")
def health(
    run: Run,
    status: bool,
    watch: bool,
    interval: float | None,
    prometheus: str | None,
    force: str | None,
    disable: str | None,
    reset: str | None,
    span: str | None,
) -> int:
    """Who serves each capability, how well, and what to do. Exits 0 ok, 1 warning, 2 critical, 3 unknown.

    Asks every provider how it is, by a check that costs nothing and does no work; --status asks nobody. A watch, and a
    change by --force, --disable or --reset, end with 0 when they were done as asked.
    """
    from pathlib import Path

    words = [
        (word, name) for word, name in (("force", force), ("disable", disable), ("reset", reset)) if name is not None
    ]
    if len(words) + watch > 1:
        raise click.UsageError("--watch, --force, --disable and --reset exclude each other.")
    if span is not None and (not words or reset):
        raise click.UsageError("--for says how long to --force or --disable.")
    if interval is not None and not watch:
        raise click.UsageError("--interval goes with --watch.")
    if run.dry_run and not words:
        raise click.UsageError("--dry-run goes with --force, --disable or --reset.")
    textfile = Path(prometheus) if prometheus else None
    try:
        with _open(run) as (services, look):
            if words:
                return _say_word(run, services, look, *words[0], span)
            if watch:
                run_async(_watch(run, services, look, interval or REDRAW_S, textfile, ask=not status))
                return 0
            if not status:
                run_async(_check(run, services))
            report = look()
    except Exception as error:  # the edge: whatever it is, the document says it
        if words or run.form.is_text or isinstance(error, BrokenPipeError):
            raise
        told = error if isinstance(error, AicmoError) else unexpected(error, run)
        output.document(_broken(told), run.form, [])
        return EXIT_CODES["unknown"]
    _export(textfile, report)
    output.document(record(report), run.form, _told(report))
    return EXIT_CODES[report.status]


@contextmanager
def _open(run: Run) -> Iterator[tuple[Services, Look]]:
    """The services, and how to look at their health: without the main database too, and it then says so."""
    config = run.load_config()
    from aicmo.services import Services
    from aicmo.workspace import open_workspace

    try:
        workspace = open_workspace(run.paths, config, rehearsal=run.dry_run)
    except StoreError as error:
        trouble = error
    else:
        with workspace:
            yield workspace.services, workspace.health
        return
    services = Services(run.paths, config)
    try:
        yield services, lambda: services.health(trouble=trouble)
    finally:
        services.close()


# --- asking ---------------------------------------------------------------------------------------------------------


async def _check(run: Run, services: Services) -> None:
    from aicmo.log import logging_to

    with logging_to(run.paths.log_file):
        try:
            service = services.self_check
            asked = len(service.providers)
            run.say(f"Asking {asked} provider{'' if asked == 1 else 's'} …")
            await service.check_all(early=True, told=lambda found: run.say(_progress(found)))
        finally:
            await services.part()


def _progress(found: Checked) -> str:
    attempt = found.attempt
    if attempt.outcome == "skipped":
        return f"  {found.provider}: not asked, {attempt.detail}"
    why = " ".join(part for part in (attempt.code, attempt.detail) if part and attempt.outcome != "ok")
    return f"  {found.provider}: {attempt.outcome}, {attempt.latency_s * 1000:.0f} ms" + (f" ({why})" if why else "")


async def _watch(
    run: Run, services: Services, look: Look, interval_s: float, textfile: Path | None, *, ask: bool
) -> None:
    """Tell what changes until SIGINT, SIGTERM, or until nobody reads any more."""
    import asyncio
    import signal

    from aicmo.log import logging_to

    async def look_on() -> None:
        from aicmo.gateways.watching import watch

        async for sighting in watch(look, interval_s):
            _export(textfile, sighting.report)
            _tell(run, sighting.event, sighting.report)

    watching = asyncio.create_task(look_on())
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, watching.cancel)
    with logging_to(run.paths.log_file):
        checks: asyncio.Task[Any] | None = None
        try:
            if ask:
                interval = services.config.health.check_interval_seconds
                checks = asyncio.create_task(services.self_check.keep_checking(interval))
            await asyncio.wait([watching])
        finally:
            if checks is not None:
                checks.cancel()
                await asyncio.gather(checks, return_exceptions=True)
            await services.part()
    if not watching.cancelled():
        watching.result()


def _tell(run: Run, event: str, report: HealthReport) -> None:
    if not run.form.is_text:
        if event:
            output.document({"event": event, **record(report)}, run.form, [])
            sys.stdout.flush()
    elif sys.stdout.isatty():
        output.screenful([*_told(report), "", "Ctrl-C ends the watch."])
    elif event in ("first", "change"):
        output.line(f"--- {rfc3339(SYSTEM_CLOCK.now())}")
        for each in _told(report):
            output.line(each)
        sys.stdout.flush()


def _export(textfile: Path | None, report: HealthReport) -> None:
    if textfile is not None:
        from aicmo.gateways.prometheus import exposition, write_textfile

        write_textfile(textfile, exposition(report, SYSTEM_CLOCK.now()))


# --- a person's word ------------------------------------------------------------------------------------------------


def _say_word(run: Run, services: Services, look: Look, word: str, name: str, span: str | None) -> int:
    lasts = _span("30m" if span is None else span)
    _must_be_configured(services, name)
    until = SYSTEM_CLOCK.now() + lasts
    ends = f"until {until:%Y-%m-%d %H:%M} UTC"
    question, done = {
        "force": (f"Use {name} whatever its state, {ends}?", f"forced {ends}"),
        "disable": (f"Do not use {name} {ends}?", f"disabled {ends}"),
        "reset": (f"Put {name} back in service with a clean slate?", "reset"),
    }[word]
    if not run.confirm(question):
        raise ApprovalNeeded(question, hint="Say --yes to agree beforehand.")
    if run.dry_run:
        services.registry.rehearse()

    async def change() -> None:
        registry = services.registry
        try:
            if word == "reset":
                await registry.reset(name)
            else:
                await (registry.force if word == "force" else registry.disable)(name, until)
        finally:
            await services.part()

    run_async(change())
    run.say(f"Nothing was changed; {name} would be {done}, and then:" if run.dry_run else f"{name} is {done}.")
    report = look()
    document = record(report)
    output.document({**document, "status": "dry_run"} if run.dry_run else document, run.form, _told(report))
    return 0


def _span(text: str) -> timedelta:
    from datetime import timedelta

    found = re.fullmatch(r"(\d{1,7})([smhd])", text.strip())
    span = timedelta(seconds=int(found[1]) * _SPANS_S[found[2]]) if found else timedelta()
    if not timedelta() < span <= timedelta(days=31):
        raise InvalidInput(f"{shown(text)} is no time to say with --for.", hint="Say 90s, 30m, 2h or 7d; at most 31d.")
    return span


def _must_be_configured(services: Services, name: str) -> None:
    names = {each for chain in services.config.chains.values() for each in chain}
    if name not in names:
        raise NotFound(f"No chain has a provider {shown(name)}.", hint=f"There are: {', '.join(sorted(names))}.")


# --- telling --------------------------------------------------------------------------------------------------------


def record(report: HealthReport) -> dict[str, Any]:
    """The document of ``--json``."""
    return {
        "schema": "aicmo.health/1",
        "at": rfc3339(SYSTEM_CLOCK.now()),
        "status": report.status,
        "degraded": report.degraded or None,
        "unknown_sends": report.unknown_sends,
        "capabilities": [
            {
                "capability": capability.capability,
                "status": capability.status,
                "serving": capability.serving or None,
                "since": _time(capability.since),
                "providers": [_provider(provider) for provider in capability.providers],
            }
            for capability in report.capabilities
        ],
        "recommendations": [
            {
                "severity": each.severity,
                "provider": each.provider or None,
                "cause": each.cause,
                "detail": each.detail or None,
                "action": each.action,
                "samples": list(each.samples),
            }
            for each in report.recommendations
        ],
        "changes": [
            {
                "at": rfc3339(each.at),
                "provider": each.name,
                "before": each.before,
                "after": each.after,
                "why": each.why,
                "seen_by": each.by or None,
            }
            for each in report.changes
        ],
    }


def _provider(provider: ProviderHealth) -> dict[str, Any]:
    return {
        "name": provider.name,
        "kind": provider.kind,
        "state": provider.state,
        "reason": provider.reason or None,
        "since": _time(provider.since),
        "score": None if provider.score is None else round(provider.score, 3),
        "observations": provider.observations,
        "latency_ms": provider.latency_ms,
        "latency_spread_ms": provider.latency_spread_ms,
        "last_success_at": _time(provider.last_success_at),
        "last_error": provider.last_error or None,
        "last_error_at": _time(provider.last_error_at),
        "next_probe_at": _time(provider.next_probe_at),
        "override_until": _time(provider.override_until),
        "checked_at": _time(provider.check.checked_at) if provider.check else None,
        "quota": provider.quota
        and {
            "unit": provider.quota.quota.unit,
            "left": provider.quota.quota.left,
            "limit": provider.quota.quota.limit,
            "resets_at": _time(provider.quota.quota.resets_at),
            "told_at": _time(provider.quota.told_at),
        },
        "token": provider.token
        and {
            "expires_at": _time(provider.token.expires_at),
            "expires_in_s": provider.token.expires_in_s(SYSTEM_CLOCK.now()),
            "refreshed_at": _time(provider.token.refreshed_at),
            "signed_in": provider.token.signed_in,
            "trouble": provider.token.why or None,
        },
        "budgets": [{"unit": each.unit, "used": each.used, "limit": each.limit} for each in provider.budgets],
        "lowered_limits": [
            {"per": each.span, "allowed": each.allowed, "configured": each.configured, "until": _time(each.until)}
            for each in provider.lowered
        ],
        "cost": provider.cost
        and {
            "elsewhere": provider.cost.elsewhere,
            "wasted": provider.cost.wasted,
            "unknown": provider.cost.unknown,
        },
    }


def _broken(error: AicmoError) -> dict[str, Any]:
    """The document when nothing can be told."""
    return {
        "schema": "aicmo.health/1",
        "at": rfc3339(SYSTEM_CLOCK.now()),
        "status": "unknown",
        "degraded": error.message,
        "unknown_sends": None,
        "capabilities": [],
        "recommendations": [
            {
                "severity": "critical",
                "provider": None,
                "cause": error.code,
                "detail": error.message,
                "action": error.hint,
                "samples": [],
            }
        ],
        "changes": [],
        "error": error.as_dict(),
    }


def _time(moment: datetime | None) -> str | None:
    return rfc3339(moment) if moment else None


def _told(report: HealthReport) -> list[str]:
    lines = [f"health: {report.status}"]
    if report.degraded:
        lines.append(f"▲ {report.degraded}")
    for capability in report.capabilities:
        since = f" since {capability.since:%Y-%m-%d %H:%M} UTC" if capability.since else ""
        lines.append(f"{capability.capability}: {capability.status}, served by {capability.serving or 'nobody'}{since}")
        lines += [_line(provider) for provider in capability.providers]
    for word, urgent in (("DO", True), ("better:", False)):
        for each in report.recommendations:
            if (each.severity != "info") is urgent:
                lines.append(f"{word} {each.told}: {each.action}")
                lines += [f"   {sample}" for sample in each.samples]
    lines += [_change(each) for each in report.changes[:CHANGES_SHOWN]]
    return lines


def _change(change: StateChange) -> str:
    seen = f" (seen by: {change.by})" if change.by else ""
    return f"{change.at:%Y-%m-%d %H:%M:%S} UTC  {change.name}: {change.before} -> {change.after}, {change.why}{seen}"


def _line(provider: ProviderHealth) -> str:
    score = "-" if provider.score is None else f"{provider.score:.2f}"
    parts = [f"  {GLYPHS[provider.state]} {provider.name}  {provider.state}  {score} (n {provider.observations:g})"]
    if provider.quota is not None and provider.quota.quota.left is not None:
        quota = provider.quota.quota
        parts.append(f"{quota.left:,}{f' of {quota.limit:,}' if quota.limit else ''} {quota.unit} left")
    parts += [f"{each.used:,} of {each.limit:,} {each.unit} used this month" for each in provider.budgets if each.limit]
    if provider.token is not None:
        parts.append(provider.token.told(SYSTEM_CLOCK.now()))
    if provider.reason:
        parts.append(provider.last_error or provider.reason)
    if provider.since and provider.state not in ("ok", "slow"):
        parts.append(f"since {provider.since:%Y-%m-%d %H:%M:%S} UTC")
    if provider.cost is not None and provider.state not in ("ok", "slow"):
        parts.append(provider.cost.told)
    if provider.next_probe_at:
        parts.append(f"again at {provider.next_probe_at:%Y-%m-%d %H:%M:%S} UTC")
    return " · ".join(parts)
