"""A test of a message: which one, to whom, and what came of it."""

from __future__ import annotations

import pytest
from campaigns import WINTER, a_sequence
from driving import app_on, reads, text_of
from test_campaign_screen import WIDE, opened

from aicmo.gateways import Applied, Attempt, Outcome
from aicmo.workspace import Workspace


async def test_a_test_of_a_sequence_asks_which_message(filled: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    campaign, asked = a_sequence(filled, begun=False), []

    async def send(campaign_id: int, to: str, *, step: int, variant: str) -> Attempt:
        asked.append((campaign_id, to, step, variant))
        return Attempt("smtp-spare", Outcome.OK, Applied.YES)

    monkeypatch.setattr(filled.publishing, "send_test", send)
    app = app_on(filled)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await opened(pilot, campaign)
        await pilot.press("t")
        await reads(pilot, "Which message?", "Step 1: Welcome", "Step 2: How is it going?")
        await pilot.press("down", "enter")
        await reads(pilot, "to which address?", "ada@example.com")
        await pilot.press("enter")
        await reads(pilot, "Sent to ada@example.com through smtp-spare.")
    assert asked == [(campaign, "ada@example.com", 2, "")]


async def test_a_test_goes_to_whom_one_says(filled: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    async def send(campaign_id: int, to: str, *, step: int, variant: str) -> Attempt:
        asked.append(to)
        return Attempt("smtp-spare", Outcome.OK, Applied.YES)

    monkeypatch.setattr(filled.publishing, "send_test", send)
    app = app_on(filled)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        await opened(pilot, WINTER)
        await pilot.press("t")
        await reads(pilot, "to which address?", "ada@example.com")
        await pilot.press(*"boss", "enter")  # what stands there is replaced by what is typed
        await reads(pilot, "✕")
        await pilot.press(*"@acme.example", "enter")
        await reads(pilot, "Sent to boss@acme.example through smtp-spare.")
    assert asked == ["boss@acme.example"]


@pytest.mark.parametrize(
    ("attempt", "told"),
    [
        (Attempt("smtp-spare", Outcome.RECIPIENT, Applied.NO, detail="no such user"), "was not sent: no such user"),
        (Attempt("smtp-spare", Outcome.AMBIGUOUS, Applied.UNKNOWN, detail="cut off"), "may or may not have gone"),
        (Attempt("", Outcome.SKIPPED, Applied.NO, detail="nobody can serve"), "F3 shows why."),
    ],
    ids=lambda case: case.outcome if isinstance(case, Attempt) else "",
)
async def test_a_test_that_did_not_go_is_told_apart_from_one_that_may_have(
    attempt: Attempt, told: str, filled: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def send(*_: object, **__: object) -> Attempt:
        return attempt

    monkeypatch.setattr(filled.publishing, "send_test", send)
    app = app_on(filled)
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot, WINTER)
        await pilot.press("t")
        await reads(pilot, "to which address?")
        await pilot.press("enter")
        await reads(pilot, told)
        assert ("F3" in text_of(app)) == (attempt.outcome is Outcome.SKIPPED)
