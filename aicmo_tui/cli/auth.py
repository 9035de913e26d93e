"""``aicmo auth``: the OAuth tokens with which providers log in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from aicmo.clock import SYSTEM_CLOCK, rfc3339
from aicmo_tui.cli import output
from aicmo_tui.cli.verb import Run, run_async, verb

if TYPE_CHECKING:
    from datetime import datetime

    from aicmo.token_state import Tokens


@click.group()
def auth() -> None:
    """The access tokens with which providers log in (XOAUTH2)."""


@verb(auth, "list", lists=True)
def list_(run: Run) -> None:
    """Every provider with an oauth: signed in, until when, last renewed, and what is the matter. Nobody is asked."""
    from aicmo.services import Services

    now = SYSTEM_CLOCK.now()
    found = [
        {
            "provider": name,
            "signed_in": standing.signed_in,
            "expires_at": _time(standing.expires_at),
            "expires_in_s": standing.expires_in_s(now),
            "refreshed_at": _time(standing.refreshed_at),
            "trouble": standing.why or None,
        }
        for name, standing in Services(run.paths, run.load_config()).sign_ins.standings().items()
    ]
    columns = ["provider", "signed_in", "expires_at", "refreshed_at", "trouble"]
    output.rows(found, run.form, columns, empty="No provider has an oauth.")


@verb(auth, changes=True)
@click.argument("name")
def refresh(run: Run, name: str) -> None:
    """Get a new access token now. Exits 4 when a person has to sign in again, 7 when none can be had for the moment."""
    from aicmo.services import Services

    services = Services(run.paths, run.load_config())
    keeper = services.token_keeper(name)
    answer = {"schema": "aicmo.auth.refresh/1", "status": "dry_run", "provider": name}
    if run.dry_run:
        said = f"{name} would get a new access token from {keeper.settings.token_url}."
        output.document(answer, run.form, [said])
        return

    async def renewed() -> Tokens:
        try:
            return await keeper.refresh()
        finally:
            await services.aclose()

    expires_at = _time(run_async(renewed()).expires_at)
    said = f"{name} has a new access token, until {expires_at}."
    output.document({**answer, "status": "done", "expires_at": expires_at}, run.form, [said])


def _time(moment: datetime | None) -> str | None:
    return rfc3339(moment) if moment else None
