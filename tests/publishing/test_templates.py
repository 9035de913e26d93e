"""Drafts compiled once: Markdown and HTML, the text twin, the footer, strict fields."""

from __future__ import annotations

import pytest

from aicmo.errors import TemplateInvalid
from aicmo.publishing.email.plaintext import html_to_text
from aicmo.publishing.email.templates import MessageTemplate
from aicmo.store.contents import Draft

GIVEN = {"unsubscribe": "mailto:out", "postal_address": "1 Way", "sender": {"name": "Ada"}, "first_name": "Jane"}


def filled(body: str, *, format: str = "markdown", **values: object) -> tuple[str, str]:
    words = MessageTemplate(Draft("s", body, format=format)).fill({**GIVEN, **values})
    return words.text, words.html


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>a</p><p>b</p>", "a\n\nb\n"),
        ("<p>a<br>b</p>", "a\nb\n"),
        ("<ul><li>a</li><li>b</li></ul>", "- a\n- b\n"),
        ("<ol><li>a</li><li>b<ul><li>c</li></ul></li></ol>", "1. a\n2. b\n\n  - c\n"),
        ('<a href="https://x.example">x</a>', "x (https://x.example)\n"),
        ('<a href="https://x.example">https://x.example</a>', "https://x.example\n"),
        ("<style>p {}</style><p>a</p>", "a\n"),
        ('<div style="display: none">hidden</div><p>a</p>', "a\n"),
        ("<h1>Head</h1><p>a <b>bold</b> word</p>", "Head\n\na bold word\n"),
        ("<pre>a\n  b</pre>", "a\n  b\n"),
        ('<img src="x.png" alt="a cat">', "a cat\n"),
        ("a &amp; b &lt;c&gt;", "a & b <c>\n"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\n c\n"),
        ("", "\n"),
    ],
)
def test_the_text_twin(html: str, text: str) -> None:
    assert html_to_text(html) == text


@pytest.mark.parametrize(
    ("body", "missing"),
    [
        ("Hi", {"Unsubscribe", "1 Way"}),
        ("Hi, {{ unsubscribe }}", {"1 Way"}),
        ("Hi, {{ postal_address }}", {"Unsubscribe"}),
        ("[out]({{ unsubscribe }}) {{ postal_address }}", set()),
    ],
)
def test_the_footer_adds_only_what_the_body_does_not_name(body: str, missing: set[str]) -> None:
    for format in ("markdown", "html"):
        for words in filled(body, format=format):
            assert words.count("mailto:out") >= 1 and "1 Way" in words
            assert ("Unsubscribe" in words) == ("Unsubscribe" in missing)


def test_a_missing_field_is_an_error_unless_there_is_a_default() -> None:
    with pytest.raises(TemplateInvalid, match="company is missing"):
        filled("at {{ company }}")
    assert "at your place" in filled("at {{ company | default('your place') }}")[0]
    assert "at Acme" in filled("at {{ company | default('your place') }}", company="Acme")[0]


def test_blocks_on_lines_of_their_own_leave_no_paragraph_behind() -> None:
    text, html = filled("a\n\n{% if company %}\n\nb\n\n{% endif %}\n\nc")
    assert text.startswith("a\n\nc\n")
    assert "<p></p>" not in html.replace("\n", "")


def test_quotes_and_signs_in_a_template_survive_markdown() -> None:
    assert filled("{{ 'a' if 2 > 1 and \"x\" < \"y\" else 'b' }}")[0].startswith("a\n")


@pytest.mark.parametrize(
    "body",
    [
        "{{ first_name ",
        "{% if %}",
        "{{ ''.__class__.__mro__ }}",
        "{{ 1 / 0 }}",
        "{{ first_name.upper(1) }}",
        "{{ nothing.of.it }}",
        "{{ range(10**9) | list }}",
    ],
)
def test_what_a_template_does_wrong_is_told_as_its_fault(body: str) -> None:
    try:
        text, _ = filled(body)
    except TemplateInvalid as error:
        assert error.message
    else:
        # An unfinished mark is plain text in Jinja2, and the sandbox answers a forbidden attribute with nothing.
        assert "__mro__" not in text.replace(body, "")


def test_variables_are_those_a_contact_has_to_give() -> None:
    draft = Draft("{{ first_name }}", "{{ company | default('x') }} {{ sender.name }} {{ unsubscribe }}")
    assert MessageTemplate(draft).variables == {"first_name", "company"}
