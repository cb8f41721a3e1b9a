"""Answers in this process, by the objects that the gateway answers with."""

import asyncio
import logging
import time
from typing import BinaryIO

from service import answer, figure, kinds, schemas
from service import film as films
from service.backends import create_backend
from service.backends.base import Backend, BackendError, NotServed
from service.cli.exits import Refused, Unavailable, Unwritable, Usage
from service.cli.predictor import Answer, Wanted
from service.drawing import Drawing
from service.pipeline import Pipeline
from service.problems import Refusal
from service.reading import Seen, without_picture
from service.settings import Settings
from service.work import model_card, offered_traits
from smile.errors import SmileError
from smile.regions import PAIRS

log = logging.getLogger(__name__)


class LocalPredictor:
    """The pipeline on the backend of the settings, which is loaded at once. Raises Unavailable where it cannot be."""

    def __init__(self, settings: Settings, parallel: int | None = None) -> None:
        self.parallel = parallel or settings.concurrency
        self._settings = settings
        try:
            self._backend: Backend = create_backend(settings)
        except BackendError as error:
            raise Unavailable(str(error)) from error
        self._pipeline = Pipeline(self._backend, settings.limits, self.parallel)

    async def card(self) -> schemas.ModelCard:
        try:
            return await model_card(self._backend, self._settings)
        except BackendError as error:
            raise Unavailable(str(error)) from error

    async def predict(self, clip: BinaryIO, wanted: Wanted, film: BinaryIO | None = None) -> Answer:
        traits = self._traits(wanted)
        started = time.perf_counter()
        try:
            seen = await self._reading(clip, wanted, traits[0], film)
            total_s = time.perf_counter() - started
            return Answer(
                answer.prediction(
                    without_picture(seen), request_id="local", traits=traits, top=wanted.top, total_s=total_s
                ),
                await self._figure(seen, traits[0], wanted),
            )
        except SmileError as error:
            raise Refused(error.code, str(error)) from error
        except NotServed as error:
            raise Usage(f"{wanted.network}: not offered here: {error}") from error
        except BackendError as error:
            raise Unavailable(str(error)) from error
        except Refusal as error:
            raise Unwritable(str(error.detail)) from error
        except Exception as error:
            log.exception("unexpected error")
            raise Refused("internal_error", "Something went wrong here. It has been logged.") from error

    async def close(self) -> None:
        await self._pipeline.close()
        await self._backend.close()

    def _traits(self, wanted: Wanted) -> tuple[schemas.Trait, ...]:
        offered = offered_traits(self._settings)
        asked = wanted.traits or offered
        if missing := set(asked) - set(offered):
            raise Usage(f"traits: {', '.join(missing)} not offered here; choose from {', '.join(offered)}")
        if why := kinds.unanswered(wanted.network, asked, wanted.explain):
            raise Usage(why)
        return tuple(trait for trait in offered if trait in asked)

    async def _reading(self, clip: BinaryIO, wanted: Wanted, trait: schemas.Trait, out: BinaryIO | None) -> Seen:
        mirrored, explain = wanted.mirrored, wanted.explain
        if out is None:
            picture = wanted.figure is not None
            return await self._pipeline.read_by(
                wanted.network, clip, mirrored=mirrored, explain=explain, picture=picture
            )
        return await films.read_and_film(
            self._pipeline,
            clip,
            out,
            trait=trait,
            links=wanted.top or len(PAIRS),
            format=wanted.film,
            mirrored=mirrored,
            explain=explain,
            siam=wanted.network == "both",
        )

    async def _figure(self, seen: Seen, trait: schemas.Trait, wanted: Wanted) -> bytes | None:
        if wanted.figure is None:
            return None
        format, kind = wanted.figure
        return await asyncio.to_thread(figure.drawn, Drawing.of(seen), kind, trait, format)
