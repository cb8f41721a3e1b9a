"""What travels inside the graphs as JSON."""

import pytest

from smile.card import AgeInterval, Card

CARD = Card("a network", None, "none", 25.0, AgeInterval(0.9, (0.0, 80.0), (1.0, 9.0), (1.0, 7.0)), {"age_mae": 5.0})


def test_what_is_written_is_read() -> None:
    assert Card.from_json(CARD.to_json()) == CARD


@pytest.mark.parametrize("text", ["", "3", '"x"', "[]", "null", "{}", '{"age_interval": null}', '{"age_interval": 3}'])
def test_anything_else_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        Card.from_json(text)
