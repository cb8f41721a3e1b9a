"""What answers a clip: the pipeline in this process (`local`) or a server (`remote`), behind one seam."""

from dataclasses import dataclass
from typing import BinaryIO, Protocol

from service import schemas


@dataclass(frozen=True)
class Wanted:
    """What is asked of every clip; the names and meanings of `POST /predict`.

    Attributes:
        top: how many relations are listed, None for all.
        traits: None for all that are offered.
        figure: (format, kind) of the figure that is also wanted, one that there is of `network`.
        film: format of films, where they are wanted.
    """

    top: int | None = schemas.DEFAULT_TOP
    traits: tuple[schemas.Trait, ...] | None = None
    mirrored: bool = False
    explain: bool = False
    figure: tuple[schemas.FigureFormat, schemas.FigureKind] | None = None
    film: schemas.FilmFormat = "mp4"
    network: schemas.Networks = "fdin"


@dataclass(frozen=True)
class Answer:
    prediction: schemas.Prediction
    figure: bytes | None


class Predictor(Protocol):
    parallel: int
    """Clips that it answers at once without being slowed down."""

    async def card(self) -> schemas.ModelCard:
        """What would answer. Raises Unavailable."""

    async def predict(self, clip: BinaryIO, wanted: Wanted, film: BinaryIO | None = None) -> Answer:
        """Answer one clip, a seekable file that is not closed here; write its film into `film`, seekable and empty.

        Raises:
            Refused, Postponed, Unavailable, Usage.
            Unwritable: there is no room for the film.
        """

    async def close(self) -> None:
        """Release everything."""
