"""Colours of a message: what cannot be read, on white or in the dark, and what is left alone."""

from __future__ import annotations

import pytest

from aicmo.publishing import Draft
from aicmo.publishing.email.inks import DARK, LIGHT, contrast, inked
from aicmo.publishing.email.templates import MessageTemplate
from aicmo.publishing.preflight.colours import colour_problems

LOGO = '<img src="https://a.dev/logo.png?v=2" alt="Acme">'
COLOURS = [
    ("faint_text", '<p style="color:#eee">x</p>'),
    ("faint_text", '<p style="color: white">x</p>'),
    ("faint_text", f'<p style="color:rgb({"9" * 400}, 255, 255)">x</p>'),
    ("faint_text", '<body bgcolor="#333"><p style="color:rgb(40, 40, 40)">x</p></body>'),
    ("faint_in_dark", '<p style="color:#333333">x</p>'),
    ("faint_in_dark", '<font color="black">x</font>'),
    ("faint_in_dark", '<body text="#000000">x</body>'),
    ("faint_in_dark", '<td style="background: repeat ivory">x</td>'),
    ("faint_in_dark", '<a href="https://a.dev" style="color:navy">x</a>'),
    ("image_in_dark", f"<p>x</p>{LOGO}"),
]


@pytest.mark.parametrize(("code", "html"), COLOURS, ids=[f"{row[0]}-{n}" for n, row in enumerate(COLOURS)])
def test_colours_are_found_wrong_for_what_they_are(code: str, html: str) -> None:
    problems, _ = colour_problems(html)
    assert [each.code for each in problems] == [code]
    assert problems[0].message.endswith(".") and problems[0].hint


@pytest.mark.parametrize(
    "html",
    [
        "<p>no colour at all</p>",
        '<p style="color:#777">grey is seen on both</p>',
        '<p style="color:#333;background-color:#fff">a pair</p>',
        '<body style="background:white"><p style="color:#333">the ground is the body\'s</p></body>',
        f'<body bgcolor="white" text="black">{LOGO}</body>',
        '<body bgcolor="#fff" text="#111"><a href="https://a.dev">a program sees to its links</a></body>',
        '<p style="color:hsl(0 0% 20%)">what is not known is not judged</p>',
        '<div style="background:url(x.png)"><p style="color:#333">over a picture</p></div>',
        '<p style="color:rgba(0,0,0,.5)">half</p>',
        '<p style="color:rgb(1.2.3, 0, 0)">what is half typed is not known either</p>',
        '<p style="color:rgb(., 0, 0)">nor that</p>',
        '<div style="display: none; color:#fff">a preheader</div>',
        '<p style="color:#333"> \n </p>',
        '<p>x</p><img src="https://a.dev/photo.jpg" alt="">',
        "<p style='color:#333'>x</p><style>@media (prefers-color-scheme:dark) { p { color: #eee !important } }</style>",
    ],
)
def test_what_can_be_read_or_is_not_known_is_left_alone(html: str) -> None:
    assert colour_problems(html)[0] == []


def test_a_message_in_markdown_can_be_read_everywhere() -> None:
    draft = Draft("s", "# Hello\n\nthere, [you](https://a.dev)\n\n> quoted\n\n![A cat](https://a.dev/c.png)", "soon")
    filled = MessageTemplate(draft).fill({"unsubscribe": "u", "postal_address": "p", "sender": {"name": "n"}})
    assert colour_problems(filled.html)[0] == []


def test_the_first_words_are_named_and_the_rest_counted() -> None:
    (found,), _ = colour_problems(
        '<p style="color:#333">One</p><p style="color:#222">Two</p><p style="color:#333">One</p>'
    )
    assert "“One” and 1 more piece" in found.message and "#333333" in found.message


def test_words_are_laid_out_as_they_are_read() -> None:
    html = (
        "<h1>News</h1><p>Hello<br>you</p><ul><li>one</li><li>two</li></ul><table><tr><td>a</td><td>b</td></tr></table>"
    )
    html += "</p></b><p>end\x1b[31m<img alt='A cat'>"
    text = "".join(ink.words for ink in inked(html).inks)
    assert text == "News\n\nHello\nyou\n\n- one\n- two\n\na  b\n\nend[31m[A cat]"


def test_contrast_is_that_of_wcag() -> None:
    assert round(contrast((0, 0, 0), (255, 255, 255)), 2) == 21.0
    assert round(contrast((119, 119, 119), (255, 255, 255)), 2) == 4.48


def test_a_light_ground_is_turned_round_and_a_dark_one_stays() -> None:
    html = '<body style="background:#ffffff;color:#000000">x<p style="background:#0b3d2e;color:#ffffff">y</p></body>'
    seen = inked(html)
    light, dark = seen.turned().inks
    assert seen.is_light and light.on(DARK) == (DARK.text, DARK.ground)
    assert dark.on(DARK) == dark.on(LIGHT) == ((255, 255, 255), (11, 61, 46))
