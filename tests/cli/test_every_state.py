"""Every verb that changes a campaign, in every state that one can be in: it does so, or says in a sentence why not.

All of it is asked with ``--dry-run``, which does the same and takes it back, so that one set of campaigns serves all.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from commandline import VERBS, CommandLine

STATES = ("draft", "approved", "scheduled", "running", "paused", "late", "finished", "cancelled", "withdrawn")
"""``late`` was paused before it began, ``withdrawn`` cancelled before it began."""
ENDED = ("finished", "cancelled", "withdrawn")
CANCELLED = ("cancelled", "withdrawn")
BEGUN = ("running", "paused", "finished", "cancelled")
FIXED = ("scheduled", "late", *BEGUN, "withdrawn")

REFUSED: dict[str, dict[str, tuple[str, ...]]] = {
    # For each kind: the verb, and the states in which it ends with 6. In all others it ends with 0.
    "once": {
        "approve": ENDED,
        "start --yes": (*BEGUN, "withdrawn"),
        "start --at +5h --yes": (*BEGUN, "withdrawn"),
        "pause": tuple(each for each in STATES if each not in ("scheduled", "running")),
        "resume": tuple(each for each in STATES if each not in ("paused", "late")),
        "cancel --yes": ("draft", *ENDED),
        "retry": CANCELLED,
        "resolve --evidence": (),
        "edit --name M": (*BEGUN, "withdrawn"),
        "edit --to tag:x": (*BEGUN, "withdrawn"),
        "edit --utm off": (*BEGUN, "withdrawn"),
        "edit --late-after 3h": (*BEGUN, "withdrawn"),
        "edit --hours 09:00-17:00": ENDED,
        "join --off": (),
        "variant add --subject X": FIXED,
        "variant remove B": FIXED,
        "ab --sample 40": FIXED,
        "ab --off": FIXED,
        "winner B --yes": tuple(each for each in STATES if each not in ("running", "paused")),
    },
    "sequence": {
        "approve": ENDED,
        "join": CANCELLED,
        "join --off": (),
        "retry": CANCELLED,
        "step add --content 1 --wait 2d --yes": CANCELLED,
        "step edit 2 --wait 2d --yes": CANCELLED,
        "step move 3 --before 2 --yes": CANCELLED,
        "step remove 3 --yes": CANCELLED,
    },
}
ELSEWHERE = {"campaign create", "campaign test", "campaign resolve"}
"""What makes a campaign, sends a test of any, and asks for the unknown, of which there are none here."""


@pytest.fixture
def home_with_all(aicmo: CommandLine, sending_home: Path, request: pytest.FixtureRequest) -> CommandLine:
    """One campaign in each state, in their order; with a test of two variants, or with three steps."""
    (sending_home / "body.md").write_text("Hello\n")
    for name in "abc":
        aicmo("contact", "add", f"{name}@acme.example")
    aicmo("content", "create", "--title", "T", "--subject", "Hi", "--body", sending_home / "body.md")
    for id_, state in enumerate(STATES, start=1):
        aicmo("campaign", "create", "--content", 1, "--to", "", "--name", state, "--kind", request.param)
        if request.param == "once":
            aicmo("campaign", "variant", "add", id_, "--subject", "Other")
            aicmo("campaign", "ab", id_, "--sample", 50)
        else:
            aicmo("campaign", "step", "add", id_, "--content", 1, "--wait", "3d")
            aicmo("campaign", "step", "add", id_, "--content", 1, "--wait", "3d")
        if state in ("approved", "withdrawn"):
            aicmo("campaign", "approve", id_)
        if state in BEGUN:
            aicmo("campaign", "start", id_, "--yes")
        if state in ("scheduled", "late"):
            aicmo("campaign", "start", id_, "--at", "+3h", "--yes")
        if state in ("paused", "late"):
            aicmo("campaign", "pause", id_)
        if state in CANCELLED:
            aicmo("campaign", "cancel", id_, "--yes")
    (database,) = sending_home.rglob("aicmo.db")
    finished = STATES.index("finished") + 1
    db = sqlite3.connect(database)
    with db:
        db.execute("UPDATE delivery SET state = 'sent' WHERE campaign_id = ?", (finished,))
        db.execute("UPDATE enrolment SET state = 'done' WHERE campaign_id = ?", (finished,))
    db.close()
    return aicmo


@pytest.mark.parametrize(("home_with_all", "refused"), REFUSED.items(), ids=list(REFUSED), indirect=["home_with_all"])
def test_a_verb_that_a_state_makes_meaningless_says_so_and_ends_with_6(
    home_with_all: CommandLine, refused: dict[str, tuple[str, ...]]
) -> None:
    shown = [each["status"] for each in home_with_all("campaign", "list", "--json").document]
    assert shown[::-1] == [{"late": "paused", "withdrawn": "cancelled"}.get(each, each) for each in STATES]
    wrong = []
    for verb, states in refused.items():
        noun, *words = verb.split()
        group, words = ([noun, words[0]], words[1:]) if noun in ("step", "variant") else ([noun], words)
        for id_, state in enumerate(STATES, start=1):
            answer = home_with_all("campaign", *group, id_, *words, "--dry-run", code=None)
            expected = 6 if state in states else 0
            told = f"Campaign {id_} " in answer.err if expected else "Nothing was changed." in answer.out
            if answer.code != expected or not told:
                wrong.append((verb, state, answer.code, answer.out, answer.err))
    assert not wrong


def test_no_verb_is_forgotten() -> None:
    changing = {name for name, verb in VERBS.items() if name.startswith("campaign ") and _changes(verb)}
    walked = {"campaign " + _name(verb) for kind in REFUSED.values() for verb in kind}
    assert changing == walked | ELSEWHERE


def _name(verb: str) -> str:
    first, second, *_ = [*verb.split(), ""]
    return f"{first} {second}" if first in ("step", "variant") else first


def _changes(verb: object) -> bool:
    return any(each.name == "dry_run" for each in verb.params)  # type: ignore[attr-defined]
