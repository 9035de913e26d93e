"""A test: one message, the way it would really go, to an address that the person names; their own to begin with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from aicmo.crm.address import normalise
from aicmo.errors import InvalidInput, OutcomeUnknown, ProviderUnavailable
from aicmo.gateways import Applied, Attempt, Outcome
from aicmo_tui.present import line, value
from aicmo_tui.screens.changing import meanwhile
from aicmo_tui.widgets.dialogs import Ask

if TYPE_CHECKING:
    from aicmo_tui.app import AicmoApp

ABOUT_THE_MESSAGE = (Outcome.INPUT, Outcome.RECIPIENT, Outcome.CONTENT)
"""What is refused so says nothing of the service."""


async def send_test(app: AicmoApp, send: Callable[[str], Awaitable[Attempt]]) -> None:
    """Ask to whom, have ``send`` do it, and say what came of it.

    Raises ``OutcomeUnknown`` where it may have gone, ``InvalidInput`` where the message or the address was refused, and
    ``ProviderUnavailable`` where nobody could send it.
    """
    question = line("Send a test to which address? It is marked as a test, and stands in no ledger.")
    mine = app.workspace.config.sender.email
    to = await app.push_screen_wait(Ask(question, "you@example.com", stands=mine, check=normalise))
    if not to:
        return
    attempt = await meanwhile(app, line("Sending a test to ", value(to), " ..."), send(to))
    said = f"{attempt.code} {attempt.detail}".strip()
    if attempt.applied is Applied.UNKNOWN:
        raise OutcomeUnknown(f"The test may or may not have gone: {said}", hint=f"Look for it in the mail of {to}.")
    if attempt.outcome in ABOUT_THE_MESSAGE:
        raise InvalidInput(f"The test was not sent: {said}")
    if attempt.outcome is not Outcome.OK:
        raise ProviderUnavailable(f"The test was not sent: {said}", hint="F3 shows why.")
    app.tell(f"Sent to {to} through {attempt.provider}.")
