"""The demo clip and the contact sheet, from the astronaut portrait that scikit-image carries (NASA, public domain).

She smiles on the portrait: the clip takes her back to neutral, to a broad smile, and back again.

    python -m training.demo [--out DIR]     # writes demo/astronaut_smile.mp4 and docs/contact_sheet.jpg

Those in the repository were made when lips were first thinned as they are drawn out. Code has changed since, so another
run gives other bytes.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray

from smile.faces import mouth_ratio
from smile.landmarker import FaceLandmarker
from training import ROOT
from training.motion import Still
from training.render import actor, simulate_clip, write_clip
from training.smile_plan import SmilePlan, draw_plan

CLIP, SHEET = Path("demo/astronaut_smile.mp4"), Path("docs/contact_sheet.jpg")
WINDOW = (2, 112, 232)
"""Head and shoulders in the 512x512 portrait: top, left, side."""
SIDE_PX = 360
RATE_HZ = 25.0
SEED = 3


def astronaut() -> Still:
    """Head and shoulders, eyes about 68 px apart."""
    top, left, side = WINDOW
    window = skimage.data.astronaut()[top : top + side, left : left + side]
    image = cv2.resize(window, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_LANCZOS4)
    with FaceLandmarker() as landmarker:
        landmarker.locate(image)
        landmarks = landmarker.locate(image)
    assert landmarks is not None
    return Still(image, landmarks, "skimage.data.astronaut")


def plan(*, spontaneous: bool, seed: int, **changes: Any) -> SmilePlan:
    """A smile of a woman of 35, from a neutral face to a broad smile."""
    drawn = draw_plan(35, "female", spontaneous, np.random.default_rng(seed))
    return replace(drawn, frame_rate_hz=RATE_HZ, noise=0.5, light=(0.004, 0.7, 0.0), **changes)


def contact_sheet(rows: list[tuple[str, SmilePlan]], still: Still) -> NDArray[np.uint8]:
    """One row for each plan: frames from rest through onset, apex and offset, with time and measured mouth ratio."""
    who = actor(still)
    sheet = []
    for name, smile in rows:
        frames = list(simulate_clip(who, smile, np.random.default_rng(0)))
        course = smile.courses[6]
        apex = course.onset_s + course.rise_s
        fall = apex + course.apex_s
        moments = [
            ("rest", course.onset_s),
            ("onset", course.onset_s + 0.4 * course.rise_s),
            ("onset", course.onset_s + 0.6 * course.rise_s),
            ("apex", (apex + fall) / 2),
            ("offset", fall + 0.4 * course.fall_s),
            ("offset", fall + 0.6 * course.fall_s),
            ("rest", course.end_s),
        ]
        cells = []
        for phase, moment in moments:
            time_s, frame = frames[min(round(moment * RATE_HZ), len(frames) - 1)]
            with FaceLandmarker() as landmarker:
                landmarker.locate(frame)
                landmarks = landmarker.locate(frame)
            assert landmarks is not None
            cell = cv2.resize(frame[30:320, 30:320], (200, 200), interpolation=cv2.INTER_AREA)
            cell = cv2.copyMakeBorder(cell, 0, 20, 1, 1, cv2.BORDER_CONSTANT, value=(255, 255, 255))
            caption = f"{name} {phase} {time_s:.2f} s  {mouth_ratio(landmarks):.2f}"
            cv2.putText(cell, caption, (3, 214), cv2.FONT_HERSHEY_SIMPLEX, 0.36, (0, 0, 0), 1, cv2.LINE_AA)
            cells.append(cell)
        sheet.append(np.hstack(cells))
    return np.vstack(sheet)


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the demo clip and the contact sheet.")
    parser.add_argument("--out", type=Path, default=ROOT)
    out = parser.parse_args().out
    clip, picture = out / CLIP, out / SHEET
    for path in (clip, picture):
        path.parent.mkdir(parents=True, exist_ok=True)
    still = astronaut()
    smile = plan(spontaneous=True, seed=SEED, rest_ratio=0.53, apex_ratio=0.77, blinks_s=(0.02,))
    frames = write_clip(clip, (frame for _, frame in simulate_clip(still, smile, np.random.default_rng(SEED))), RATE_HZ)
    print(f"{clip}: {frames} frames, {clip.stat().st_size} bytes")
    rows = [
        ("spontaneous", smile),
        ("posed", plan(spontaneous=False, seed=1, rest_ratio=0.53, apex_ratio=0.78, blinks_s=())),
        ("lopsided", plan(spontaneous=False, seed=12, rest_ratio=0.53, apex_ratio=0.74, blinks_s=())),
    ]
    sheet = contact_sheet(rows, still)
    cv2.imwrite(str(picture), sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
    print(f"{picture}: {sheet.shape[1]}x{sheet.shape[0]}, {picture.stat().st_size} bytes")


if __name__ == "__main__":
    main()
