"""Messages of every kind, read by a reader that forgives nothing; and what their text twin says."""

from __future__ import annotations

import re
from functools import cache

import pytest

from aicmo.publishing.email.message import BuiltMessage
from aicmo.publishing.email.rules import MessageRules
from aicmo.store.contents import Draft
from tests.publishing.letters import PAGE, built, parsed, read_strictly, signing, verifies

NEWSLETTER = """<!DOCTYPE html>
<html><head><title>News</title><style type="text/css">
body{margin:0;background:#fff}
h1 { color: #123456 }
@media(max-width:600px){#main{width:100%!important}.wide{display:none!important}}
@media (prefers-color-scheme: dark){#main{background:#000}}
</style></head>
<body bgcolor="#ffffff"><!--[if mso]><table><tr><td><![endif]-->
<table id="main" width="600" role="presentation"><tr><td>
  <h1>Autumn &amp; winter</h1>
  <p>Dear {{ first_name }}, read <a href="https://x.example/?a=1&amp;b=2">the tour</a>.</p>
  <a href="https://x.example/hero"><img src="https://x.example/h.png" alt="Our new office" width="600"></a>
  <table><thead><tr><th>Plan</th><th>Price</th></tr></thead>
    <tbody><tr><td>Small</td><td>9 &euro;</td></tr><tr><td>Large</td><td>19 &euro;</td></tr></tbody></table>
  <blockquote><p>It just works.</p><p>— Grace</p></blockquote>
  <ul><li>One<ul><li>deeper</li></ul></li><li>Two</li></ul>
</td><td class="wide"><p>Beside</p></td></tr></table>
<!--[if mso]></td></tr></table><![endif]--></body></html>
"""

CORPUS = {
    "plain": Draft("Hello {{ first_name }}", "Hi {{ first_name }}.\n"),
    "unicode": Draft("Grüße, {{ first_name }} 陽菜", "Ünïcode: żółć, Ελληνικά, हिन्दी, 日本語.\n"),
    "emoji": Draft("🎉 👩‍🚀 {{ first_name }}", "🎉👩‍🚀👍🏽" * 40),
    "right to left": Draft("שלום {{ first_name }}", "שלום עולם، مرحبا بالعالم\n\n" * 5, "مرحبا"),
    "long subject": Draft("A subject that says far more than any inbox shows " * 18, "Hi"),
    "one long word": Draft("W" * 900, "w" * 4000),
    "long lines": Draft("Long", "word " * 4000),
    "long link": Draft("Link", f"[x](https://x.example/{'p' * 3000}?q={'v' * 3000})\n"),
    "lines of dots": Draft("Dots", ".\n\n..\n\n.\n\n<pre>\n.\n..\n</pre>\n"),
    "what looks like a header": Draft("Re: Subject: x", "From: x\n\nFrom here on.\n\nContent-Type: text/x\n"),
    "what looks like a boundary": Draft("Dashes", "--=_aicmo_0123\n\n-- \n\n--\n\n----=_x--\n"),
    "spaces at the ends of lines": Draft("Spaces", "<pre>a  \n\tb\t\n   \n</pre>\n"),
    "encoded to look at": Draft("=?utf-8?q?x?= =20=", "=3D =20 = \n\n=?utf-8?b?eA==?=\n"),
    "html": Draft("News", NEWSLETTER, "What is new", format="html"),
    "html without a body": Draft("Bare", "<p>Hi {{ first_name }}", format="html"),
    "a megabyte": Draft("Much", "Dear {{ first_name }},\n\n" + ("all work and no play\n" * 20 + "\n") * 2_250),
    "a megabyte without a space": Draft("Much", "é" * 500_000),
}


SIGNED = MessageRules(PAGE.links, signing("ed25519"))


@cache
def made(kind: str) -> BuiltMessage:
    return built(CORPUS[kind], rules=SIGNED, first_name="Jané", last_name="O’Dõe")


@pytest.mark.parametrize("kind", CORPUS)
def test_a_strict_reader_finds_no_defect(kind: str) -> None:
    read_strictly(made(kind))


@pytest.mark.parametrize("kind", CORPUS)
def test_dkimpy_verifies_it(kind: str) -> None:
    assert verifies(made(kind).raw, "ed25519")


@pytest.mark.parametrize("kind", [kind for kind in CORPUS if kind != "one long word"])
def test_every_line_of_the_head_is_short(kind: str) -> None:
    head = made(kind).raw.partition(b"\r\n\r\n")[0]
    assert max(map(len, head.split(b"\r\n"))) <= 78


@pytest.mark.parametrize("kind", CORPUS)
def test_the_text_twin_has_no_markup_left(kind: str) -> None:
    text = made(kind).words.text
    assert not re.search(r"</?[a-z!][^>]*>|&[a-z]+;|xqjinja|\{[{%#]", text)
    assert not re.search(
        r"[ \t]\n|\n\n\n|^\s|\n\n$", text.replace("\n\n\n", "\n\n") if kind.startswith("spaces") else text
    )


def test_the_text_twin_of_a_newsletter_reads_well() -> None:
    text = made("html").words.text
    assert text == (
        "Autumn & winter\n\n"
        "Dear Jané, read the tour (https://x.example/?a=1&b=2).\n\n"
        "Our new office (https://x.example/hero)\n\n"
        "Plan | Price\nSmall | 9 €\nLarge | 19 €\n\n"
        "> It just works.\n>\n> — Grace\n\n"
        "- One\n  - deeper\n- Two\n\n"
        "Beside\n\n"
        "Ada Lovelace, 1 Analytical Way, London\n"
        "Unsubscribe (https://example.com/u/1.7.abc)\n"
    )


def test_the_html_keeps_what_cannot_be_inlined_and_inlines_the_rest() -> None:
    _, part = parsed(made("html")).iter_parts()
    html = part.get_content()
    assert 'style="color: #123456;"' in html
    assert "@media" in html and "prefers-color-scheme" in html and "#main" in html
    assert html.count("<!--[if mso]>") == 2
    assert html.index("Unsubscribe") < html.index("</body>")
