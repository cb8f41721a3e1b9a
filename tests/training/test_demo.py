"""The demo clip that ships with the project."""

import numpy as np

from smile.faces import FaceReport, align
from smile.video import Video
from training import ROOT
from training.demo import CLIP, SHEET


def test_shipped_clip_is_a_whole_smile() -> None:
    """At most 300 KB of 25 fps H.264 in which a large face goes from neutral to a broad smile and back."""
    clip, sheet = ROOT / CLIP, ROOT / SHEET
    assert clip.stat().st_size <= 300_000 and sheet.stat().st_size <= 300_000
    report = FaceReport()
    with clip.open("rb") as file, Video(file) as video:
        faces = list(align(video.samples(), report))
    ratios = np.array([face.mouth_ratio for face in faces])
    assert report.frames_with_face == report.frames_seen == len(faces) >= 60
    assert min(face.eye_distance_px for face in faces) >= 60
    assert ratios[0] < 0.56 and ratios[-1] < 0.56 and ratios.max() > 0.75
