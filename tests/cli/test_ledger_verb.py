"""``campaign deliveries``: a part of the ledger; and times as one says them."""

from __future__ import annotations

from pathlib import Path

import pytest
from commandline import CommandLine

from aicmo.sandbox import Fault, RunningSandbox


@pytest.fixture
def campaign(aicmo: CommandLine, sending_home: Path) -> CommandLine:
    for name in ("ada", "bob"):
        aicmo("contact", "add", f"{name}@acme.example")
    body = sending_home / "body.md"
    body.write_text("Hello\n")
    aicmo("content", "create", "--title", "T", "--subject", "S", "--body", body)
    aicmo("campaign", "create", "--name", "N", "--content", 1, "--to", "")
    return aicmo


def test_the_ledger_is_narrowed_by_cause_and_by_a_part_of_an_address(
    campaign: CommandLine, sandbox: RunningSandbox
) -> None:
    sandbox.set_faults([Fault("rcpt", "reply", reply="550 5.2.1 disabled", recipient="ada@*")])
    campaign("campaign", "start", 1, "--wait", "--yes", code=5)

    def those(*words: str) -> list[str]:
        return [row["email"] for row in campaign("campaign", "deliveries", 1, *words, "--json").document]

    assert those("--cause", "mailbox") == ["ada@acme.example"]
    assert those("--find", "BOB") == ["bob@acme.example"]
    assert those("--find", "bob", "--cause", "mailbox") == []
    assert "no cause" in campaign("campaign", "deliveries", 1, "--cause", "bogus", "--json", code=6).error["message"]


def test_a_time_is_said_as_people_say_it(campaign: CommandLine) -> None:
    begun = campaign("campaign", "start", 1, "--at", "+3d 9:00", "--yes", "--json").document
    assert begun["status"] == "scheduled" and begun["scheduled_at"]
    assert "no time" in campaign("campaign", "start", 1, "--at", "soon", "--yes", "--json", code=6).error["message"]
