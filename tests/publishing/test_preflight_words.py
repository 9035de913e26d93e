"""What is wrong with a draft whoever gets it: links, subject, pictures, size, sender. Nobody is asked."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aicmo.publishing import CheckReport, Draft
from aicmo.publishing.email.links import LinkRules
from aicmo.publishing.email.message import SenderIdentity
from aicmo.publishing.email.rules import MessageRules
from aicmo.publishing.preflight import Preflight, Setting
from aicmo.publishing.preflight.sender import is_made_up

from .preflight_cases import codes, status

ADA = SenderIdentity("Ada Lovelace", "ada@lovelace.dev", "1 Analytical Way, London")
SETTING = Setting(ADA, {"main": "smtp.lovelace.dev"}, ("ada@lovelace.dev",), reads_replies=True)
PROSE = "Twenty words or so are enough for a filter to see that there is something here to be read by people."
GOOD = Draft("What changed this autumn", f"Hello {{{{ first_name }}}}. {PROSE} [Read](https://lovelace.dev/a).", "Soon")


def checked(draft: Draft, setting: Setting = SETTING) -> CheckReport:
    return Preflight(setting).words(draft)


def link(href: str, text: str = "Read") -> Draft:
    return replace(GOOD, body=f'<p>{PROSE}</p><p><a href="{href}">{text}</a></p>', format="html")


def body(html: str) -> Draft:
    return replace(GOOD, body=html, format="html")


def subject(text: str) -> Draft:
    return replace(GOOD, subject=text)


WORDS = [
    ("no_subject", subject(" ")),
    ("no_body", replace(GOOD, body=" \n")),
    ("no_text_part", body("<!-- later -->")),
    ("template_invalid", replace(GOOD, body="{% if %}")),
    ("not_filled", replace(GOOD, body="{{ '%d' | format(price) }}")),
    ("foreign_merge_tag", replace(GOOD, body=f"{PROSE} *|FNAME|*")),
    ("link_broken", link("/prices")),
    ("link_broken", link("prices.html")),
    ("link_broken", link("www.lovelace.dev")),
    ("link_broken", link("lovelace.dev/prices")),
    ("link_broken", link("//lovelace.dev/prices")),
    ("link_broken", link("https://")),
    ("link_broken", link("http:///prices")),
    ("link_broken", link("htps://lovelace.dev")),
    ("link_broken", link("https://lovelace.dev/a b")),
    ("link_broken", link("https://[::1")),
    ("link_broken", link("https://lovelace.dev:port/")),
    ("link_broken", link("#")),
    ("link_broken", link("")),
    ("link_broken", link("#prices")),
    ("link_broken", link("mailto:")),
    ("link_unfilled", link("https://lovelace.dev/{% raw %}{{ id }}{% endraw %}")),
    ("link_unfilled", link("https://lovelace.dev/*|ID|*")),
    ("link_unsafe", link("javascript:alert(1)")),
    ("link_unsafe", link("file:///etc/passwd")),
    ("link_placeholder", link("https://example.com/offer")),
    ("link_placeholder", link("https://www.yourdomain.com")),
    ("link_to_address", link("http://192.0.2.7/x")),
    ("link_to_address", link("http://intranet/x")),
    ("link_to_address", link("http://localhost:8000/")),
    ("link_shortened", link("https://bit.ly/3xYz")),
    ("link_text_differs", link("https://evil.dev/login", "https://lovelace.dev/login")),
    ("link_repeated", body('<p>x</p><a href="https://a.dev/1">One</a> <a href="https://a.dev/1">Two</a>')),
    ("link_untagged", body('<a href="https://a.dev/1?utm_source=x">One</a> <a href="https://a.dev/2">Two</a>')),
    ("image_unavailable", body(f'<p>{PROSE}</p><img src="cat.png" alt="A cat">')),
    ("image_unavailable", body(f'<p>{PROSE}</p><img src="data:image/png;base64,AAAA" alt="A cat">')),
    ("image_no_alt", body(f'<p>{PROSE}</p><img src="https://a.dev/cat.png">')),
    ("image_no_alt", replace(GOOD, body=f"{PROSE}\n\n![](https://a.dev/cat.png)")),
    ("faint_in_dark", body(f"<html><body>{PROSE} <b style='color:#222'>Now</b></body></html>")),
    ("images_only", body('<img src="https://a.dev/cat.png" alt="Everything we have to say stands in this picture">')),
    ("many_images", body(f"<p>{PROSE}</p>" + '<img src="https://a.dev/cat.png" alt="">' * 13)),
    ("clipped", replace(GOOD, body=f"{PROSE}\n\n" * 1_000)),
    ("too_big", replace(GOOD, body="ä" * 900_000)),
    ("subject_shouts", subject("READ THIS NOW PLEASE")),
    ("subject_punctuation", subject("Now!! Really")),
    ("subject_punctuation", subject("Now? Really!")),
    ("subject_pretends_reply", subject("Re: our call")),
    ("subject_pretends_reply", subject("AW: Termin")),
    ("subject_long", subject("Everything that changed this autumn and why it matters to you and yours")),
    ("subject_emoji", subject("Sale 🎉🎉🎉")),
    ("subject_money", subject("Save $10,000 now")),
    ("subject_words", subject("A risk-free trial")),
    ("no_preheader", replace(GOOD, preheader=" ")),
]


@pytest.mark.parametrize(("code", "draft"), WORDS, ids=[f"{row[0]}-{n}" for n, row in enumerate(WORDS)])
def test_words_are_found_wrong_for_what_they_are(code: str, draft: Draft) -> None:
    report = checked(draft)
    assert codes(report) == {code} | (codes(report) & {"images_only", "no_text_part", "clipped"})
    assert code in codes(report)
    found = next(each for each in report.problems if each.code == code)
    assert found.message.endswith(".") and found.hint


def test_a_template_error_is_found_with_its_line() -> None:
    (found,) = (each for each in checked(replace(GOOD, body="Hi\n\n{{ nick")).problems if each.severity == "error")
    assert found.message == "The body has a template error in line 3, column 1: {{ is never closed."


def as_sender(**changes: str) -> Setting:
    return replace(SETTING, sender=replace(ADA, **changes))


SENDERS = [
    ("sender_not_set", as_sender(email="")),
    ("sender_no_name", as_sender(name="")),
    ("no_postal_address", as_sender(postal_address="")),
    ("no_server", replace(SETTING, servers={})),
    ("sender_impersonates", replace(as_sender(email="ada@gmail.com"), mailboxes=("ada@gmail.com",))),
    (
        "free_mail_sender",
        replace(
            SETTING,
            sender=replace(ADA, email="ada@gmail.com"),
            servers={"g": "smtp.gmail.com"},
            mailboxes=("ada@gmail.com",),
        ),
    ),
    ("no_reply_sender", as_sender(reply_to="no-reply@lovelace.dev")),
    ("replies_unread", replace(SETTING, mailboxes=(), reads_replies=False)),
    ("replies_elsewhere", as_sender(reply_to="ada@elsewhere.dev")),
]


@pytest.mark.parametrize(("code", "setting"), SENDERS, ids=[row[0] for row in SENDERS])
def test_a_sender_is_found_wrong_for_what_it_is(code: str, setting: Setting) -> None:
    assert codes(checked(GOOD, setting)) == {code}


MAIL_SERVICES = [
    ("gmail.com", "smtp.gmail.com"),
    ("googlemail.com", "smtp.gmail.com"),
    ("yahoo.com", "smtp.mail.yahoo.com"),
    ("ymail.com", "smtp.mail.yahoo.com"),
    ("rocketmail.com", "smtp.mail.yahoo.com"),
    ("aol.com", "smtp.aol.com"),
    ("icloud.com", "smtp.mail.me.com"),
    ("me.com", "smtp.mail.me.com"),
    ("mac.com", "smtp.mail.me.com"),
    ("mail.ru", "smtp.mail.ru"),
]


@pytest.mark.parametrize(("service", "host"), MAIL_SERVICES)
def test_an_address_of_a_mail_service_goes_by_its_own_servers_only(service: str, host: str) -> None:
    sender = replace(as_sender(email=f"ada@{service}"), mailboxes=(f"ada@{service}",))
    assert codes(checked(GOOD, replace(sender, servers={"own": host}))) == {"free_mail_sender"}
    for servers in ({"other": "smtp.sendgrid.net"}, {"own": host, "spare": "smtp.lovelace.dev"}):
        assert codes(checked(GOOD, replace(sender, servers=servers))) == {"sender_impersonates"}


def test_a_good_draft_has_nothing_wrong_and_says_what_was_looked_at() -> None:
    report = checked(GOOD)
    assert report.problems == () and report.ok
    assert {each.status for each in report.topics} == {"ok"}
    assert status(report, "links") == "ok" and status(report, "text part") == "ok"


@pytest.mark.parametrize(
    "href",
    [
        "https://lovelace.dev/{{ first_name }}?x=1",
        "http://lovelace.dev:8080/a%20b#c",
        "HTTPS://LOVELACE.DEV/",
        "https://bücher.dev/ö",
        "tel:+4930123",
        "mailto:ada@lovelace.dev?subject=Hi",
        "{{ unsubscribe }}",
    ],
)
def test_a_link_that_works_is_left_alone(href: str) -> None:
    assert checked(link(href)).problems == ()


def test_a_link_may_show_its_own_address_and_point_into_the_message() -> None:
    whole = body(f'<p id="top">{PROSE}</p><a href="#top">Up</a> <a href="https://www.a.dev/x">a.dev/x</a>')
    assert checked(whole).problems == ()


def test_many_links_of_one_kind_are_counted_rather_than_listed() -> None:
    some = [each for each in checked(body("".join(f'<a href="/{n}">x</a>' for n in range(30)))).problems]
    assert len([each for each in some if each.code == "link_broken"]) == 9
    assert "22 more links" in some[-1].message or any("22 more links" in each.message for each in some)


def test_a_made_up_sender_may_link_to_made_up_places() -> None:
    assert "link_placeholder" not in codes(checked(link("https://shop.example/x"), as_sender(email="ada@acme.example")))


def test_made_up_domains_are_told_from_real_ones() -> None:
    assert all(map(is_made_up, ["example.com", "acme.example", "a.test", "localhost", "x.invalid", ""]))
    assert not any(map(is_made_up, ["myexample.com", "acme.dev", "con.org"]))


def test_the_way_out_by_a_page_of_ones_own_is_no_link_to_judge() -> None:
    rules = MessageRules(LinkRules(unsubscribe_url="https://bit.ly/u/{token}"))
    report = Preflight(SETTING, rules=rules).words(replace(GOOD, body=f"{PROSE} [Out]({{{{ unsubscribe }}}})"))
    assert codes(report) == set()
