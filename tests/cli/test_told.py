"""What the command line says of content and campaigns: true sentences, in people's words, with what to do next."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from commandline import CommandLine, config_text, write_config

from aicmo.sandbox import Fault, RunningSandbox

CREATE = ["campaign", "create", "--content", 1, "--to", "", "--name"]


@pytest.fixture
def desk(aicmo: CommandLine, home: Path) -> CommandLine:
    """Five people, and content 1."""
    for name in "abcde":
        aicmo("contact", "add", f"{name}@acme.example", "--first-name", "Grace")
    body = home / "body.md"
    body.write_text("Hello\n")
    subject = "Hi {{ first_name | default('there, whoever you may be today') }}"
    aicmo("content", "create", "--title", "T", "--subject", subject, "--body", body)
    return aicmo


@pytest.fixture
def sending(desk: CommandLine, sending_home: Path) -> CommandLine:
    """The same, with mail servers that answer."""
    return desk


# --- campaigns -------------------------------------------------------------------------------------------------------


def test_a_scheduled_campaign_says_when_it_begins(desk: CommandLine) -> None:
    desk(*CREATE, "N")
    assert "begins " in desk("campaign", "start", 1, "--at", "2030-12-01 09:00", "--yes").out
    assert "  begins Sun 1 Dec 2030 09:00\n" in desk("campaign", "show", 1).out


def test_what_is_begun_now_is_scheduled_no_more(sending: CommandLine) -> None:
    sending(*CREATE, "N")
    sending("campaign", "start", 1, "--at", "2030-12-01 09:00", "--yes")
    sending("campaign", "start", 1, "--wait", "--yes")
    assert sending("campaign", "show", 1, "--json").document["scheduled_at"] is None
    (entry,) = sending("calendar", "--json").document["entries"]
    assert (entry["kind"], entry["count"]) == ("went", 5)


def test_what_was_cancelled_before_anything_went_did_not_go(sending: CommandLine) -> None:
    sending(*CREATE, "N")
    sending("campaign", "start", 1, "--yes")
    sending("campaign", "cancel", 1, "--yes")
    assert sending("calendar", "--json").document["entries"] == []


def test_ending_a_joining_that_never_was_makes_no_sequence(desk: CommandLine) -> None:
    desk(*CREATE, "N")
    desk("campaign", "join", 1, "--off")
    assert desk("campaign", "show", 1, "--json").document["kind"] == "once"


def test_a_dry_run_creates_a_sequence_as_it_would_any_campaign(desk: CommandLine) -> None:
    assert desk(*CREATE, "N", "--kind", "sequence", "--dry-run", "--json").document["id"] is None
    assert desk(*CREATE, "N", "--join", "--dry-run").out.endswith("Nothing was changed.\n")


def test_nobody_is_asked_about_what_is_refused_anyway(sending: CommandLine) -> None:
    sending(*CREATE, "N")
    sending("campaign", "start", 1, "--wait", "--yes")
    for more in ((), ("--dry-run",)):
        assert "has begun already" in sending("campaign", "start", 1, *more, code=6).err
    assert "has no test" in sending("campaign", "winner", 1, "A", code=3).err


def test_a_decision_says_how_many_it_concerns(sending: CommandLine, sandbox: RunningSandbox) -> None:
    sandbox.set_faults(
        [
            Fault("rcpt", "reply", reply="550 5.1.1 no such user", recipient="a@*"),
            Fault("dot", "drop", recipient="b@*"),
        ]
    )
    sending(*CREATE, "N")
    told = sending("campaign", "start", 1, "--wait", "--yes", code=8).out
    assert "and why: aicmo campaign deliveries 1 --state failed" in told
    assert "and why: aicmo campaign deliveries 1 --state failed" in sending("campaign", "show", 1).out
    assert sending("campaign", "resolve", 1, "--as", "failed", "--dry-run").out.startswith(
        "1 unknown would be settled as failed.\n"
    )
    assert sending("campaign", "resolve", 1, "--as", "resend").out.startswith("1 unknown is queued again.\n")
    assert sending("campaign", "retry", 1, "--dry-run").out.startswith("1 of the failed would be queued again.\n")
    assert sending("campaign", "retry", 1, "--cause", "content").out.startswith("There is nothing to queue again.\n")
    assert sending("campaign", "resolve", 1, "--evidence").out.startswith("Nothing is unknown.\n")


def test_a_campaign_that_pauses_itself_says_why_and_how_it_goes_on(
    sending: CommandLine, sandbox: RunningSandbox
) -> None:
    sandbox.set_faults([Fault("dot", "reply", reply="554 5.7.1 looks like spam")])
    sending(*CREATE, "N")
    assert "paused (3 refusals" in sending("campaign", "start", 1, "--wait", "--yes", code=5).out
    assert "  Go on with: aicmo campaign resume 1\n" in sending("campaign", "show", 1).out


def test_who_waits_says_for_what_and_until_when_and_counts_nobody_who_was_only_put_back(desk: CommandLine) -> None:
    desk(*CREATE, "N")
    desk("campaign", "start", 1, "--yes")
    told = desk("run").out
    assert "smtp-a is left alone after failures" in told and "; aicmo run goes on from " in told
    assert "queued" not in told and "email_sending" not in told
    assert "queued" not in desk("run", "--json").document["counts"]


def test_a_campaign_does_not_wait_for_another(sending: CommandLine, sandbox: RunningSandbox) -> None:
    sandbox.set_faults([Fault("rcpt", "reply", reply="451 4.7.1 greylisted", recipient="a@*", times=1)])
    sending(*CREATE, "N")
    assert "  waiting: the receiving side said later; " in sending("campaign", "start", 1, "--wait", "--yes").out
    sending(*CREATE, "M")
    told = sending("campaign", "start", 2, "--wait", "--yes").out
    assert "M · finished\n" in told and "waiting" not in told


def test_one_is_one(desk: CommandLine) -> None:
    assert desk("run", "--dry-run").out == "0 messages are due, 0 scheduled campaigns would begin.\n"
    desk("campaign", "create", "--content", 1, "--to", "email:a@acme.example", "--name", "N")
    desk("campaign", "start", 1, "--yes")
    assert desk("run", "--dry-run").out.startswith("1 message is due, ")


# --- variants --------------------------------------------------------------------------------------------------------


def test_a_sample_and_those_held_out_are_never_more_than_everybody(desk: CommandLine) -> None:
    desk(*CREATE, "N")
    desk("campaign", "variant", "add", 1, "--subject", "Other")
    assert "more than everybody" in desk("campaign", "ab", 1, "--sample", 60, "--holdout", 50, code=6).err
    desk("campaign", "ab", 1, "--sample", 100, "--holdout", 10)


def test_a_test_that_nobody_can_win_says_so(desk: CommandLine) -> None:
    desk(*CREATE, "N")
    desk("campaign", "variant", "add", 1, "--subject", "Other")
    told = "Each variant goes to about 1, and a winner needs 100: nobody can win."
    assert told in desk("campaign", "ab", 1, "--sample", 60).err
    assert desk("campaign", "ab", 1, "--sample", 60, "--json").document["warnings"] == [told]
    assert desk("campaign", "ab", 1, "--sample", 60, "--least", 1, "--json").document["warnings"] == []


def test_a_subject_that_cannot_be_filled_in_is_refused_while_its_author_is_there(desk: CommandLine) -> None:
    desk(*CREATE, "N")
    told = desk("campaign", "variant", "add", 1, "--subject", "Hi {{ first_name", code=6).err
    assert "The subject has a template error" in told and ".." not in told


# --- content ---------------------------------------------------------------------------------------------------------


def test_a_subject_is_as_long_as_its_reader_sees_it(desk: CommandLine) -> None:
    counts = {each["what"]: each["used"] for each in desk("content", "show", 1, "--json").document["counts"]}
    assert counts["subject"] == len("Hi Grace")


def test_a_dry_run_refuses_a_type_that_there_is_not(desk: CommandLine, home: Path) -> None:
    create = ["content", "create", "--title", "Q", "--body", home / "body.md", "--dry-run"]
    assert "is no content type" in desk(*create, "--type", "nonsense", code=6).err
    assert desk(*create).out == "Q would be created.\nNothing was changed.\n"


def test_an_edit_says_whether_it_made_a_version(desk: CommandLine) -> None:
    assert "Nothing was said to change" in desk("content", "edit", 1, code=6).err
    assert desk("content", "edit", 1, "--preheader", "").out == "Content 1 stays at version 1.\n"
    told = desk("content", "edit", 1, "--subject", "S", "--dry-run").out
    assert told == "Content 1 is at version 2.\nNothing was changed.\n"


@pytest.mark.parametrize(
    ("type_", "words", "told"),
    [
        ("email", ["--channel", "x", "--subject", "News"], "Nobody sees a subject on X."),
        ("email", ["--channel", "website", "--preheader", "More"], "Nobody sees a preheader on Website: only inboxes"),
        ("blog", ["--preheader", "More"], "Nobody sees a preheader on Website"),
        ("social", ["--subject", "News"], "Nobody sees a subject on LinkedIn or X or Instagram or Bluesky."),
    ],
)
def test_words_that_nobody_would_see_are_refused(
    desk: CommandLine, home: Path, type_: str, words: list[str], told: str
) -> None:
    desk("content", "create", "--type", type_, "--title", "U", "--body", home / "body.md")
    assert told in desk("content", "edit", 2, *words, "--body", home / "body.md", code=6).err
    assert desk("content", "show", 2, "--json").document["version"] == 1


def test_a_subject_that_is_shown_as_a_title_is_saved(desk: CommandLine) -> None:
    desk("content", "edit", 1, "--channel", "website", "--subject", "News")
    assert desk("content", "show", 1, "--channel", "website", "--json").document["subject"] == "News"


@pytest.mark.parametrize("type_", ["email", "webinar", "product_update"])
def test_whatever_is_an_email_first_can_be_checked(desk: CommandLine, home: Path, type_: str) -> None:
    write_config(home / "config.toml", config_text())
    desk("content", "create", "--type", type_, "--title", "W", "--subject", "S", "--body", home / "body.md")
    assert "could go out" in desk("content", "check", 2).out


def test_a_preview_shows_the_line_after_the_subject_and_names_who_is_not_there(desk: CommandLine) -> None:
    desk("content", "edit", 1, "--preheader", "For {{ first_name }}")
    assert "Preheader: For Grace\n" in desk("content", "preview", 1).out
    told = desk("content", "preview", 1, "--as", "nobody@acme.example", code=3).err
    assert "There is no nobody@acme.example who would be written to." in told


# --- tables and numbers ----------------------------------------------------------------------------------------------


def test_people_read_yes_and_no_and_the_time_of_their_own_clock(
    desk: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk("content", "approve", 1)
    kept = desk("content", "list", "--json").document[0]["updated_at"]
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        row = desk("content", "list").out.splitlines()[1]
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()
    minutes = (int(kept[11:13]) * 60 + int(kept[14:16]) + 330) % 1440
    assert row.split()[-3] == "yes" and row.endswith(f" {minutes // 60:02}:{minutes % 60:02}")
    assert kept.endswith("Z")


@pytest.mark.parametrize(
    ("said", "told"), [("abc", "'abc' is no whole number"), ("99999999999999999999", "too large"), ("-1", "too small")]
)
def test_a_number_that_is_none_is_told_in_words(desk: CommandLine, said: str, told: str) -> None:
    assert told in desk("content", "show", said, code=2).err
    assert "9223372036854775807" not in desk("campaign", "create", "--help").out
