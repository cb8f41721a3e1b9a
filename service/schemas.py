"""The JSON of the API: what `POST /predict`, `GET /model` and the health checks answer, and what errors look like."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.settings import BackendName
from smile.regions import NAMES, Side
from smile.tensors import GENDERS

RegionName = Literal[NAMES]  # type: ignore[valid-type]
Trait = Literal["age", "gender"]
DEFAULT_TOP = 5
"""Relations that are listed where nothing is asked for."""
Networks = Literal["fdin", "siam", "both"]
FigureFormat = Literal["png", "svg"]
FigureKind = Literal["relations", "matrix", "course", "effects", "attention", "all"]
FilmFormat = Literal["mp4", "webm"]
GenderLabel = Literal[GENDERS]  # type: ignore[valid-type]
Regions = Annotated[
    list[RegionName],
    Field(
        description="Region names as in the paper; `left` is image left in an unmirrored frame, the subject's right."
    ),
]


class _Schema(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AgeInterval(_Schema):
    """Interval that holds the person's age with the stated coverage on people like those of the calibration set."""

    low: float = Field(description="years")
    high: float = Field(description="years")
    coverage: float = Field(description="share of people, 0-1", examples=[0.9])


class Relation(_Schema):
    """A group of regions and how much weight the network gave it: not proof of what decided."""

    rank: int = Field(description="1 = highest importance")
    regions: Regions
    importance: float = Field(
        description="Pairs: the paper's lambda; all 36 add up to 1. Triplets: sum of the three pairs (Algorithm 1)."
    )


class Pair(Relation):
    interaction: float | None = Field(
        None,
        description="With `explain`, measured on this clip, in the unit of the effect: what zeroing both regions' "
        "dynamics does beyond the sum of zeroing each. Near 0: the two act apart.",
    )


class AgePair(Pair):
    years: float | None = Field(
        None, description="With `explain`: the estimate, less the estimate with both regions' dynamics zeroed."
    )


class GenderPair(Pair):
    probability: float | None = Field(
        None, description="With `explain`: `probability`, less what it is with both regions' dynamics zeroed."
    )


class _RegionEffect(_Schema):
    region: RegionName
    anatomical_side: Side | None = Field(description="the subject's own side; null on the midline")


class AgeEffect(_RegionEffect):
    """The paper's zero perturbation of one region."""

    years: float = Field(description="the estimate, less the estimate with this region's dynamics zeroed")


class GenderEffect(_RegionEffect):
    """The paper's zero perturbation of one region."""

    probability: float = Field(description="`probability`, less what it is with this region's dynamics zeroed")


class Age(_Schema):
    years: float
    interval: AgeInterval | None = Field(description="null where the weights were never calibrated")
    pairs: list[AgePair]
    triplets: list[Relation]
    region_effects: list[AgeEffect] | None = Field(None, description="with `explain`, largest first")


class Gender(_Schema):
    """Gender as labelled in the training data; not an identity."""

    label: GenderLabel
    probability: float = Field(description="calibrated probability of `label`, 0.5-1")
    pairs: list[GenderPair]
    triplets: list[Relation]
    region_effects: list[GenderEffect] | None = Field(None, description="with `explain`, largest first")


class Face(_Schema):
    frames_with_face: int
    frames_bridged: int = Field(description="frames without landmarks that were bridged")
    faces_max: int = Field(description="largest number of faces seen at once; the one largest at first is followed")
    eye_distance_px: float = Field(description="median distance of the eye centres, pixels of the upright frame")


class Smile(_Schema):
    """Course of the smile, from the distance of the mouth corners over that of the outer eye corners."""

    onset_s: float | None
    apex_s: float | None
    offset_s: float | None
    amplitude: float = Field(description="rise of that ratio above rest; a broad smile rises by about 0.2")


class Warning(_Schema):
    code: str = Field(description="stable", examples=["no_smile"])
    message: str


class Clip(_Schema):
    duration_s: float
    frames_decoded: int
    frames_used: int = Field(description="instants that the network saw")
    frame_rate_hz: float = Field(description="rate of those instants")
    width: int = Field(description="pixels, upright and square")
    height: int
    face: Face
    smile: Smile
    warnings: list[Warning]


class Picture(_Schema):
    """What figures are drawn from, beside the numbers."""

    face: str = Field(description="the aligned face, 96x96, unmirrored, as a PNG data URI")
    face_s: float = Field(description="its time: the apex, or where none was seen the moment of the widest mouth")
    times_s: list[float] = Field(description="of the instants that the network saw")
    mouth_ratios: list[float | None] = Field(
        description="distance of the mouth corners / distance of the outer eye corners; null where the face was bridged"
    )
    mouth_curve: list[float | None] = Field(
        description="`mouth_ratios` smoothed, null where they are: the curve that the course of the smile is taken from"
    )


class ModelIdentity(_Schema):
    name: str
    version: str
    trained_on: str | None = Field(description="null: these weights were never trained; the numbers mean nothing")
    fingerprint: str = Field(description="of the contract between gateway and graphs")


Grid = Annotated[
    list[list[Annotated[float, Field(ge=0, le=1)]]],
    Field(
        description="10 rows of 10 cells of the face, warped onto a mean frontal shape of 114x114 pixels. The cell in "
        "row r and column c, both from 0, looks at 35x35 pixels around (17.5 + 8 c, 17.5 + 8 r)."
    ),
]


class SiamAge(_Schema):
    years: float
    interval: AgeInterval | None = Field(description="null where the weights were never calibrated")


class AttendedFrame(_Schema):
    time_s: float
    weight: float = Field(description="how much the frame counts; over all frames they add up to 1")


class AttendedFace(AttendedFrame):
    attention: Grid


class SpatialAttention(_Schema):
    """How much each cell of the face counts, between 0 and 1 by itself: what the network lets through, not proof."""

    mean: Grid = Field(description="over all frames alike")
    most_attended: list[AttendedFace] = Field(description="the frames with the largest weights, at most `top`")


class HeatedFace(AttendedFrame):
    """A frame as SIAM saw it: the face warped onto a mean frontal shape, 114x114, grey. Never mirrored."""

    face: str = Field(description="as a PNG data URI")
    heat: str = Field(
        description="the same under its spatial attention, dark to bright on the frame's own scale, as a PNG data URI"
    )
    frame: str = Field(
        description="the same heat unwarped, over the original frame: 160x160 pixels around the face, upright, in "
        "colour, as a PNG data URI"
    )


class Siam(_Schema):
    """What the Spatially-Indexed Attention Model (Pei et al.) says. Its faces are never mirrored."""

    age: SiamAge
    frames: list[AttendedFrame] = Field(description="every frame that the network saw, in order")
    spatial: SpatialAttention
    picture: list[HeatedFace] | None = Field(
        None, description="with `picture`: a few of the most attended frames, at least 0.2 s apart, in order"
    )
    model: ModelIdentity


class Disagreement(_Schema):
    """How far apart the two networks are on this clip."""

    years: float = Field(description="`age.years` less `siam.age.years`")
    intervals_overlap: bool | None = Field(description="null unless both are calibrated")


class Timings(_Schema):
    """Milliseconds in which each stage had something of this clip to do. Stages overlap: they add up to more than the
    total."""

    decode: float
    align: float
    backbone: float
    relations: float
    siam_align: float | None = Field(None, description="smoothing and warping; with SIAM")
    siam_frames: float | None = None
    siam_sequence: float | None = None
    total: float


class Prediction(_Schema):
    request_id: str
    age: Age | None = Field(None, description="null unless asked for in `traits`, and with `network=siam`")
    gender: Gender | None = Field(
        None, description="null unless asked for in `traits`, where switched off, and with `network=siam`"
    )
    siam: Siam | None = Field(None, description="with `network=siam` and `network=both`")
    disagreement: Disagreement | None = Field(None, description="with `network=both`, where `age` is answered")
    clip: Clip
    picture: Picture | None = Field(None, description="with `picture`; SIAM's own is in `siam`")
    model: ModelIdentity = Field(description="the first network, or SIAM where it answers alone")
    timings_ms: Timings


class Limits(_Schema):
    """What is accepted; a clip beyond it is refused. Named as the settings are."""

    max_upload_mb: float = Field(description="megabytes (1,000,000 bytes) of the request with the clip")
    max_pixels: int = Field(description="of one frame, shown with square pixels")
    max_duration_s: float
    max_frames: int = Field(description="in the whole clip")


class SiamCard(_Schema):
    """What SIAM's weights say about themselves."""

    name: str
    version: str
    trained_on: str | None
    licence: str
    frame_rate_hz: float
    fingerprint: str
    interval_coverage: float | None
    report: dict[str, object] | None = Field(description="numbers of the evaluation, where one was made")


class ModelCard(_Schema):
    """What serves, and what its weights say about themselves."""

    name: str
    version: str
    trained_on: str | None
    licence: str
    frame_rate_hz: float
    fingerprint: str
    backend: BackendName
    provider: str = Field(description="what really executes the graphs")
    traits: list[Trait]
    limits: Limits | None = Field(default=None, description="absent from servers of before")
    interval_coverage: float | None
    report: dict[str, object] | None = Field(description="numbers of the evaluation, where one was made")
    notice: str
    siam: SiamCard | None = Field(default=None, description="the second network; null where there is none")


class Health(_Schema):
    status: Literal["ok"]


class Problem(BaseModel):
    """RFC 9457 problem details."""

    type: str = Field(examples=["about:blank"])
    title: str = Field(examples=["Unprocessable Entity"])
    status: int
    code: str = Field(description="stable; program against this", examples=["no_face"])
    detail: str = Field(description="what is wrong and what to do, for people")
    request_id: str
