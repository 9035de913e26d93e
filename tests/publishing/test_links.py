"""Campaign parameters are added to links, and change nothing else of them."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aicmo.config import load_config
from aicmo.errors import ConfigInvalid
from aicmo.publishing.email.links import LinkRules, slug, tag_links, tagged
from aicmo.publishing.email.marks import Marks
from aicmo.publishing.email.rules import MessageRules, message_rules
from aicmo.publishing.email.templates import MessageTemplate
from aicmo.store.contents import Draft
from tests.publishing.letters import built, read_strictly

UTM = {"utm_source": "newsletter", "utm_medium": "email", "utm_campaign": "autumn"}
ALL = "utm_source=newsletter&utm_medium=email&utm_campaign=autumn"
GIVEN = {
    "unsubscribe": "https://example.com/u/1.7.abc",
    "postal_address": "1 Way",
    "sender": {"name": "Ada"},
    "city": "Bath?",
}


def tag(url: str) -> str:
    marks = Marks()
    return marks.restore(tagged(marks.hold(url), UTM, marks))


@pytest.mark.parametrize(
    ("url", "more"),
    [
        ("https://x.example", f"https://x.example?{ALL}"),
        ("https://x.example/", f"https://x.example/?{ALL}"),
        ("https://x.example/?", f"https://x.example/?{ALL}"),
        ("https://x.example/?a=1&a=2&b", f"https://x.example/?a=1&a=2&b&{ALL}"),
        ("https://x.example/?a=1&", f"https://x.example/?a=1&{ALL}"),
        ("https://x.example/p#part", f"https://x.example/p?{ALL}#part"),
        ("https://x.example/?q=%C3%A9+%26#/route?x=1", f"https://x.example/?q=%C3%A9+%26&{ALL}#/route?x=1"),
        ("HTTP://X.example:8080/%7Ea", f"HTTP://X.example:8080/%7Ea?{ALL}"),
        (
            "https://x.example/?utm_source=ad",
            "https://x.example/?utm_source=ad&utm_medium=email&utm_campaign=autumn",
        ),
        (
            "https://x.example/?UTM%5FSource=ad&utm_content=top",
            "https://x.example/?UTM%5FSource=ad&utm_content=top&utm_medium=email&utm_campaign=autumn",
        ),
        ("https://x.example/?id={{ id }}", f"https://x.example/?id={{{{ id }}}}&{ALL}"),
        ("https://x.example/#{% if a %}b{% endif %}", f"https://x.example/?{ALL}#{{% if a %}}b{{% endif %}}"),
        ("https://x.example/{{ city | urlencode }}/", f"https://x.example/{{{{ city | urlencode }}}}/?{ALL}"),
    ],
)
def test_parameters_are_added_at_the_end_of_the_query(url: str, more: str) -> None:
    assert tag(url) == more


@pytest.mark.parametrize(
    "url",
    [
        "mailto:ada@example.com",
        "mailto:ada@example.com?subject=hi",
        "tel:+44123",
        "#top",
        "",
        "/path",
        "//x.example/",
        "javascript:alert(1)",
        "ftp://x.example/",
        "https://",
        "{{ unsubscribe }}",
        "{{ link }}?a=1",
        "https://{{ host }}/",
        "https://{{ host }}.example/",
        "https://x.example/{{ city }}",
        "https://x.example/{% if a %}?b=1{% endif %}",
        "https://x.example/?{% if a %}b=1{% endif %}",
        "https://x.example/file.pdf?X-Amz-Signature=abc",
        "https://x.example/file.pdf?sig=abc&se=1",
        f"https://x.example/?{ALL}",
    ],
)
def test_a_link_that_could_be_harmed_is_left_exactly_as_it_is(url: str) -> None:
    assert tag(url) == url


_PART = st.text("abcXYZ019-._~%!$&'()*+,;=:@/é陽 {}", max_size=20).filter(lambda text: "{{" not in text)


@given(
    host=st.from_regex(r"[a-z]{1,8}\.example(:[0-9]{2})?", fullmatch=True),
    path=_PART.map(lambda text: f"/{text}" if text else ""),
    query=st.none() | _PART.map(lambda text: text.replace("#", "")),
    own=st.sampled_from(["", "utm_source=own", "utm_medium=&a=1", "UTM_CAMPAIGN=x"]),
    fragment=st.none() | _PART,
)
def test_nothing_of_a_link_changes_but_what_is_added(
    host: str, path: str, query: str | None, own: str, fragment: str | None
) -> None:
    asked = "&".join(filter(None, [query, own]))
    url = f"https://{host}{path}" + (f"?{asked}" if asked or query is not None else "")
    url += f"#{fragment}" if fragment is not None else ""
    if url != url.strip():
        return
    before, after = urlsplit(url), urlsplit(tag(url))
    assert (after.scheme, after.netloc, after.path, after.fragment) == (
        before.scheme,
        before.netloc,
        before.path,
        before.fragment,
    )
    assert after.query.startswith(before.query)
    had = parse_qsl(before.query, keep_blank_values=True)
    has = parse_qsl(after.query, keep_blank_values=True)
    assert has[: len(had)] == had
    there = {name.lower() for name, _ in had}
    assert has[len(had) :] == [(name, value) for name, value in UTM.items() if name not in there]
    assert tag(tag(url)) == tag(url)


class Links(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("a", "area"):
            self.found += [value or "" for name, value in attrs if name == "href"]


def filled(body: str, *, format: str = "html") -> tuple[str, list[str]]:
    """The text twin, and the links of the HTML."""
    words = MessageTemplate(Draft("s", body, format=format), UTM).fill(GIVEN)
    return words.text, Links(words.html).found


@pytest.mark.parametrize(
    "body",
    [
        '<a href="https://x.example/?a=1&amp;copy=2">x</a>',
        '<a class="b" title="a > b" href="https://x.example/?a=1&copy=2">x</a>',
        "<a href='https://x.example/?a=1&amp;copy=2'>x</a>",
        '<A HREF=" https://x.example/?a=1&amp;copy=2 " data-href="https://y.example">x</A>',
        '<map><area href="https://x.example/?a=1&amp;copy=2"></map>',
    ],
)
def test_links_are_found_however_they_are_written(body: str) -> None:
    _, links = filled(body)
    assert links[0] == f"https://x.example/?a=1&copy=2&{ALL}"
    assert links[1:] == [GIVEN["unsubscribe"]]


def test_the_text_twin_has_the_same_links() -> None:
    text, links = filled("[a](https://x.example/a?b=1) <https://x.example/> {{ unsubscribe }}", format="markdown")
    assert links == [f"https://x.example/a?b=1&{ALL}", f"https://x.example/?{ALL}"]
    assert f"a (https://x.example/a?b=1&{ALL}) https://x.example/?{ALL} https://example.com/u/1.7.abc\n" in text


def test_what_is_no_link_of_the_reader_stays() -> None:
    body = (
        '<!-- <a href="https://x.example/?a=1&copy=2"> --><img src="https://x.example/i.png"><p>https://x.example</p>'
    )
    marks = Marks()
    assert tag_links(body, UTM, marks) == body


def test_a_field_in_the_query_is_filled_and_its_value_stays_one_value() -> None:
    _, links = filled('<a href="https://x.example/{{ city | urlencode }}?c={{ city | urlencode }}">x</a>')
    assert links[0] == f"https://x.example/Bath%3F?c=Bath%3F&{ALL}"


def test_the_parameters_name_the_campaign_and_the_variant() -> None:
    rules = LinkRules(utm={"utm_source": "newsletter", "utm_medium": "email"})
    assert rules.parameters("Autumn News!", "") == {**rules.utm, "utm_campaign": "autumn-news"}
    assert rules.parameters("Autumn", "B")["utm_content"] == "b"
    own = LinkRules(utm={"utm_campaign": "own", "utm_content": "top"})
    assert own.parameters("Autumn", "B") == own.utm
    assert LinkRules().parameters("Autumn", "B") == {}


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("Autumn News 2026!", "autumn-news-2026"),
        ("  Ünïcode & Co. ", "ünïcode-co"),
        ("陽菜さん", "陽菜さん"),
        ("!!!", "campaign"),
        ("{{ x }}\r\n&utm_source=evil", "x-utm-source-evil"),
    ],
)
def test_a_campaigns_name_is_one_word_in_a_report(name: str, short: str) -> None:
    assert slug(name) == short


def configured(tmp_path: Path, text: str) -> LinkRules:
    file = tmp_path / "config.toml"
    file.write_text(f"[links]\n{text}\n", encoding="utf-8")
    return message_rules(load_config(file, environ={})).links


def test_links_are_as_the_configuration_says(tmp_path: Path) -> None:
    untouched = configured(tmp_path, "")
    assert (untouched.parameters("Autumn", "B"), untouched.unsubscribe_url, untouched.unsubscribe_email) == ({}, "", "")
    assert configured(tmp_path, "utm = {}").utm == {"utm_source": "newsletter", "utm_medium": "email"}
    assert configured(tmp_path, 'utm = { source = "n", campaign = "c" }').parameters("Autumn", "") == {
        "utm_source": "n",
        "utm_medium": "email",
        "utm_campaign": "c",
    }
    page, to = "https://example.com:8443/u?t={token}&x=1", "u+{token}@müller.example"
    rules = configured(tmp_path, f'unsubscribe_url = "{page}"\nunsubscribe_email = "{to}"')
    assert (rules.unsubscribe_url, rules.unsubscribe_email) == (page, to)
    message = built(rules=MessageRules(rules), first_name="Jane")
    assert read_strictly(message)["List-Unsubscribe"] == (
        "<https://example.com:8443/u?t=1.7.abc&x=1>, "
        "<mailto:u+1.7.abc@xn--mller-kva.example?subject=unsubscribe-1.7.abc>"
    )


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('unsubscribe_url = "http://example.com/u/{token}"', "https"),
        ('unsubscribe_url = "https://example.com/u/"', "{token}"),
        ('unsubscribe_url = "https://example.com/{token}/{token}"', "once"),
        ('unsubscribe_url = "https://{token}.example.com/"', "https address"),
        ('unsubscribe_url = "https://example.com/{token} x"', "https address"),
        ('unsubscribe_url = "https://example.com/{token}>"', "https address"),
        ('unsubscribe_url = "https://example.com/{token}/ü"', "https address"),
        ('unsubscribe_url = "https://example.com/{token}#x{y}"', "https address"),
        (f'unsubscribe_url = "https://example.com/{"x" * 900}{{token}}"', "https address"),
        ('unsubscribe_email = "nobody"', "e-mail address"),
        ('unsubscribe_email = "a b@example.com"', "e-mail address"),
        ('unsubscribe_email = "a@{token}.example.com"', "before the @"),
        (f'unsubscribe_email = "{"a" * 25}{{token}}@example.com"', "64 characters"),
        ('utm = { source = "" }', "source"),
        ('utm = { term = "x" }', "links.utm.term is not a setting"),
    ],
)
def test_a_way_out_that_cannot_work_is_refused(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(ConfigInvalid) as raised:
        configured(tmp_path, text)
    assert fault in raised.value.message
