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
        ("<ol><li>a</li><li>b<ul><li>c</li></ul></li></ol>", "1. a\n2. b\n   - c\n"),
        ('<ol start="9"><li>a</li><li>b</li></ol>', "9. a\n10. b\n"),
        ("<ul><li><p>a</p><p>b</p></li><li><p>c</p></li></ul>", "- a\n\n  b\n\n- c\n"),
        ("<ul> <li>a</li> <li>b</li> </ul><p>c</p>", "- a\n- b\n\nc\n"),
        ("<blockquote><p>a</p><p>b</p></blockquote><p>c</p>", "> a\n>\n> b\n\nc\n"),
        ("<blockquote>a<blockquote>b</blockquote></blockquote>", "> a\n>\n> > b\n"),
        ("<p>a</p><hr><p>b</p>", "a\n\n---\n\nb\n"),
        ("<b>a</b> <i>b</i><sup>2</sup>", "a b2\n"),
        ("a\n   b\tc", "a b c\n"),
        ("a<!-- hidden --><!--[if !mso]><!-->b<!--<![endif]-->", "ab\n"),
        ('<a href="https://x.example">x</a>', "x (https://x.example)\n"),
        ('<a href="https://x.example">https://x.example</a>', "https://x.example\n"),
        ('<a href="https://x.example/?utm_source=n">https://x.example/</a>', "https://x.example/?utm_source=n\n"),
        ('<a href="https://x.example"><img src="x.png" alt="a cat"></a>', "a cat (https://x.example)\n"),
        ('<a href="https://x.example"><img src="x.png"></a>', "https://x.example\n"),
        ('<a href="https://x.example"><b>two</b> words</a> after', "two words (https://x.example) after\n"),
        ('<a href="mailto:ada@x.example">ada@x.example</a>', "ada@x.example\n"),
        ('<a href="mailto:ada@x.example">Ada</a>', "Ada (ada@x.example)\n"),
        ('<a href="mailto:ada@x.example?subject=hi">Ada</a>', "Ada (mailto:ada@x.example?subject=hi)\n"),
        ('<a href="tel:+441">call</a>', "call (tel:+441)\n"),
        ('<a href="#top">up</a> <a name="x">here</a>', "up here\n"),
        ('<a href="https://x.example/?a=1&amp;b=2">x</a>', "x (https://x.example/?a=1&b=2)\n"),
        ("<style>p {}</style><p>a</p>", "a\n"),
        ('<div style="display: none">hidden</div><p>a</p>', "a\n"),
        ("<h1>Head</h1><p>a <b>bold</b> word</p>", "Head\n\na bold word\n"),
        ("<pre>a\n  b</pre>", "a\n  b\n"),
        ('<img src="x.png" alt="a cat">', "a cat\n"),
        ("a &amp; b &lt;c&gt;", "a & b <c>\n"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a | b\nc\n"),
        ("<table><thead><tr><th>n</th></tr></thead><tbody><tr><td>1</td></tr></tbody></table>", "n\n1\n"),
        ("<table><caption>Prices</caption><tr><td>a</td><td></td><td>b</td></tr></table>", "Prices\na | b\n"),
        ("<table><tr><td><p>a</p><p>b</p></td><td><p>c</p></td></tr></table>", "a\n\nb\n\nc\n"),
        ("<table><tr><td><table><tr><td>a</td><td>b</td></tr></table></td></tr></table>", "a | b\n"),
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


def test_a_list_that_the_template_repeats_is_a_list_in_the_text_too() -> None:
    text, html = filled("<ul>{% for x in [1, 2] %}<li>n{{ x }}</li>{% endfor %}</ul>", format="html")
    assert html.count("<li>") == 2
    assert [line for line in text.splitlines() if line.startswith("- ")] == ["- n1", "- n2"]


def test_a_sign_in_a_mark_is_no_markup_of_the_text_twin() -> None:
    text, html = filled("<p>{{ 'few' if 1 <2 else 'many' }} &amp; {{ \"a<b>c\" }}</p>", format="html")
    assert text.startswith("few & a<b>c\n") and "few &amp; a&lt;b&gt;c" in html


def test_a_style_sheet_that_looks_like_a_template_is_kept() -> None:
    _, html = filled("<html><head><style>@media(max-width:9px){#a{color:red}}</style></head><body>x</body></html>")
    assert "{ #a{color:red}}" in html.replace("\n", "")


def test_a_word_that_looks_like_a_held_mark_stays() -> None:
    assert filled("xqjinja99qx and {{ first_name }}")[0].startswith("xqjinja99qx and Jane\n")


@pytest.mark.parametrize("mark", ["{{ 'a' * 1000000000 }}", "{{ 10 ** 100000000 }}", "{{ 'a' * 1000 * 1000000 }}"])
def test_a_slip_takes_neither_all_memory_nor_minutes(mark: str) -> None:
    with pytest.raises(TemplateInvalid, match="too often"):
        filled(mark)


def test_sums_and_small_repetitions_are_done() -> None:
    assert filled("{{ '-' * 10 }} {{ 2000 * 3000 }} {{ 2.5 * 2 }}")[0].startswith("---------- 6000000 5.0\n")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("Hi\n\nDear {{ nick\n\nbye {{ x }}", "in line 3, column 6: {{ is never closed."),
        ("Hi\r\n\r\nDear {{ nick\r\nit's", "in line 3, column 6: {{ is never closed."),
        ("{{ x }\n\nmore", "in line 1, column 1: {{ is never closed."),
        ("a {%- if b -%} c {%- endif", "in line 1, column 18: {%- is never closed."),
        ("a\n{# nothing", "in line 2, column 1: {# is never closed."),
        ("a\n{% raw %}{{", "in line 2, column 1: {% raw %} is never closed."),
        ("x\n{{ '{{' }}\n\n{{ a b }}\n", "in line 4: expected token 'end of print statement', got 'b'."),
        ("# a\n\n- b {{ x | nope }}", "in line 3: No filter named 'nope'."),
        ("<style>\n#a{#b: c}\n</style>\n\n{{ u", "in line 5, column 1: {{ is never closed."),
    ],
)
@pytest.mark.parametrize("format", ["markdown", "html"])
def test_an_error_is_told_with_the_line_that_its_author_wrote(body: str, said: str, format: str) -> None:
    with pytest.raises(TemplateInvalid) as refused:
        filled(body, format=format)
    assert refused.value.message == f"The body has a template error {said}"


def test_a_subject_and_a_preheader_say_where_too() -> None:
    with pytest.raises(TemplateInvalid, match=r"The subject has a template error in line 1, column 4: \{\{ is never"):
        MessageTemplate(Draft("Hi {{ a", "b"))
    with pytest.raises(TemplateInvalid, match=r"The preheader has a template error in line 1, column 1: \{\{ is never"):
        MessageTemplate(Draft("Hi", "b", preheader="{{ a"))
