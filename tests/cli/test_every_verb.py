"""What holds for every verb, by walking the tables: a verb that is added is tested before its author wrote a test."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import click
import pytest
from commandline import CALLS, VERBS, CommandLine, arguments

ALWAYS = {"config", "data_dir", "yes", "quiet", "no_color", "json"}
LISTS = {"ndjson", "csv"}


def test_the_table_of_calls_covers_every_verb() -> None:
    assert set(CALLS) == set(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_says_what_it_does_and_has_the_shared_options(verb: str, aicmo: CommandLine) -> None:
    command = VERBS[verb]
    options = {each.name for each in command.params if isinstance(each, click.Option)}
    assert options >= ALWAYS
    assert options >= LISTS or not LISTS & options
    helped = aicmo(*verb.split(), "--help")
    assert command.help and " ".join(command.help.split()[:4]) in " ".join(helped.out.split())
    assert helped.err == ""


@pytest.mark.parametrize("verb", VERBS)
def test_an_option_is_explained_unless_its_name_says_it_all(verb: str) -> None:
    unexplained = {
        each.name for each in VERBS[verb].params if isinstance(each, click.Option) and not each.help and not each.hidden
    }
    assert unexplained <= {"first_name", "last_name", "company", "title", "phone", "part"}


@pytest.mark.parametrize("verb", VERBS)
def test_json_is_exactly_one_document_and_stderr_is_silent(verb: str, aicmo: CommandLine, in_filled_home: Path) -> None:
    words, code = arguments(verb, in_filled_home)
    shared = ["--yes", "--quiet", "--no-color", "--config", in_filled_home / "config.toml"]
    answer = aicmo(*words, "--json", *shared, "--data-dir", in_filled_home / "data", code=code)
    document = answer.document
    assert isinstance(document, dict | list)
    assert answer.err == ""
    if isinstance(document, dict) and "schema" in document:
        assert document["schema"] == f"aicmo.{verb.replace(' ', '.')}/1"


@pytest.mark.parametrize("verb", VERBS)
def test_without_json_a_verb_answers_in_plain_lines(verb: str, aicmo: CommandLine, in_filled_home: Path) -> None:
    words, code = arguments(verb, in_filled_home)
    answer = aicmo(*words, "--yes", code=code)
    assert answer.out + answer.err
    assert all(each.isprintable() or each in "\n\t" for each in answer.out + answer.err)


@pytest.mark.parametrize("verb", [name for name, each in VERBS.items() if {"ndjson"} <= {p.name for p in each.params}])
def test_a_list_is_the_same_rows_in_each_form(verb: str, aicmo: CommandLine, in_filled_home: Path) -> None:
    words, _ = arguments(verb, in_filled_home)
    rows = aicmo(*words, "--json").document
    assert rows and isinstance(rows, list)
    assert [json.loads(line) for line in aicmo(*words, "--ndjson").out.splitlines()] == rows
    lines = aicmo(*words, "--csv").out.splitlines()
    assert len(lines) == len(rows) + 1
    first, second = list(rows[0])[:2]
    chosen = aicmo(*words, f"--json={second},{first}").document
    assert chosen == [{second: row[second], first: row[first]} for row in rows]
    assert [list(row) for row in chosen] == [[second, first]] * len(rows)


@pytest.mark.parametrize("verb", VERBS)
def test_an_unknown_option_is_a_usage_error_and_prints_no_data(verb: str, aicmo: CommandLine) -> None:
    answer = aicmo(*verb.split(), "--no-such-option", "--json", code=3 if verb == "health" else 2)
    assert answer.error["code"] == "usage"
    assert answer.error["message"] and answer.error["hint"]


@pytest.mark.parametrize("noun", sorted({verb.split()[0] for verb in VERBS if " " in verb}))
def test_a_noun_without_a_verb_shows_its_verbs(noun: str, aicmo: CommandLine) -> None:
    answer = aicmo(noun, code=2)
    assert answer.out == ""
    assert answer.err.startswith(f"Usage: aicmo {noun}")


def test_shared_options_may_stand_before_the_noun(aicmo: CommandLine, in_filled_home: Path) -> None:
    elsewhere = in_filled_home / "elsewhere"
    assert aicmo("--data-dir", elsewhere, "--json", "contact", "count").document == {"count": 0}
    assert aicmo("--json", "contact", "count").document == {"count": 4}


def test_a_word_after_a_bare_json_is_not_its_value(aicmo: CommandLine, in_filled_home: Path) -> None:
    assert len(aicmo("contact", "list", "--json", "tag:late").document) == 1


def test_a_term_turned_round_is_no_option(aicmo: CommandLine, in_filled_home: Path) -> None:
    assert aicmo("contact", "count", "-tag:late", "--json").document == {"count": 3}
    assert aicmo("contact", "list", "--sort", "-email", "--json=email", "-tag:all").document == [
        {"email": "late@two.example"}
    ]


def test_a_field_that_is_not_there_is_refused_with_those_that_are(aicmo: CommandLine, in_filled_home: Path) -> None:
    refused = aicmo("contact", "list", "--json=emial", code=6).error
    assert "emial" in refused["message"] and "email" in refused["hint"]


def test_help_and_version_go_to_stdout_and_exit_0(aicmo: CommandLine) -> None:
    assert aicmo("--version").out.startswith("aicmo ")
    for word in ("--help", "-h"):
        assert "contact" in aicmo(word).out


def test_without_a_terminal_the_app_does_not_open(aicmo: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    answer = aicmo(code=2)
    assert answer.out == ""
    assert answer.err.startswith("Usage: aicmo")
