"""`POST /figure`: what a reading looks like, as PNG or SVG."""

import asyncio
from collections.abc import Iterator
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, Form, Query, Request, Response
from pydantic import BaseModel

from service import kinds, schemas
from service.drawing import Drawing
from service.schemas import FigureFormat, FigureKind
from service.settings import Settings
from service.work import PROBLEMS, Asked, Clip, Served, check_offered, invalid, read
from smile import attention_figure, course_figure, figures, svg
from smile.regions import REGIONS
from smile.svg import Panel, Theme, ThemeName
from smile.tensors import GENDERS

MEDIA_TYPES: dict[FigureFormat, str] = {"png": "image/png", "svg": "image/svg+xml"}
FORMAT = "PNG, or SVG with its text as text. Default `png`."
KIND = (
    "`relations`: the most important pair and triplet on the face; `matrix`: the importance of every pair; `course`: "
    "of the smile; `effects`: what each region adds, by zero perturbation; `attention`: which cells of the face and "
    "which frames SIAM looked at; `all` that there are of the network, one under the other. Default `relations`, and "
    "`attention` with `network=siam`."
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
INERT = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"}
"""For SVG, which a browser that opens it by itself would take for a document of this site."""

router = APIRouter()


class Look(BaseModel):
    """What to draw, and how. Each may stand in the query or in the form; the form wins."""

    format: FigureFormat
    kind: FigureKind | None
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
        kind=kind_field or kind,
        theme=theme_field or theme or "light",
        trait=trait_field or trait,
    )


@router.post(
    "/figure",
    operation_id="figure",
    summary="A picture of the relations on the face, their matrix, the course of the smile, the region effects, or of "
    "what SIAM looked at",
    description="Takes the parameters of `/predict`, and refuses what it refuses. "
    "`top`, `explain` and `picture` do not change the figure.",
    response_class=Response,
    responses={200: RESPONSE, **PROBLEMS},
)
async def figure(
    request: Request, service: Served, video: Clip, asked: Asked, look: Annotated[Look, Depends(_look)]
) -> Response:
    trait = trait_of(service.settings, look.trait or asked.traits[0], asked.network)
    kind = kind_of(look.kind, asked.network)
    reading = await read(
        request,
        service,
        video,
        kinds.reads(kind, asked.network),
        mirrored=asked.mirrored,
        explain=kinds.is_explained(kind, asked.network),
        picture=True,
    )
    return await answered(Drawing.of(reading), kind, trait, look)


def trait_of(settings: Settings, trait: schemas.Trait, network: schemas.Networks) -> schemas.Trait:
    """The trait that is drawn. Raises Refusal where it is not offered here, or not of the network."""
    check_offered(settings, trait, "trait")
    if network == "siam" and trait != "age":
        raise invalid("trait: siam answers age alone; choose network=both, or leave trait out")
    return trait


def kind_of(kind: FigureKind | None, network: schemas.Networks) -> FigureKind:
    """The kind that is drawn. Raises Refusal where there is none such of the network."""
    kind = kind or kinds.default(network)
    if why := kinds.refusal(kind, network):
        raise invalid(why)
    return kind


async def answered(drawing: Drawing, kind: FigureKind, trait: schemas.Trait, look: Look) -> Response:
    image = await asyncio.to_thread(drawn, drawing, kind, trait, look.format, look.theme)
    name = f"smile-{kind}.{look.format}" if drawing.relations is None else f"smile-{kind}-{trait}.{look.format}"
    return Response(
        image,
        media_type=MEDIA_TYPES[look.format],
        headers={
            "Content-Disposition": f'inline; filename="{name}"',
            **NOT_STORED,
            **(INERT if look.format == "svg" else {}),
        },
    )


def drawn(
    drawing: Drawing, kind: FigureKind, trait: schemas.Trait, format: FigureFormat, theme_name: ThemeName = "light"
) -> bytes:
    theme = svg.THEMES[theme_name]
    panels = list(_panels(drawing, kind, trait, theme))
    if format == "svg":
        return svg.document(panels, theme).encode()
    return svg.png(panels, theme)


def _panels(drawing: Drawing, kind: FigureKind, trait: schemas.Trait, theme: Theme) -> Iterator[Panel]:
    """One panel, or for `all` those of everything that there is."""
    for one in kinds.OF_RELATIONS if drawing.relations else ():
        if kind in (one, "all"):
            yield _panel(drawing, one, trait, theme)
    if (seen := drawing.attention) and kind in ("attention", "all"):
        yield attention_figure.attention(seen, drawing.course, theme)


def _panel(drawing: Drawing, kind: FigureKind, trait: schemas.Trait, theme: Theme) -> Panel:
    relations = drawing.relations
    assert relations is not None
    picture = relations.picture
    importance = relations.age_importance if trait == "age" else relations.gender_importance
    if kind == "matrix":
        return figures.matrix(importance, theme, trait=trait)
    if kind == "course":
        return course_figure.course(picture.times_s, picture.mouth_ratios, drawing.course, theme, face_s=picture.face_s)
    if kind == "effects":
        if trait == "age":
            of, estimates, unit = "age", relations.age, "years"
        else:
            label = int(relations.gender[0].argmax())
            of, estimates, unit = f"gender ({GENDERS[label]})", relations.gender[:, label], "probability"
        added = estimates[0].astype(np.float64) - estimates[1 : 1 + len(REGIONS)]
        return figures.effects(added, theme, trait=of, unit=unit)
    return figures.relations(importance, theme, trait=trait, face=picture.face)
