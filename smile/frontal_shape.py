"""The 68 landmarks of SIAM's alignment: where they are in FaceMesh, and the mean frontal shape (SPEC B3).

Order and grouping are those of the 68-point annotation that OpenFace uses: 17 on the boundary of the face, then brows,
nose, eyes, lips. The points of eyes, brows and lips are the usual correspondence. FaceMesh has no such boundary points;
ours are those of its face oval, from the temples at the height of the eyes (127, 356) to the chin (152), that come
nearest to equal steps along it. Nose: bridge to tip, then the base from wing to wing.

The mean shape is the canonical face of mediapipe (canonical_face_model.obj, Copyright 2020 The MediaPipe Authors,
Apache-2.0), seen from straight ahead: symmetric, at rest, lips just apart. The paper averages OpenFace's tracks over
its training videos instead.
"""

import numpy as np
from numpy.typing import NDArray

SIDE_PX = 114
"""Width and height of the warped face."""

_TABLE = (  # FaceMesh point, x to image right and y up in centimetres of the canonical face
    # boundary, from the temple at image left over the chin
    (127, -7.743, 2.365),
    (234, -7.664, 0.673),
    (93, -7.542, -1.049),
    (132, -7.271, -2.891),
    (58, -6.720, -4.789),
    (136, -5.085, -7.179),
    (150, -4.069, -7.993),
    (176, -2.309, -8.974),
    (152, 0.000, -9.403),
    (400, 2.309, -8.974),
    (379, 4.069, -7.993),
    (365, 5.085, -7.179),
    (288, 6.720, -4.789),
    (361, 7.271, -2.891),
    (323, 7.542, -1.049),
    (454, 7.664, 0.673),
    (356, 7.743, 2.365),
    # brows
    (70, -5.721, 4.255),
    (63, -4.986, 4.802),
    (105, -3.987, 5.109),
    (66, -2.760, 5.101),
    (107, -1.396, 5.012),
    (336, 1.396, 5.012),
    (296, 2.760, 5.101),
    (334, 3.987, 5.109),
    (293, 4.986, 4.802),
    (300, 5.721, 4.255),
    # nose
    (168, 0.000, 3.271),
    (197, 0.000, 1.728),
    (5, 0.000, 0.366),
    (1, 0.000, -1.127),
    (98, -1.406, -1.714),
    (97, -0.597, -2.014),
    (2, 0.000, -2.089),
    (326, 0.597, -2.014),
    (327, 1.406, -1.714),
    # eyes
    (33, -4.446, 2.664),
    (160, -3.670, 2.928),
    (158, -2.724, 2.962),
    (133, -1.856, 2.585),
    (153, -2.724, 2.316),
    (144, -3.670, 2.360),
    (362, 1.856, 2.585),
    (385, 2.724, 2.962),
    (387, 3.670, 2.928),
    (263, 4.446, 2.664),
    (373, 3.670, 2.360),
    (380, 2.724, 2.316),
    # outer lips
    (61, -2.456, -4.343),
    (40, -1.915, -3.803),
    (37, -0.711, -3.329),
    (0, 0.000, -3.406),
    (267, 0.711, -3.329),
    (270, 1.915, -3.803),
    (291, 2.456, -4.343),
    (321, 1.839, -4.829),
    (314, 0.700, -5.292),
    (17, 0.000, -5.365),
    (84, -0.700, -5.292),
    (91, -1.839, -4.829),
    # inner lips
    (78, -2.153, -4.276),
    (81, -1.024, -3.990),
    (13, 0.000, -3.994),
    (311, 1.024, -3.990),
    (308, 2.153, -4.276),
    (402, 1.099, -4.459),
    (14, 0.000, -4.542),
    (178, -1.099, -4.459),
)
FACEMESH_POINTS: tuple[int, ...] = tuple(point for point, _, _ in _TABLE)
"""The FaceMesh point of each of the 68 landmarks."""
BOUNDARY, BROWS = slice(0, 17), slice(17, 27)


def _scaled() -> NDArray[np.float32]:
    shape = np.array([(x, -y) for _, x, y in _TABLE])
    low = np.array((shape[BOUNDARY, 0].min(), shape[BROWS, 1].min()))
    high = shape[BOUNDARY].max(axis=0)
    return np.asarray((shape - low) * (SIDE_PX / (high - low)), np.float32)


MEAN_SHAPE: NDArray[np.float32] = _scaled()
"""(68, 2) float32, (x, y) in pixels of the warped face, y down: cropped from the brows to the boundary, then scaled to
114x114, in width by 6 % less than in height."""


def _opposite() -> NDArray[np.intp]:
    turned = (SIDE_PX, 0) + MEAN_SHAPE * (-1, 1)
    return np.asarray(np.square(turned[:, None] - MEAN_SHAPE).sum(axis=-1).argmin(axis=1))


OPPOSITE: NDArray[np.intp] = _opposite()
"""(68,) the landmark of the other side: itself on the midline."""
