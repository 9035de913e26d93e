"""Whoever another program's export calls unsubscribed is never written to."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest

from aicmo.crm import CRMRepository, ImportResult
from aicmo.crm.suppressing import import_suppressions
from aicmo.errors import InvalidInput
from aicmo.store import Database, suppressions

Import = Callable[..., ImportResult]

MAILCHIMP = (
    '"Email Address","First Name","Last Name",MEMBER_RATING,OPTIN_TIME,CONFIRM_TIME,LAST_CHANGED,LEID,EUID,NOTES,TAGS\n'
    'ann@x.example,Ann,Lee,2,,"2024-01-02 03:04:05","2024-01-02 03:04:05",1,a1,,"""vip"",""long word"""\n'
)
MAILCHIMP_UNSUBSCRIBED = (
    '"Email Address","First Name",UNSUB_TIME,UNSUB_CAMPAIGN_TITLE,UNSUB_REASON,LEID,EUID,TAGS\n'
    'bob@x.example,Bob,"2024-05-06 07:08:09",Spring,NORMAL,2,b2,\n'
)
MAILCHIMP_CLEANED = '"Email Address",CLEAN_TIME,CLEAN_CAMPAIGN_TITLE,LEID,EUID\ncyd@x.example,2024-05-06,Spring,3,c3\n'
MAILERLITE = (
    "Subscriber;Status;Name;Last name;Company;Subscribed;Unsubscribed\n"
    "ann@x.example;active;Ann;Lee;Acme;2024-01-02;\n"
    "bob@x.example;Unsubscribed;Bob;Ray;;2024-01-02;2024-03-04\n"
    "cyd@x.example;bounced;Cyd;;;;\n"
    "di@x.example;Junk;Di;;;;\n"
)
BREVO = (
    "CONTACT ID;EMAIL;FIRSTNAME;LASTNAME;EMAIL_BLACKLISTED;ADDED_TIME\n"
    "1;ann@x.example;Ann;Lee;No;02-01-2024\n2;bob@x.example;Bob;Ray;Yes;02-01-2024\n"
)


def silent(db: Database) -> dict[str, str]:
    return {each.email: str(each.reason) for each in db.read(suppressions.listed)}


@pytest.mark.parametrize(
    ("content", "people", "expected"),
    [
        (MAILCHIMP, 1, {}),
        (MAILCHIMP_UNSUBSCRIBED, 1, {"bob@x.example": "unsubscribed"}),
        (MAILCHIMP_CLEANED, 1, {"cyd@x.example": "bounced"}),
        (
            MAILERLITE,
            4,
            {"bob@x.example": "unsubscribed", "cyd@x.example": "bounced", "di@x.example": "complained"},
        ),
        (BREVO, 2, {"bob@x.example": "manual"}),
    ],
)
def test_exports_of_mail_services_bring_their_opt_outs(
    db: Database, crm: CRMRepository, imported: Import, content: str, people: int, expected: dict[str, str]
) -> None:
    dry = imported(content, dry_run=True)
    assert silent(db) == {}
    result = imported(content)
    assert (crm.count(), silent(db), dry.counts) == (people, expected, result.counts)
    assert (result.counts.opted_out, result.counts.suppressed) == (len(expected), len(expected))
    assert any("are suppressed; nobody writes to them" in each for each in result.warnings) == bool(expected)


def test_mailchimps_quoted_tags_are_words(crm: CRMRepository, imported: Import) -> None:
    imported(MAILCHIMP)
    assert crm.get("ann@x.example").tags == ("long word", "vip")


def test_a_status_column_that_is_left_out_says_nothing(db: Database, imported: Import) -> None:
    imported(MAILERLITE, mapping={"Status": "-", "Unsubscribed": "-"})
    assert silent(db) == {}


def test_an_older_reason_stays_and_suppressed_rows_are_counted(db: Database, imported: Import) -> None:
    imported(MAILERLITE)
    result = imported("email,status\nbob@x.example,complained\ncyd@x.example,active\nnew@x.example,active\n")
    assert silent(db)["bob@x.example"] == "unsubscribed"
    assert (result.counts.opted_out, result.counts.suppressed) == (1, 2)
    assert "1 row is of people who are suppressed: they stay so, and nobody writes to them." in result.warnings


def suppress(db: Database, content: str, **options: str) -> dict[str, int]:
    return import_suppressions(db, io.BytesIO(content.encode()), **options).counts.as_dict()


def test_one_address_a_line_is_a_list_of_opt_outs(db: Database, imported: Import) -> None:
    imported("email\nann@x.example\nbob@x.example\n")
    counts = suppress(db, "ANN@x.example\n\nnobody\nbob@x.example\nann@x.example\n", reason="unsubscribed")
    assert counts == {"rows": 4, "added": 2, "unchanged": 1, "skipped": 0, "rejected": 1}
    assert silent(db) == {"ann@x.example": "unsubscribed", "bob@x.example": "unsubscribed"}


def test_a_table_says_why_and_whom_it_says_nothing_of_is_suppressed(db: Database, imported: Import) -> None:
    imported("email\nann@x.example\nbob@x.example\ncyd@x.example\n")
    counts = suppress(db, "Reason,Address\nspam,ann@x.example\ntold us by phone,bob@x.example\n,cyd@x.example\n")
    assert counts["added"] == 3
    assert silent(db) == {"ann@x.example": "complained", "bob@x.example": "manual", "cyd@x.example": "manual"}


def test_of_a_whole_audience_only_those_who_left_are_suppressed(db: Database, imported: Import) -> None:
    imported(MAILERLITE, mapping={"Status": "-", "Unsubscribed": "-"})
    assert suppress(db, MAILERLITE) == {"rows": 4, "added": 3, "unchanged": 0, "skipped": 1, "rejected": 0}
    assert "ann@x.example" not in silent(db)


def test_a_reason_nobody_knows_is_refused(db: Database) -> None:
    with pytest.raises(InvalidInput, match="There is no reason “because”"):
        suppress(db, "ann@x.example\n", reason="because")


def test_a_list_of_opt_outs_without_a_clear_column_says_what_to_do_about_it(db: Database) -> None:
    with pytest.raises(InvalidInput) as refused:
        suppress(db, "who,where\nann,home\n")
    assert refused.value.hint == "Name the right one email in the first line."
