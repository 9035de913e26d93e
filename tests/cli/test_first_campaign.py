"""From a CSV of people and an SMTP account to a sent campaign, by the command line alone."""

from __future__ import annotations

import email.policy
import json
import os
import subprocess
import sys
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import pytest
from commandline import CommandLine, config_text, write_config

from aicmo.sandbox import Fault, RunningSandbox
from aicmo.sandbox.people import HOSTILE_FIRST_NAMES, sample_people

BODY = "Hello {{ first_name | default('there') }} of {{ company }},\n\nyour title is {{ title | default('-') }}.\n"


@pytest.fixture
def begun(aicmo: CommandLine, sending_home: Path, sandbox: RunningSandbox) -> CommandLine:
    """The sandbox's people imported, and a draft to those with the tag newsletter."""
    body = sending_home / "body.md"
    body.write_text(BODY)
    aicmo("contact", "import", sandbox.people, "--json")
    aicmo("content", "create", "--title", "News", "--subject", "News for {{ first_name }}", "--body", body, "--json")
    made = aicmo("campaign", "create", "--name", "Autumn", "--content", 1, "--to", "tag:newsletter", "--json")
    assert made.document["id"] == 1
    return aicmo


def test_the_ledger_agrees_with_the_servers_recipient_by_recipient(begun: CommandLine, sandbox: RunningSandbox) -> None:
    people = list(sample_people())
    newsletter = {who.email for who in people if "newsletter" in who.tags}
    assert begun("contact", "count", "--json").document == {"count": len(people)}
    suppressed, dead, lost, *_ = sorted(newsletter)
    begun("suppression", "add", suppressed)
    sandbox.set_faults(
        [
            Fault("rcpt", "reply", reply="550 5.1.1 no such user", recipient=dead),
            Fault("dot", "drop", recipient=lost),
            Fault("data", "drop", server="smtp-a", times=1),
        ]
    )
    checked = begun("campaign", "check", 1, "--json").document
    assert (checked["status"], checked["audience"], checked["suppressed"]) == ("ok", len(newsletter), 1)

    started = begun("campaign", "start", 1, "--wait", "--yes", "--json", code=8).document
    shown = begun("campaign", "show", 1, "--json").document
    ledger = {row["email"]: row for row in begun("campaign", "deliveries", 1, "--json").document}

    assert started["counts"] == shown["counts"]
    counts = shown["counts"]
    assert shown["status"] == "finished"
    assert counts["audience"] == len(newsletter) == sum(counts.values()) - counts["audience"]
    assert set(ledger) == newsletter
    assert [ledger[who]["state"] for who in (suppressed, dead, lost)] == ["suppressed", "failed", "unknown"]

    received = {mail.rcpt_to[0]: mail for mail in sandbox.received()}
    assert len(received) == len(sandbox.received())  # nobody twice
    sent = {who: row for who, row in ledger.items() if row["state"] == "sent"}
    assert len(sent) == counts["sent"] == len(newsletter) - 3
    for who, row in sent.items():
        assert (row["message_id"], row["provider"]) == (received[who].message_id, received[who].server)
    assert set(received) == {*sent, lost}  # the lost one had arrived: nobody could know
    assert {row["provider"] for row in sent.values()} == {"smtp-a", "smtp-b"}


def test_two_senders_at_once_one_works_and_the_other_says_locked(begun: CommandLine, sandbox: RunningSandbox) -> None:
    begun("campaign", "start", 1, "--yes")
    sandbox.set_faults([Fault("connect", "slow", seconds=1.0)])
    command = [sys.executable, "-c", "from aicmo_tui.cli import main; main()", "run", "--json"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, env=dict(os.environ)) for _ in range(2)]
    said: list[dict[str, Any]] = [json.loads(process.communicate(timeout=60)[0]) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    statuses = sorted(document["status"] for document in said)
    assert statuses == ["done", "locked"]
    counts = begun("campaign", "show", 1, "--json").document["counts"]
    assert counts["sent"] == counts["audience"] == len(sandbox.received())
    assert len({mail.rcpt_to for mail in sandbox.received()}) == counts["audience"]


def test_whoever_suppresses_and_tags_by_command_line_finds_them_in_the_list(begun: CommandLine) -> None:
    who = next(person.email for person in sample_people() if "newsletter" in person.tags)
    begun("suppression", "add", who)
    assert begun("suppression", "list", "--json=email").document == [{"email": who}]
    assert begun("contact", "show", who, "--json").document["suppressed"]
    begun("contact", "tag", who, "--add", "met")
    assert begun("contact", "list", "tag:met", "--json=email").document == [{"email": who}]


# --- what check refuses -----------------------------------------------------------------------------------------------


def refusals(aicmo: CommandLine, campaign: int = 1) -> set[str]:
    document = aicmo("campaign", "check", campaign, "--json", code=6).document
    assert document["status"] == "refused"
    return {problem["code"] for problem in document["problems"] if problem["severity"] == "error"}


def test_check_refuses_a_sender_without_a_postal_address(begun: CommandLine, sending_home: Path) -> None:
    write_config(sending_home / "config.toml", config_text().replace("postal_address =", "# postal_address ="))
    assert refusals(begun) == {"no_postal_address"}


def test_check_refuses_when_no_sender_and_no_server_is_set(begun: CommandLine, sending_home: Path) -> None:
    write_config(sending_home / "config.toml", "")
    assert refusals(begun) >= {"sender_not_set", "no_server"}


def test_check_refuses_an_audience_of_nobody(begun: CommandLine) -> None:
    begun("campaign", "create", "--name", "Nobody", "--content", 1, "--to", "tag:nobody-has-this")
    assert refusals(begun, 2) == {"empty_audience"}


@pytest.mark.parametrize(
    ("body", "code", "word"),
    [
        ("Hello {{ frist_name }}", "missing_field", "first_name"),
        ("Hello {% if 0 %}{{ unsubscribe }}{% endif %}", "no_unsubscribe", "unsubscribe"),
    ],
)
def test_check_refuses_what_cannot_be_filled_or_left(
    body: str, code: str, word: str, begun: CommandLine, sending_home: Path
) -> None:
    (sending_home / "body.md").write_text(body)
    begun("content", "create", "--title", "T", "--subject", "S", "--body", sending_home / "body.md")
    begun("campaign", "create", "--name", "N", "--content", 2, "--to", "tag:newsletter")
    assert refusals(begun, 2) == {code}
    assert word in begun("campaign", "check", 2, code=6).out
    begun("campaign", "start", 2, "--yes", code=6)


# --- names that try to act --------------------------------------------------------------------------------------------


def acts(text: str) -> list[str]:
    """The characters of ``text`` that a terminal would obey, or that disguise."""
    return [
        each
        for each in text
        if each not in "\n\t" and (ord(each) < 32 or 127 <= ord(each) < 160 or each in "\u202e\u202d")
    ]


def test_hostile_names_pass_every_verb_and_arrive_as_text(
    begun: CommandLine, sending_home: Path, sandbox: RunningSandbox
) -> None:
    hostile = {who.email: who.first_name for who in sample_people() if who.first_name in HOSTILE_FIRST_NAMES}
    assert len(hostile) == len(HOSTILE_FIRST_NAMES)
    for who in hostile:
        begun("contact", "tag", who, "--add", "hostile")
    begun("campaign", "create", "--name", HOSTILE_FIRST_NAMES[2], "--content", 1, "--to", "tag:hostile")
    begun("campaign", "start", 2, "--wait", "--yes")
    said = [
        begun(*words, *form, code=None)
        for form in ((), ("--json",))
        for words in (
            ("contact", "list", "tag:hostile"),
            ("contact", "export", "tag:hostile"),
            ("campaign", "list"),
            ("campaign", "show", 2),
            ("campaign", "check", 2),
            ("campaign", "deliveries", 2),
            ("content", "preview", 1, "--as", next(iter(hostile))),
            ("report", "summary"),
            *(("contact", "show", who) for who in hostile),
            *(("contact", "list", name) for name in HOSTILE_FIRST_NAMES),
            *(("contact", "add", f"{name}@x.example") for name in HOSTILE_FIRST_NAMES),
            *(("content", "create", "--title", name, "--body", os.devnull) for name in HOSTILE_FIRST_NAMES),
        )
    ]
    assert not [answer for answer in said if answer.code not in (0, 2, 6)]
    assert not acts("".join(answer.out + answer.err for answer in said))
    csv = begun("contact", "list", "tag:hostile", "--csv").out
    assert not acts(csv) and "\n=HYPERLINK" not in csv and ',"=HYPERLINK' not in csv

    received = {mail.rcpt_to[0]: mail.raw for mail in sandbox.received()}
    assert set(received) == set(hostile)
    headers = set()
    for raw in received.values():
        head, _, _ = raw.partition(b"\r\n\r\n")
        assert b"\x1b" not in raw and max(map(len, raw.split(b"\r\n"))) <= 998
        message = BytesParser(policy=email.policy.default).parsebytes(raw)
        assert not message.defects and message["Bcc"] is None
        headers.add(tuple(message.keys()))
        assert len(message["To"].addresses) == 1
        assert len(message["Subject"].splitlines()) == 1
        assert b"\n" not in head.replace(b"\r\n", b"")
        assert message.get_body(("plain",)) is not None and message.get_body(("html",)) is not None
    assert len(headers) == 1  # each message has the same ones: nobody's name added any
