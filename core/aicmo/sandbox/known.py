"""What Apollo and Dropcontact know about the sample people, with true rates that a result can be compared with.

The address in ``people.csv`` is the right one. A provider has it, has another that is out of date, or has none; which
of these holds for how many people is exact, not drawn: ``RATES``. The parent computes the same truth from the seed.
"""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from functools import cache

from aicmo.sandbox.people import Person, sample_people


@dataclass(frozen=True, slots=True)
class Rates:
    """Shares of the sample people, 0 to 1; together 1."""

    both: float = 0.40
    """Both have the right address."""
    conflict: float = 0.10
    """Both have one, and Apollo's is out of date."""
    only_apollo: float = 0.15
    only_dropcontact: float = 0.15
    neither: float = 0.20


RATES = Rates()


@dataclass(frozen=True, slots=True)
class Known:
    """One of the sample people, as the providers know them."""

    number: int
    """Their place among the sample people, from 0."""
    person: Person
    case: str
    """The field of ``Rates`` they count for."""
    apollo_email: str | None
    dropcontact_email: str | None
    in_apollo: bool
    """Whether Apollo has heard of them; it knows some without an address."""
    catch_all: bool
    """Whether their domain takes mail for anybody, so that Dropcontact cannot be sure."""

    @property
    def domain(self) -> str:
        return self.person.email.partition("@")[2]

    @property
    def linkedin(self) -> str:
        """The last part of their profile's address."""
        return self.person.email.partition("@")[0].replace(".", "-")

    @property
    def phone(self) -> str:
        """A number that Ofcom keeps free for fiction."""
        return f"+44 20 7946 0{self.number % 1000:03d}"


@cache
def what_is_known(seed: int = 1, count: int = 300) -> tuple[Known, ...]:
    """The truth about ``sample_people(count, seed)``, in their order; the same at every call."""
    dice = random.Random(f"known {seed}")
    cases = [each.name for each in fields(Rates) for _ in range(round(getattr(RATES, each.name) * count))]
    cases = (cases + ["neither"] * count)[:count]  # What rounding left over.
    dice.shuffle(cases)
    found = []
    for number, (person, case) in enumerate(zip(sample_people(count, seed), cases, strict=True)):
        former = f"{person.email.partition('@')[0]}@former-employer.example"
        found.append(
            Known(
                number=number,
                person=person,
                case=case,
                apollo_email={"both": person.email, "only_apollo": person.email, "conflict": former}.get(case),
                dropcontact_email=person.email if case in ("both", "only_dropcontact", "conflict") else None,
                in_apollo=case not in ("only_dropcontact", "neither") or number % 2 == 0,
                catch_all=number % 7 == 0,
            )
        )
    return tuple(found)


class Directory:
    """Finds one of the people a provider has heard of by what a request says about them."""

    def __init__(self, people: Iterable[Known], address: Callable[[Known], str | None]) -> None:
        self._by: dict[tuple[str, ...], Known] = {}
        for known in people:
            person = known.person
            keys: list[tuple[str, ...]] = [("linkedin", known.linkedin), ("email", person.email)]
            keys += [("at", _letters(f"{person.first_name} {person.last_name}"), known.domain)]
            keys += [("of", _letters(f"{person.first_name} {person.last_name}"), _letters(person.company))]
            if own := address(known):
                keys.append(("email", own))
            for key in keys:
                self._by.setdefault(key, known)

    def find(
        self, *, email: str = "", linkedin: str = "", name: str = "", domain: str = "", company: str = ""
    ) -> Known | None:
        """Whoever fits the strongest of the keys that are given; None for a miss."""
        keys = [
            ("email", email.strip().lower()),
            ("linkedin", linkedin.rstrip("/").rpartition("/")[2].lower()),
            ("at", _letters(name), domain.strip().lower().removeprefix("www.")),
            ("of", _letters(name), _letters(company)),
        ]
        return next((self._by[key] for key in keys if key in self._by), None)


def _letters(name: str) -> str:
    """A name reduced to what spelling and decoration leave alone."""
    return "".join(c for c in unicodedata.normalize("NFKC", name).casefold() if c.isalnum())
