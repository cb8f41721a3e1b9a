"""What is committed about the weights is what was measured of them."""

import json
from pathlib import Path
from typing import Any

from service.backends.inprocess import InProcessBackend
from smile.card import Card
from training import model_card

ROOT = Path(__file__).resolve().parents[2]
REPORT: dict[str, Any] = json.loads((ROOT / "docs/results/weights/evaluation.json").read_text())


async def shipped() -> tuple[Card, Card]:
    """Cards of the first network and of SIAM, as their graphs carry them."""
    backend = InProcessBackend(ROOT / "model_repository")
    try:
        return (await backend.model()).card, (await backend.model("siam")).card
    finally:
        await backend.close()


async def test_the_model_card_is_written_from_the_evaluation() -> None:
    """MODEL_CARD.md, word for word."""
    first, siam = await shipped()
    assert (ROOT / "MODEL_CARD.md").read_text() == model_card.markdown(REPORT, first, siam)


async def test_the_folder_of_the_weights_tells_their_licence() -> None:
    """It lies in a repository under another one."""
    told = (ROOT / "model_repository/LICENSE").read_text()
    assert all(card.licence in told for card in await shipped())


async def test_the_shipped_card_tells_the_numbers_of_the_evaluation() -> None:
    """What GET /model answers."""
    first, _ = await shipped()
    assert first.report == json.loads(json.dumps(model_card.key_numbers(REPORT)))
