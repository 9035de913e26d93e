"""Sample people: the same for the same seed, from many countries, some of them hostile.

Every address stands under ``.example`` (RFC 2606), several people share a company and its domain. Among them are names
that try to act where they are shown or sent: ``HOSTILE_FIRST_NAMES`` says what each is after.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HOSTILE_FIRST_NAMES = (
    "[@click=app.quit]Bob[/]",  # an action in Textual's markup
    "oops [/foo]",  # markup that closes what never opened
    "Eve\x1b]52;c;aGFja2Vk\x07",  # OSC 52: sets the terminal's clipboard
    "=?utf-8?q?A=0D=0ABcc=3A_x=40evil.example?=",  # decodes to a line end and a header of its own
    ("Wide" * 1000),  # 4,000 columns
    "Anna\u202egnp.exe",  # a bidi override: reads backwards
    '=HYPERLINK("http://evil.example","Ann")',  # a spreadsheet formula
    "Robin \N{WOMAN}\N{ZERO WIDTH JOINER}\N{ROCKET}",  # one glyph of three code points
)

# (city, first names, last names); a name is as its owner writes it, and as it stands in an address.
_PLACES: tuple[tuple[str, dict[str, str], dict[str, str]], ...] = (
    (
        "Lyon",
        {"Zoé": "zoe", "François": "francois", "Anaïs": "anais", "Jean-Loup": "jean-loup", "Maëlle": "maelle"},
        {"Lefèvre": "lefevre", "Garnier": "garnier", "Bézier": "bezier", "D’Aubigné": "daubigne", "Noël": "noel"},
    ),
    (
        "Köln",
        {"Jürgen": "juergen", "Käthe": "kaethe", "Sören": "soeren", "Annika": "annika", "Björn": "bjoern"},
        {"Müller": "mueller", "Weiß": "weiss", "Schröder": "schroeder", "von der Heide": "vonderheide"},
    ),
    (
        "上海",
        {"伟": "wei", "秀英": "xiuying", "静": "jing", "浩然": "haoran", "雨桐": "yutong"},
        {"王": "wang", "李": "li", "张": "zhang", "欧阳": "ouyang", "陈": "chen"},
    ),
    (
        "大阪",
        {"陽菜": "hina", "翔太": "shota", "さくら": "sakura", "健一": "kenichi", "ユキ": "yuki"},
        {"佐藤": "sato", "鈴木": "suzuki", "渡辺": "watanabe", "小林": "kobayashi"},
    ),
    (
        "서울",
        {"서연": "seoyeon", "민준": "minjun", "지우": "jiwoo", "하준": "hajun"},
        {"김": "kim", "박": "park", "최": "choi", "남궁": "namgung"},
    ),
    (
        "القاهرة",
        {"عمر": "omar", "ليلى": "layla", "يوسف": "youssef", "مريم": "mariam", "نور": "nour"},
        {"حداد": "haddad", "المصري": "almasri", "خليل": "khalil", "منصور": "mansour"},
    ),
    (
        "תל אביב",
        {"נועה": "noa", "איתן": "eitan", "תמר": "tamar", "אורי": "uri"},
        {"כהן": "cohen", "לוי": "levi", "מזרחי": "mizrahi"},
    ),
    (
        "Київ",
        {"Олена": "olena", "Тарас": "taras", "Ірина": "iryna", "Богдан": "bohdan"},
        {"Шевченко": "shevchenko", "Коваль": "koval", "Бойко": "boiko"},
    ),
    (
        "मुंबई",
        {"प्रिया": "priya", "अर्जुन": "arjun", "आदित्य": "aditya", "मीरा": "meera"},
        {"शर्मा": "sharma", "पटेल": "patel", "अय्यर": "iyer"},
    ),
    (
        "Łódź",
        {"Małgorzata": "malgorzata", "Łukasz": "lukasz", "Zofia": "zofia", "Bartłomiej": "bartlomiej"},
        {"Wiśniewska": "wisniewska", "Kowalczyk": "kowalczyk", "Żak": "zak"},
    ),
    (
        "São Paulo",
        {"João": "joao", "Luísa": "luisa", "Thiago": "thiago", "Conceição": "conceicao"},
        {"Gonçalves": "goncalves", "da Silva": "dasilva", "Araújo": "araujo", "Simões": "simoes"},
    ),
    (
        "Dublin",
        {"Siobhán": "siobhan", "Seán": "sean", "Mary Ann": "maryann", "Niamh": "niamh", "Kit": "kit"},
        {"O'Neill": "oneill", "Byrne": "byrne", "Ó Dálaigh": "odalaigh", "Smith": "smith", "Ng": "ng"},
    ),
)

_COMPANIES = (
    *(
        "Atelier Nord",
        "Harbour & Sons",
        "Cedar Analytics",
        "Blue Kite",
        "Tidewater Foods",
        "Quarry Labs",
        "Osprey Travel",
    ),
    *("Lumen Gärten", "Mosaic Press", "Pioneer Tools", "Fjord Energi", "Saffron Street", "Iron Bridge", "Paper Moon"),
    *("Granite Bank", "Willow Care", "Signal Nine", "Red Barn", "Copper & Clay", "Northlight", "Velvet Audio"),
    *("Delta Freight", "Juniper Health", "Kiln Studio", "Marble Arch Legal", "Orchard Schools", "Wren Software"),
    *("Salt, Pepper & Co", "Umbra Optics", "Zephyr Cycles"),
)
_TITLES = (
    *("Founder", "Marketing Manager", "Head of Sales", "Buyer", "Office Manager", "CTO", "Engineer", "Designer"),
    *("Geschäftsführer", "Directrice générale", "Chief of Staff", "Consultant", "Student", "Teacher", ""),
)


@dataclass(frozen=True, slots=True)
class Person:
    """One sample person; every field but ``email`` and ``tags`` may hold anything a stranger would type."""

    email: str
    first_name: str
    last_name: str
    company: str
    title: str
    """Empty for some."""
    tags: tuple[str, ...]
    """From newsletter, trial, customer, vip; empty for some. A vip is a customer, and no customer is on trial."""
    city: str


def sample_people(count: int = 300, seed: int = 1) -> Iterator[Person]:
    """``count`` people with different addresses, the same at every call with the same seed.

    From eight people on, every hostile name is among them, spread over the whole. Memory does not grow with ``count``.
    """
    dice = random.Random(seed)
    namesakes: Counter[str] = Counter()
    every = max(1, count // len(HOSTILE_FIRST_NAMES))
    for position in range(count):
        city, first_names, last_names = dice.choice(_PLACES)
        first_name, last_name = dice.choice(tuple(first_names)), dice.choice(tuple(last_names))
        local = f"{first_names[first_name]}.{last_names[last_name]}"
        # The square makes a few companies large and most small.
        company = _COMPANIES[int(len(_COMPANIES) * dice.random() ** 2)]
        hostile, between = divmod(position, every)
        if not between and hostile < len(HOSTILE_FIRST_NAMES):
            first_name, local = HOSTILE_FIRST_NAMES[hostile], f"stranger.{hostile + 1}"
        namesakes[local] += 1
        number = str(namesakes[local]) if namesakes[local] > 1 else ""
        yield Person(
            email=f"{local}{number}@{_domain(company)}",
            first_name=first_name,
            last_name=last_name,
            company=company,
            title=dice.choice(_TITLES),
            tags=_tags(dice),
            city=city,
        )


def write_csv(path: Path, count: int = 300, seed: int = 1) -> None:
    """The people as a spreadsheet would save them: UTF-8, CRLF, tags in one cell separated by ``, ``.

    The headers are ``E-mail,First name,Last name,Company,Job title,Tags,City``. An existing file is replaced.
    """
    import csv

    with open(path, "w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("E-mail", "First name", "Last name", "Company", "Job title", "Tags", "City"))
        for who in sample_people(count, seed):
            tags = ", ".join(who.tags)
            rows.writerow((who.email, who.first_name, who.last_name, who.company, who.title, tags, who.city))


def _domain(company: str) -> str:
    ascii_name = company.lower().replace("ä", "ae").replace("&", "and")
    return "-".join("".join(c if c.isalnum() else " " for c in ascii_name).split()) + ".example"


def _tags(dice: random.Random) -> tuple[str, ...]:
    tags = ["newsletter"] if dice.random() < 0.6 else []
    standing = dice.random()
    if standing < 0.25:
        tags.append("trial")
    elif standing < 0.55:
        tags.append("customer")
        if dice.random() < 0.15:
            tags.append("vip")
    return tuple(tags)
