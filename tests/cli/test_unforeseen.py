"""What nobody foresaw: one sentence for the person, the traceback where it can be found."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from commandline import CommandLine


@pytest.fixture
def broken(aicmo: CommandLine, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    def fails(*_: object) -> int:
        raise RuntimeError("the \x1b[31mgears\x1b[0m jammed\nhere")

    monkeypatch.setattr("aicmo.crm.CRMRepository.count", fails)
    return aicmo


def test_a_person_gets_a_sentence_and_the_log_the_traceback(broken: CommandLine, home: Path) -> None:
    answer = broken("contact", "count", code=1)
    log = home / "data" / "aicmo.log"
    assert answer.out == "" and "Traceback" not in answer.err and "\x1b" not in answer.err
    sentence, hint = answer.err.splitlines()
    assert "RuntimeError: the [31mgears[0m jammed here" in sentence and str(log) in hint
    written = log.read_text()
    assert "Traceback" in written and "in fails" in written and "\x1b" not in written
    assert log.stat().st_mode & 0o777 == 0o600


def test_the_log_lies_where_the_command_line_said(broken: CommandLine, home: Path) -> None:
    error = broken("contact", "count", "--data-dir", home / "elsewhere", "--json", code=1).error
    assert str(home / "elsewhere" / "aicmo.log") in error["hint"]
    assert not (home / "data").exists()


def test_with_aicmo_debug_the_traceback_is_on_stderr(broken: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AICMO_DEBUG", "1")
    answer = broken("contact", "count", code=1)
    assert "Traceback" in answer.err and "in fails" in answer.err and "\x1b" not in answer.err


def test_where_no_log_can_be_written_it_says_how_to_see_more(
    broken: CommandLine, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("aicmo.log.start_log", full)
    assert "AICMO_DEBUG=1" in broken("contact", "count", code=1).err


def piped_into_head(*words: str) -> tuple[int, bytes, bytes]:
    """What ``aicmo … | head -1`` comes to: the exit code, the first line, and what was said."""
    command = [sys.executable, "-c", "from aicmo_tui.cli import main; main()", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ)) as process:
        assert process.stdout is not None and process.stderr is not None
        first = process.stdout.readline()
        process.stdout.close()
        return process.wait(), first, process.stderr.read()


@pytest.mark.parametrize("form", ["--csv", "--ndjson", "--json", "--quiet"])
@pytest.mark.parametrize("verb", ["list", "export"])
def test_who_has_read_enough_is_no_error(verb: str, form: str, aicmo: CommandLine, home: Path) -> None:
    """More rows than a pipe holds, so that the verb itself meets the closed pipe."""
    if verb == "export" and form in ("--csv", "--ndjson"):
        form = "--no-color"
    people = home / "people.csv"
    people.write_text("email,title\n" + "".join(f"p{n}@one.example,{'x' * 200}\n" for n in range(1000)))
    aicmo("contact", "import", people)
    code, first, said = piped_into_head("contact", verb, "p", form, *(["--limit", "1000"] if verb == "list" else []))
    assert (code, said) == (0, b"")
    assert first


def test_an_output_that_cannot_hold_a_letter_gets_its_number(aicmo: CommandLine) -> None:
    aicmo("contact", "add", "zoe@one.example", "--first-name", "Zoé 李")
    done = subprocess.run(
        [sys.executable, "-c", "from aicmo_tui.cli import main; main()", "contact", "list"],
        env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "Zo\\xe9 \\u674e" in done.stdout


def test_bytes_that_are_no_text_do_no_harm(aicmo: CommandLine, home: Path) -> None:
    """Such arguments reach Python as lone surrogates."""
    bad = os.fsdecode(b"\xff\xfe")
    aicmo("contact", "add", "a@one.example", "--first-name", f"A{bad}", "--tag", f"t{bad}")
    assert aicmo("contact", "list", f"A{bad}", "--json=first_name,tags").document == [
        {"first_name": "A", "tags": ["t"]}
    ]
    assert aicmo("contact", "show", bad, "--json", code=3).error["message"]
    assert aicmo("contact", "import", f"{bad}.csv", "--json", code=3).error["message"]
    body = home / "body.md"
    body.write_text("Hello\n")
    aicmo("content", "create", "--title", "T", "--body", body, "--subject", f"S{bad}")
    aicmo("campaign", "create", "--name", f"N{bad}", "--content", 1, "--to", f"A{bad}", "--exclude", f"B{bad}")
    aicmo("campaign", "edit", 1, "--to", f"C{bad}")
    shown = aicmo("campaign", "show", 1, "--json").document
    assert (shown["name"], shown["to"], shown["exclude"]) == ("N", "C", "B")
    assert aicmo("campaign", "deliveries", 1, "--find", bad, "--json").document == []


@pytest.mark.parametrize("query", ["\u200b", "\x01 \ufeff", os.fsdecode(b"\xff")])
def test_a_query_of_which_nothing_can_be_read_is_not_everybody(query: str, aicmo: CommandLine) -> None:
    aicmo("contact", "add", "a@one.example")
    for words in (["contact", "delete", query], ["campaign", "create", "--name", "N", "--content", 1, "--to", query]):
        assert "Nothing in the query can be read" in aicmo(*words, "--yes", "--json", code=6).error["message"]


def test_an_error_in_json_holds_no_character_that_acts(aicmo: CommandLine) -> None:
    answer = aicmo("campaign", "deliveries", 1, "--state", "\u202esent\x1b[31m", "--json", code=6)
    assert answer.err.isascii() and "\x1b" not in answer.err
    assert "sent" in answer.error["message"]


def test_no_color_holds_for_whatever_colours(aicmo: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR")
    aicmo("contact", "count", "--no-color")
    assert os.environ["NO_COLOR"] == "1"
