"""What travels inside the graphs as JSON."""

import json
from dataclasses import replace

import pytest

from smile.card import AgeInterval, Card

CARD = Card("a network", None, "none", 25.0, AgeInterval(0.9, (0.0, 80.0), (1.0, 9.0), (1.0, 7.0)), {"age_mae": 5.0})


def test_what_is_written_is_read() -> None:
    assert Card.from_json(CARD.to_json()) == CARD


@pytest.mark.parametrize("text", ["", "3", '"x"', "[]", "null", "{}", '{"age_interval": null}', '{"age_interval": 3}'])
def test_anything_else_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        Card.from_json(text)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", 3),
        ("trained_on", []),
        ("licence", None),
        ("report", [5.0]),
        ("frame_rate_hz", "fast"),
        ("frame_rate_hz", float("nan")),
        ("frame_rate_hz", 0.0),
        ("frame_rate_hz", 1e9),
    ],
)
def test_a_field_of_nonsense_is_a_value_error(field: str, value: object) -> None:
    """A card that is read is one that can be served."""
    fields = json.loads(CARD.to_json()) | {field: value}
    with pytest.raises(ValueError):
        Card.from_json(json.dumps(fields))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("coverage", 0.0),
        ("coverage", 90),
        ("coverage", "most"),
        ("ages", [80.0, 0.0]),
        ("ages", [30.0, 30.0]),
        ("ages", [0.0, float("inf")]),
        ("ages", 30.0),
        ("below", [1.0]),
        ("below", "ab"),
        ("below", [1.0, -1.0]),
        ("above", [float("nan"), 7.0]),
        ("above", []),
    ],
)
def test_an_interval_of_nonsense_is_a_value_error(field: str, value: object) -> None:
    """It would be an error of every request, or a wrong answer to each."""
    fields = json.loads(CARD.to_json())
    fields["age_interval"][field] = value
    with pytest.raises(ValueError):
        Card.from_json(json.dumps(fields))


def test_a_whole_frame_rate_is_the_same_as_a_broken_one() -> None:
    """The fingerprint of the graphs is made of its digits."""
    assert replace(CARD, frame_rate_hz=25).to_json() == CARD.to_json()
