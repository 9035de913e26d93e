"""``aicmo campaign preview`` and ``test``: a message of a campaign as it would go, to look at or to send to oneself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aicmo.errors import AicmoError, AuthNeeded, InvalidInput
from aicmo_tui.cli import output
from aicmo_tui.cli.verb import ROW_ID, Run, run_async, verb

if TYPE_CHECKING:
    from aicmo.gateways import Attempt

STEP = click.option("--step", "number", type=ROW_ID, default=1, metavar="STEP", help="Which step of a sequence. [1]")
VARIANT = click.option("--variant", "letter", default="", metavar="LETTER", help="Which variant of the first. [A]")
_REFUSED: dict[str, type[AicmoError]] = {
    "auth": AuthNeeded,
    "input": InvalidInput,
    "recipient": InvalidInput,
    "content": InvalidInput,
}
"""Outcome of an attempt that did not happen -> who speaks for it; for any other, nobody of the chain can serve."""


@verb()
@click.argument("id_", metavar="ID", type=ROW_ID)
@click.option("--as", "email", default="", metavar="EMAIL", help="As this contact gets it; else the first of them.")
@STEP
@VARIANT
@click.option("--part", type=click.Choice(["text", "html", "source"]), default="text", show_default=True)
def preview(run: Run, id_: int, email: str, number: int, letter: str, part: str) -> None:
    """One of its messages as one person would get it. The source is what goes, but for the date and the token."""
    with run.open_workspace() as workspace:
        seen = workspace.publishing.preview(id_, email=email, step=number, variant=letter.upper())
    record = {"to": seen.to, "subject": seen.subject, "preheader": seen.preheader}
    record |= {"text": seen.text, "html": seen.html, "source": seen.source}
    preheader = [f"Preheader: {seen.preheader}"] if seen.preheader else []
    told = [f"To: {seen.to}", f"Subject: {seen.subject}", *preheader, ""] if part == "text" else []
    output.document(record, run.form, [*told, record[part]])


@verb(changes=True)
@click.argument("id_", metavar="ID", type=ROW_ID)
@click.option("--to", default="", metavar="EMAIL", help="Who gets it; else the sender.")
@STEP
@VARIANT
def test(run: Run, id_: int, to: str, number: int, letter: str) -> int:
    """Send it to yourself, marked as a test, the way it would really go."""
    from aicmo.errors import OutcomeUnknown, ProviderUnavailable
    from aicmo.gateways import Applied

    which: dict[str, Any] = {"step": number, "variant": letter.upper()}
    if run.dry_run:
        with run.open_workspace() as workspace:
            seen = workspace.publishing.preview_test(id_, to, **which)
        record = {"schema": "aicmo.campaign.test/1", "status": "dry_run", "to": seen.to, "subject": seen.subject}
        output.document({**record, "source": seen.source}, run.form, [seen.source])
        return 0

    async def send() -> Attempt:
        async with run.open_workspace() as workspace:
            attempt: Attempt = await workspace.publishing.send_test(id_, to, **which)
            return attempt

    to = to or run.load_config().sender.email
    attempt = run_async(send())
    status = {Applied.YES: "sent", Applied.NO: "failed", Applied.UNKNOWN: "unknown"}[attempt.applied]
    record = {
        "schema": "aicmo.campaign.test/1",
        "status": status,
        "to": to,
        "provider": attempt.provider,
        "code": attempt.code,
        "reason": attempt.detail,
    }
    reply = f"{attempt.provider} {attempt.code} {attempt.detail}".strip()
    output.document(record, run.form, [f"{status} to {to}: {reply}"])
    if attempt.applied is not Applied.NO:
        return 0 if attempt.applied is Applied.YES else OutcomeUnknown.exit_code
    return _REFUSED.get(attempt.outcome, ProviderUnavailable).exit_code
