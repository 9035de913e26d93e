"""Whoever adds a question to the check finds here that it wants a line in the docs and a case in the tests."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from aicmo.publishing.email.headers import HeaderMismatch
from aicmo.publishing.email.message import MessageBuilder
from aicmo.publishing.preflight import KINDS, TOPICS, CheckReport, Look, joined
from aicmo.publishing.preflight.report import problem

from .preflight_cases import codes
from .test_colours import COLOURS
from .test_fitness import POSTS
from .test_preflight_domain import DOMAINS
from .test_preflight_links import REACHED
from .test_preflight_people import GOOD, MOMENTS, PACES, PEOPLE, OpenWith, add, campaign
from .test_preflight_people import open_with as open_with
from .test_preflight_words import SENDERS, WORDS

DOCS = (Path(__file__).parents[2] / "docs" / "sending.md").read_text(encoding="utf-8")
ELSEWHERE = {
    "dns_not_asked": "test_what_could_not_be_asked_is_a_warning_and_never_silence",
    "cannot_be_built": "test_a_key_that_cannot_be_read_stops_the_start",
    "header_mismatch": "test_a_value_that_would_add_a_header_stops_the_start",
}


@pytest.mark.parametrize("code", KINDS)
def test_every_problem_is_in_the_docs_as_severe_as_it_is(code: str) -> None:
    (row,) = re.findall(rf"^\| ([^|]+) \| `{code}` \| (\w+) \| \S.*\|$", DOCS, re.MULTILINE)
    assert row == (KINDS[code].topic, KINDS[code].severity)


def test_the_docs_name_no_other_problem() -> None:
    section = DOCS[DOCS.index("## Before it goes") :]
    told = re.findall(r"^\| [^|]+ \| `(\w+)` \| (?:error|warning) \|", section, re.MULTILINE)
    assert sorted(told) == sorted(KINDS)


def test_every_problem_has_a_case() -> None:
    tables = [WORDS, POSTS, COLOURS, SENDERS, DOMAINS, REACHED, PACES, MOMENTS]
    cases = {row[0] for table in tables for row in table} | {code for row in PEOPLE for code in row[0]}
    assert cases | set(ELSEWHERE) == set(KINDS)


def test_every_topic_has_a_place() -> None:
    assert {kind.topic for kind in KINDS.values()} <= set(TOPICS)


def test_a_key_that_cannot_be_read_stops_the_start(open_with: OpenWith, tmp_path: Path) -> None:
    workspace = open_with(dkim={"domain": "acme.example", "private_key_file": str(tmp_path / "no-such.pem")})
    add(workspace, "a@acme.example")
    report = workspace.publishing.check(campaign(workspace))
    assert codes(report) == {"cannot_be_built"} and not report.ok
    words = workspace.publishing.preflight.words(GOOD)
    assert words.problems == ()  # nobody is asked for a key while one types


def test_a_value_that_would_add_a_header_stops_the_start(open_with: OpenWith, monkeypatch: pytest.MonkeyPatch) -> None:
    def build(*_: object) -> None:
        raise HeaderMismatch("A value would have changed the message's headers.", hint="Look at it.")

    workspace = open_with()
    add(workspace, "a@acme.example")
    monkeypatch.setattr(MessageBuilder, "build", build)
    assert codes(workspace.publishing.check_draft(GOOD, "")) == {"header_mismatch"}


def test_one_unusual_address_does_not_stop_everybody(open_with: OpenWith) -> None:
    workspace = open_with()
    add(workspace, "jörg@acme.example", "a@acme.example")
    assert workspace.publishing.check_draft(replace(GOOD, subject="Hello"), "").ok


def test_reports_are_joined_and_each_topic_told_once_at_its_worst() -> None:
    missing, broken = problem("spf_missing", "No SPF."), problem("link_broken", "Broken.")
    one = CheckReport(5, 1, (missing,), (Look("SPF"), Look("links", "3")))
    two = CheckReport(0, 0, (missing, broken), (Look("MX", "x", True),))
    both = joined([one, two])
    assert (both.audience, both.suppressed, len(both.problems), both.ok) == (5, 1, 2, False)
    assert [each[:2] for each in both.topics] == [("links", "error"), ("SPF", "warning"), ("MX", "skipped")]
