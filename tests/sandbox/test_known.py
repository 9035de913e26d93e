from __future__ import annotations

from collections import Counter
from dataclasses import asdict

import pytest

from aicmo.sandbox.known import RATES, Directory, what_is_known
from aicmo.sandbox.people import sample_people


def test_the_rates_are_exact_and_together_everybody() -> None:
    shares = Counter(known.case for known in what_is_known())

    assert sum(asdict(RATES).values()) == pytest.approx(1)
    assert {case: count / 300 for case, count in shares.items()} == pytest.approx(asdict(RATES))


def test_the_truth_is_the_same_for_the_same_seed_and_follows_the_people() -> None:
    assert what_is_known(3) == what_is_known(3) != what_is_known(4)
    assert [known.person for known in what_is_known(3)] == list(sample_people(seed=3))


@pytest.mark.parametrize("count", [0, 1, 7, 41])
def test_any_number_of_people_has_a_case_each(count: int) -> None:
    assert len(what_is_known(count=count)) == count


def test_each_case_means_what_it_is_called() -> None:
    for known in what_is_known():
        right = known.person.email
        apollo, dropcontact = known.apollo_email == right, known.dropcontact_email == right
        assert (
            known.case
            == {
                (True, True): "both",
                (True, False): "only_apollo",
                (False, True): "conflict" if known.apollo_email else "only_dropcontact",
                (False, False): "neither",
            }[apollo, dropcontact]
        )
        assert known.in_apollo or known.apollo_email is None


def test_the_strongest_key_wins_and_spelling_does_not_matter() -> None:
    people = what_is_known()
    directory = Directory(people, lambda known: known.apollo_email)
    known, other = people[3], people[5]

    assert directory.find(email=f" {known.person.email.upper()} ", linkedin=other.linkedin) == known
    assert directory.find(linkedin=f"https://linkedin.com/in/{known.linkedin}/") == known
    names = f"{known.person.first_name.upper()}  {known.person.last_name}."
    assert directory.find(name=names, domain=f"www.{known.domain}") is not None
    assert directory.find(name="Nobody", domain=known.domain) is None
    assert directory.find() is None
