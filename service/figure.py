"""`POST /figure`: what a reading looks like, as PNG or SVG."""

import asyncio
from typing import Annotated, Any, Protocol, get_args

import numpy as np
from fastapi import APIRouter, Depends, Form, Query, Request, Response
from numpy.typing import NDArray
from pydantic import BaseModel

from service import schemas
from service.reading import Picture
from service.schemas import EXPLAINED, FigureFormat, FigureKind
from service.work import PROBLEMS, Asked, Clip, Served, check_offered, read
from smile import course_figure, figures, svg
from smile.course import SmileCourse
from smile.regions import REGIONS
from smile.svg import Panel, ThemeName
from smile.tensors import GENDERS

MEDIA_TYPES: dict[FigureFormat, str] = {"png": "image/png", "svg": "image/svg+xml"}
FORMAT = "PNG, or SVG with its text as text. Default `png`."
KIND = (
    "`relations`: the most important pair and triplet on the face; `matrix`: the importance of every pair; `course`: "
    "of the smile; `effects`: what each region adds, by zero perturbation; `all` of them, one under the other. "
    "Default `relations`."
)
TRAIT = "The trait whose relations are drawn. Default: the first of `traits`."
THEME = "Default `light`."
RESPONSE: dict[str, Any] = {
    "description": "The figure.",
    "content": {
        MEDIA_TYPES["png"]: {"schema": {"type": "string", "format": "binary"}},
        MEDIA_TYPES["svg"]: {"schema": {"type": "string"}},
    },
}
NOT_STORED = {"Cache-Control": "no-store"}

router = APIRouter()


class Drawable(Protocol):
    """What figures are drawn from: the attributes of a Reading with its picture, explained where effects are drawn."""

    @property
    def age(self) -> NDArray[np.float32]: ...
    @property
    def gender(self) -> NDArray[np.float32]: ...
    @property
    def age_importance(self) -> NDArray[np.float32]: ...
    @property
    def gender_importance(self) -> NDArray[np.float32]: ...
    @property
    def course(self) -> SmileCourse: ...
    @property
    def picture(self) -> Picture | None: ...


class Look(BaseModel):
    """What to draw, and how. Each may stand in the query or in the form; the form wins."""

    format: FigureFormat
    kind: FigureKind
    theme: ThemeName
    trait: schemas.Trait | None


def _look(
    format: Annotated[FigureFormat | None, Query(description=FORMAT)] = None,
    kind: Annotated[FigureKind | None, Query(description=KIND)] = None,
    trait: Annotated[schemas.Trait | None, Query(description=TRAIT)] = None,
    theme: Annotated[ThemeName | None, Query(description=THEME)] = None,
    format_field: Annotated[FigureFormat | None, Form(alias="format", description=FORMAT)] = None,
    kind_field: Annotated[FigureKind | None, Form(alias="kind", description=KIND)] = None,
    trait_field: Annotated[schemas.Trait | None, Form(alias="trait", description=TRAIT)] = None,
    theme_field: Annotated[ThemeName | None, Form(alias="theme", description=THEME)] = None,
) -> Look:
    return Look(
        format=format_field or format or "png",
        kind=kind_field or kind or "relations",
        theme=theme_field or theme or "light",
        trait=trait_field or trait,
    )


@router.post(
    "/figure",
    operation_id="figure",
    summary="A picture of the relations on the face, their matrix, the course of the smile, or the region effects",
    description="Takes the parameters of `/predict` but `network`, and refuses what it refuses. "
    "`top`, `explain` and `picture` do not change the figure.",
    response_class=Response,
    responses={200: RESPONSE, **PROBLEMS},
)
async def figure(
    request: Request, service: Served, video: Clip, asked: Asked, look: Annotated[Look, Depends(_look)]
) -> Response:
    trait = look.trait or asked.traits[0]
    check_offered(service.settings, trait, "trait")
    reading = await read(request, service, video, mirrored=asked.mirrored, explain=look.kind in EXPLAINED, picture=True)
    return await answered(reading, trait, look)


async def answered(reading: Drawable, trait: schemas.Trait, look: Look) -> Response:
    image = await asyncio.to_thread(drawn, reading, trait, look)
    name = f"smile-{look.kind}-{trait}.{look.format}"
    return Response(
        image,
        media_type=MEDIA_TYPES[look.format],
        headers={"Content-Disposition": f'inline; filename="{name}"', **NOT_STORED},
    )


def drawn(reading: Drawable, trait: schemas.Trait, look: Look) -> bytes:
    kinds = [kind for kind in get_args(FigureKind) if kind != "all"] if look.kind == "all" else [look.kind]
    panels = [_panel(reading, kind, trait, look) for kind in kinds]
    theme = svg.THEMES[look.theme]
    if look.format == "svg":
        return svg.document(panels, theme).encode()
    return svg.png(panels, theme)


def _panel(reading: Drawable, kind: str, trait: schemas.Trait, look: Look) -> Panel:
    theme, picture = svg.THEMES[look.theme], reading.picture
    assert picture is not None
    importance = reading.age_importance if trait == "age" else reading.gender_importance
    if kind == "matrix":
        return figures.matrix(importance, theme, trait=trait)
    if kind == "course":
        return course_figure.course(picture.times_s, picture.mouth_ratios, reading.course, theme, face_s=picture.face_s)
    if kind == "effects":
        if trait == "age":
            of, estimates, unit = "age", reading.age, "years"
        else:
            label = int(reading.gender[0].argmax())
            of, estimates, unit = f"gender ({GENDERS[label]})", reading.gender[:, label], "probability"
        added = estimates[0].astype(np.float64) - estimates[1 : 1 + len(REGIONS)]
        return figures.effects(added, theme, trait=of, unit=unit)
    return figures.relations(importance, theme, trait=trait, face=picture.face)
