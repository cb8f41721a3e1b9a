"""What real video does to a face, done to aligned stills: pose and scale errors, light, occlusion, blur, compression.

The degradations come in the order of a camera: scene (geometry, occlusion, light), lens (blur), sensor (resolution,
noise), codec. One image, one random generator; cv2, numpy and FFmpeg's codecs release the interpreter lock; `batch`
spreads a batch over threads. The evaluation's corruptions (training.corruptions) are other ones on purpose.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
from numpy.typing import NDArray

from smile import alignment
from training import coding
from training.motion import relief

DEGRADED = 0.6
"""Share of the views that lose more than framing and light."""
LOSSES = {"occlude": 0.15, "dim": 0.24, "fade": 0.18, "shade": 0.15, "blur": 0.2, "record": 0.35, "film": 0.6}
"""Probability of each, where a view is degraded. Weights that saw one view in seven as JPEG or a key frame, and none as
a predicted frame, called the faces of 150 validation stills 0.8 years younger in H.264 at a CRF of 30 or 36 than at 18;
after 254,080 views by these probabilities, 0.5 years."""
TURNED = 0.3
"""Share of the views on which the head is turned, by up to MAX_TURN_DEGREES. Stills are mostly frontal, and a crop by
the eyes enlarges a head that is turned: on validation stills with 1.3 times the height, which 40 degrees give, ages by
weights that never saw that were off by 5.7 years instead of 4.8, genders right in 91.3 % instead of 93.2."""
MAX_TURN_DEGREES = (40.0, 20.0)
"""Yaw, pitch."""
TURN_STEP_PX = 4
FRAMES = (2, 8)
"""In a moving picture that is coded: fewest and most."""
Image = NDArray[np.uint8]
Rng = np.random.Generator


def batch(wide: Image, seeds: Sequence[tuple[int, ...]], size: int, degraded: float, pool: ThreadPoolExecutor) -> Image:
    """(n, 128, 128, 3) stored crops -> (n, size, size, 3) training crops, each by its own seed."""
    rngs = [np.random.default_rng(seed) for seed in seeds]
    return np.stack(list(pool.map(lambda crop, rng: augment(crop, rng, size, degraded), wide, rngs)))


def augment(wide: Image, rng: Rng, size: int = alignment.CROP_PX, degraded: float = DEGRADED) -> Image:
    """One training view of a stored crop.

    Args:
        wide: (128, 128, 3) uint8 RGB, the service's crop with a margin.
        size: side of the result; the field of view is that of the service's crop whatever the size.
        degraded: share of the views that are degraded beyond framing and light.

    Returns:
        (size, size, 3) uint8 RGB.
    """
    image = reframe(turn(wide, rng) if rng.random() < TURNED else wide, rng)
    if rng.random() < 0.5:
        image = relight(image, rng)
    if rng.random() < degraded:
        image = degrade(image, rng)
    if size != image.shape[0]:
        image = np.asarray(cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA), np.uint8)
    return image


def degrade(image: Image, rng: Rng) -> Image:
    """Each of the camera's losses with a probability of its own (LOSSES)."""
    for loss in (occlude, dim, fade, shade, blur, record, film):
        if rng.random() < LOSSES[loss.__name__]:
            image = loss(image, rng)
    return image


def turn(wide: Image, rng: Rng) -> Image:
    """Turn a frontal head and align it by its eyes again: what is nearer than they moves sideways, all gets larger.

    Orthographic, with the depth of a generic head (training.motion). Coarse grid, enlarged, one remap.

    Args:
        wide: (128, 128, 3) uint8 RGB stored crop. The result has the same size and frame.
    """
    yaw, pitch = np.deg2rad(rng.uniform(-1, 1, 2) * MAX_TURN_DEGREES)
    side, unit = wide.shape[0], alignment.EYE_DISTANCE_PX
    corner = (side - alignment.CROP_PX) / 2 + np.array(alignment.LEFT_EYE_PX)
    ticks = (np.arange(side // TURN_STEP_PX) + 0.5) * TURN_STEP_PX
    seen_x, seen_y = np.meshgrid((ticks - corner[0]) / unit - 0.5, (ticks - corner[1]) / unit)
    x, y = seen_x, seen_y * np.cos(yaw) / np.cos(pitch)
    eyes = relief(np.array(0.5), np.array(0.0))
    for _ in range(4):
        nearer = relief(x, y) - eyes
        x = seen_x - nearer * np.tan(yaw)
        y = (seen_y * np.cos(yaw) - nearer * np.sin(pitch)) / np.cos(pitch)
    coarse = np.stack([(x + 0.5) * unit + corner[0], y * unit + corner[1]], axis=-1).astype(np.float32) - np.float32(
        0.5
    )
    fine = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_LINEAR)
    from_x, from_y = cv2.split(fine)
    turned = cv2.remap(wide, from_x, from_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(turned, np.uint8)


def reframe(wide: Image, rng: Rng) -> Image:
    """Flip, and err in position, scale, roll and proportions as eye corners and turned heads make the aligner err."""
    spread = 1.0 if rng.random() < 0.8 else 2.0
    angle = np.deg2rad(rng.normal(0, 3.0) * spread)
    scale = np.exp(rng.normal(0, 0.04) * spread)
    narrow = np.exp(rng.normal(0, 0.03) * spread)
    shear = rng.normal(0, 0.02) * spread
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = scale * turn @ np.array([[narrow, shear], [0.0, 1.0 / narrow]])
    if rng.random() < 0.5:
        matrix[:, 0] *= -1
    middle = alignment.CROP_PX / 2 - 0.5
    shift = middle + rng.normal(0, 1.5, 2) * spread - matrix @ np.full(2, wide.shape[0] / 2 - 0.5)
    affine = np.column_stack([matrix, shift])
    interpolation = cv2.INTER_LINEAR if rng.random() < 0.5 else cv2.INTER_CUBIC
    crop = cv2.warpAffine(wide, affine, (alignment.CROP_PX,) * 2, flags=interpolation, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(crop, np.uint8)


def occlude(image: Image, rng: Rng) -> Image:
    """Cover up to about a fifth of the face by a flat or noisy ellipse or box: hand, hair, microphone, frame edge."""
    image = image.copy()
    side = image.shape[0]
    centre = rng.integers(0, side, 2)
    half = rng.integers(side // 16, side // 4, 2)
    colour = image[tuple(rng.integers(0, side, 2))] if rng.random() < 0.5 else rng.integers(0, 256, 3)
    mask = np.zeros((side, side), np.uint8)
    if rng.random() < 0.5:
        cv2.ellipse(mask, centre.tolist(), half.tolist(), rng.uniform(0, 180), 0, 360, (255,), -1)
    else:
        cv2.rectangle(mask, (centre - half).tolist(), (centre + half).tolist(), (255,), -1)
    patch = rng.normal(0, rng.uniform(0, 25), (side, side, 1)) + colour
    return np.where(cv2.GaussianBlur(mask, (3, 3), 0)[..., None] > 127, np.clip(patch, 0, 255), image).astype(np.uint8)


def relight(image: Image, rng: Rng) -> Image:
    """Exposure, contrast, gamma and colour cast."""
    curve = np.linspace(0, 1, 256)[:, None] ** np.exp(rng.normal(0, 0.25))
    curve = (curve - 0.5) * np.exp(rng.normal(0, 0.2)) + 0.5 + rng.normal(0, 0.06)
    return _mapped(image, curve * np.exp(rng.normal(0, 0.08, 3)))


def dim(image: Image, rng: Rng) -> Image:
    """So dark that only a part of the levels is left; half of the time brightened again, bands and all."""
    left = np.exp(rng.uniform(np.log(0.1), np.log(0.6)))
    curve = np.round(np.linspace(0, 1, 256)[:, None] * left * 255) / 255
    return _mapped(image, curve.repeat(3, axis=1) * (rng.uniform(1.2, 3.0) if rng.random() < 0.5 else 1.0))


def _mapped(image: Image, curve: NDArray[np.float64]) -> Image:
    """The image through a curve a channel: (256, 3), 0-1 and beyond."""
    table = np.clip(curve * 255, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(image, np.ascontiguousarray(table[None])), np.uint8)


def fade(image: Image, rng: Rng) -> Image:
    """Less colour, more of it, or none."""
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    colour = 0.0 if rng.random() < 0.25 else rng.uniform(0.2, 1.5)
    return np.asarray(cv2.addWeighted(image, colour, grey, 1 - colour, 0), np.uint8)


def shade(image: Image, rng: Rng) -> Image:
    """Light from one side: a linear or quadratic ramp of gain across the face."""
    along = np.linspace(-1, 1, image.shape[0], dtype=np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    ramp = along[None, :] * np.cos(angle) + along[:, None] * np.sin(angle)
    gain = 1 + rng.uniform(0.1, 0.6) * (ramp if rng.random() < 0.6 else ramp * np.abs(ramp))
    return np.clip(image * gain[..., None], 0, 255).astype(np.uint8)


def blur(image: Image, rng: Rng) -> Image:
    """Out of focus (Gaussian) or moved during the exposure (a line)."""
    if rng.random() < 0.6:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.4, 1.8))), np.uint8)
    length = int(rng.integers(3, 10))
    kernel = np.zeros((length, length), np.float32)
    kernel[length // 2] = 1
    turn = cv2.getRotationMatrix2D(((length - 1) / 2, (length - 1) / 2), float(rng.uniform(0, 180)), 1)
    line = np.asarray(cv2.warpAffine(kernel, turn, (length, length)), np.float32)
    return np.asarray(cv2.filter2D(image, -1, line / line.sum(), borderType=cv2.BORDER_REPLICATE), np.uint8)


def record(image: Image, rng: Rng) -> Image:
    """Sensor and codec: fewer (or more) pixels, noise, lossy compression, and back to the crop's size."""
    side = image.shape[0]
    small = int(round(side * np.exp(rng.uniform(np.log(0.4), np.log(1.5)))))
    if rng.random() < 0.7 and small != side:
        shrink = cv2.INTER_AREA if rng.random() < 0.7 else cv2.INTER_LINEAR
        image = np.asarray(cv2.resize(image, (small, small), interpolation=shrink), np.uint8)
    if rng.random() < 0.5:
        noise = rng.normal(0, rng.uniform(1, 14), (*image.shape[:2], 1 if rng.random() < 0.5 else 3))
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.7:
        image = compress(image, rng)
    if image.shape[0] != side:
        grow = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_AREA)[rng.integers(3)]
        image = np.asarray(cv2.resize(image, (side, side), interpolation=grow), np.uint8)
    return image


def film(image: Image, rng: Rng) -> Image:
    """The last frame of a picture that moves, coded in VP8 or MPEG-4 by what the frames before it show."""
    side = image.shape[0]
    small = int(round(side * np.exp(rng.uniform(np.log(0.5), np.log(1.5)))))
    scaled = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA if small < side else cv2.INTER_LINEAR)
    placed, (top, left) = _placed(np.asarray(scaled, np.uint8), rng)
    count, step = int(rng.integers(*FRAMES, endpoint=True)), rng.normal(0, 1.5, 2)
    noise = rng.uniform(0, 4)
    frames = []
    for ahead in range(count - 1, -1, -1):
        shift = np.column_stack([np.eye(2), ahead * step])
        moved = cv2.warpAffine(placed, shift, placed.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
        frames.append(np.clip(moved + rng.normal(0, noise, placed.shape), 0, 255).astype(np.uint8))
    if rng.random() < 0.5:
        coded = coding.last_in_vp8(frames, int(rng.integers(16, 64)))
    else:
        coded = coding.last_in_mpeg4(frames, int(np.exp(rng.uniform(np.log(3), np.log(32)))))
    seen = np.ascontiguousarray(coded[top : top + small, left : left + small])
    return np.asarray(cv2.resize(seen, (side, side), interpolation=cv2.INTER_LINEAR), np.uint8)


def compress(image: Image, rng: Rng) -> Image:
    """JPEG, or as often a key frame of VP8, which predicts blocks from others and smooths their borders; the grid of
    its blocks anywhere."""
    height, width = image.shape[:2]
    placed, (top, left) = _placed(image, rng)
    if rng.random() < 0.5:
        quality = int(np.exp(rng.uniform(np.log(12), np.log(90))))
        _, data = cv2.imencode(".jpg", placed, [cv2.IMWRITE_JPEG_QUALITY, quality])
        placed = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    else:
        placed = coding.last_in_vp8([placed], int(rng.integers(10, 64)))
    return np.ascontiguousarray(placed[top : top + height, left : left + width], np.uint8)


def _placed(image: Image, rng: Rng) -> tuple[Image, tuple[int, int]]:
    """The image with margins that put the grid of a codec's blocks anywhere and make both sides even; top and left."""
    height, width = image.shape[:2]
    top, left = (int(shift) for shift in rng.integers(0, coding.MACROBLOCK_PX, 2))
    odd = (top + height) % 2, (left + width) % 2
    placed = cv2.copyMakeBorder(image, top, odd[0], left, odd[1], cv2.BORDER_REPLICATE)
    return np.asarray(placed, np.uint8), (top, left)
