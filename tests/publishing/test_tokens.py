"""A token is believed only if this database gave it out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aicmo.publishing.email.tokens import ForgedToken, delivery_token, read_token
from aicmo.store.meta import Identity

OURS = Identity(b"s" * 32, b"i" * 16)
ROW = st.integers(1, 2**63 - 1)


@given(campaign=ROW, delivery=ROW)
def test_a_token_says_which_delivery_it_stands_for(campaign: int, delivery: int) -> None:
    token = delivery_token(OURS, campaign, delivery)
    assert read_token(OURS, token) == read_token(OURS, token.upper()) == (campaign, delivery)


@pytest.mark.parametrize("other", [Identity(b"t" * 32, b"i" * 16), Identity(b"s" * 32, b"j" * 16)])
def test_another_databases_token_is_not_believed(other: Identity) -> None:
    with pytest.raises(ForgedToken):
        read_token(OURS, delivery_token(other, 1, 7))


@pytest.mark.parametrize(
    "change",
    [
        lambda token: token.replace("1.7.", "1.8."),
        lambda token: token.replace("1.7.", "01.7."),
        lambda token: token.replace("1.7.", "17.."),
        lambda token: token.replace("1.7.", "1.7 ."),
        lambda token: token.replace("1.7.", "١.7."),
        lambda token: token[:-1] + ("0" if token[-1] != "0" else "1"),
        lambda token: token[:-1],
        lambda token: token + "\n",
        lambda token: token + "0",
        lambda token: f" {token}",
        lambda token: "1.7." + "0" * 20,
        lambda token: "0.0.preview",
        lambda token: "",
        lambda token: "9" * 5000 + ".7." + "0" * 20,
    ],
)
def test_a_changed_token_is_not_believed(change: object) -> None:
    with pytest.raises(ForgedToken):
        read_token(OURS, change(delivery_token(OURS, 1, 7)))  # type: ignore[operator]


@given(st.text())
def test_no_text_but_a_token_is_believed(text: str) -> None:
    with pytest.raises(ForgedToken):
        read_token(OURS, text)


def test_no_part_of_a_token_says_who_it_is_for() -> None:
    assert delivery_token(OURS, 1, 7)[:4] == "1.7."
    seals = {delivery_token(OURS, 1, row).rpartition(".")[2] for row in range(1000)}
    assert len(seals) == 1000
