"""The two mediapipe networks that faces are found with: a detector for whole frames, a mesh for one face at a time.

Both are the models inside the 0.10.21 wheel, run on the CPU by graphs of our own. `Mesh` is the landmark half of
`mp.solutions.face_mesh` without its tracker: it looks where it is told and remembers nothing, so the answer for a frame
depends on that frame and that place alone. Given the places that FaceMesh would look at, its landmarks are FaceMesh's.

A graph owns threads and memory until `close`, and may be used by one thread at a time.

mediapipe writes a few lines such as `W0000 ... inference_feedback_manager.cc` to file descriptor 2 whenever a graph
starts. Its absl logging is never initialised and offers no switch; redirecting the descriptor would hide our own logs
from other threads, so they are left alone.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from mediapipe.framework.calculator_pb2 import CalculatorGraphConfig
from mediapipe.framework.formats.rect_pb2 import NormalizedRect
from mediapipe.python.solution_base import PacketDataType, SolutionBase
from mediapipe.python.solutions import face_detection
from numpy.typing import NDArray

Landmarks = NDArray[np.float32]
"""(468, 2) float32, pixels of the frame, x right, y down; point numbers as in mediapipe's canonical face."""

ROI_SCALE = 1.5
"""Side of the square that the mesh looks at / longer side of the face's box, as in FaceMesh."""
EYE_LINE = (33, 263)
"""Outer eye corners, image left and image right of an upright face: the direction that FaceMesh turns level."""
FRAME_US = 33_333
"""Between two frames, as mediapipe is told; nothing here depends on it."""

_MESH_GRAPH = CalculatorGraphConfig(
    input_stream=["image", "roi"],
    input_side_packet=["with_attention"],
    output_stream=["landmarks"],
    num_threads=1,
    node=[
        CalculatorGraphConfig.Node(
            calculator="FaceLandmarkCpu",
            input_stream=["IMAGE:image", "ROI:roi"],
            input_side_packet=["WITH_ATTENTION:with_attention"],
            output_stream=["LANDMARKS:landmarks"],
        )
    ],
)


@dataclass(frozen=True)
class Roi:
    """A turned square around a face.

    Attributes:
        x, y: centre in pixels of the frame.
        side: in pixels.
        angle: of the line from the image-left to the image-right eye, radians, clockwise as seen (y is down).
    """

    x: float
    y: float
    side: float
    angle: float


def roi_around(landmarks: Landmarks) -> Roi:
    """Where to look for a face that was last seen at `landmarks`, as FaceMesh does."""
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    return _roi(low, high, landmarks[EYE_LINE[0]], landmarks[EYE_LINE[1]])


def _roi(low: NDArray[Any], high: NDArray[Any], left_eye: NDArray[Any], right_eye: NDArray[Any]) -> Roi:
    x, y = (low + high) / 2
    dx, dy = right_eye - left_eye
    return Roi(float(x), float(y), ROI_SCALE * float((high - low).max()), float(np.arctan2(dy, dx)))


class _Graph:
    """A graph of mediapipe's with one output.

    `SolutionBase.process` makes a class for every answer, which only the garbage collector can remove. This is what it
    does without that class.
    """

    def __init__(self, solution: Any, output: str) -> None:
        self._solution, self._output = solution, output
        self.close = solution.close

    def __call__(self, **inputs: Any) -> Any:
        """The output for these input streams; None where there is none. Raises RuntimeError as `process` does."""
        solution = self._solution
        solution._graph_outputs.clear()
        solution._simulated_timestamp += FRAME_US
        for name, data in inputs.items():
            packet = solution._make_packet(solution._input_stream_type_info[name], data)
            solution._graph.add_packet_to_input_stream(stream=name, packet=packet.at(solution._simulated_timestamp))
        solution._graph.wait_until_idle()
        packet = solution._graph_outputs.get(self._output)
        kind = solution._output_stream_type_info[self._output]
        return None if packet is None else solution._get_packet_content(kind, packet)


class Mesh:
    """The face landmark network (not the refined one), 192x192 input."""

    def __init__(self) -> None:
        solution = SolutionBase(
            graph_config=_MESH_GRAPH,
            side_inputs={"with_attention": False},
            stream_type_hints={
                "image": PacketDataType.IMAGE_FRAME,
                "roi": PacketDataType.PROTO,
                "landmarks": PacketDataType.PROTO,
            },
        )
        self._graph = _Graph(solution, "landmarks")

    def close(self) -> None:
        self._graph.close()

    def __call__(self, rgb: NDArray[np.uint8], roi: Roi) -> Landmarks | None:
        """Landmarks of the face in `roi`, None where the network does not see one.

        Args:
            rgb: (H, W, 3) uint8 RGB.
        """
        height, width = rgb.shape[:2]
        half = roi.side / 2 * (abs(np.cos(roi.angle)) + abs(np.sin(roi.angle))) + 2
        left, right = max(0, int(roi.x - half)), min(width, int(roi.x + half) + 1)
        top, bottom = max(0, int(roi.y - half)), min(height, int(roi.y + half) + 1)
        if right <= left or bottom <= top:
            return None
        window = np.ascontiguousarray(rgb[top:bottom, left:right])  # spares mediapipe the copy of the whole frame
        size = np.array((right - left, bottom - top), np.float32)
        rect = NormalizedRect(
            x_center=(roi.x - left) / size[0],
            y_center=(roi.y - top) / size[1],
            width=roi.side / size[0],
            height=roi.side / size[1],
            rotation=roi.angle,
        )
        found = self._graph(image=window, roi=rect)
        if found is None:
            return None
        points = np.array([(point.x, point.y) for point in found.landmark], np.float32)
        return points * size + np.array((left, top), np.float32)


class Detector:
    """Faces of a whole picture. Sees them turned by any angle, and down to about a tenth of the picture's width.

    Args:
        full_range: the network with the larger input, for smaller faces at twice the cost.
    """

    def __init__(self, full_range: bool = False) -> None:
        self._graph = _Graph(face_detection.FaceDetection(model_selection=int(full_range)), "detections")

    def close(self) -> None:
        self._graph.close()

    def __call__(self, rgb: NDArray[np.uint8]) -> list[Roi]:
        """Where the mesh should look, in pixels of `rgb` (H, W, 3) uint8 RGB; unconfirmed, best score first."""
        size = np.array(rgb.shape[1::-1], np.float64)
        rois = []
        for detection in self._graph(image=np.ascontiguousarray(rgb)) or ():
            data = detection.location_data
            box, eyes = data.relative_bounding_box, data.relative_keypoints
            low, extent = np.array((box.xmin, box.ymin)) * size, np.array((box.width, box.height)) * size
            left_eye, right_eye = (np.array((eye.x, eye.y)) * size for eye in eyes[:2])
            rois.append(_roi(low, low + extent, left_eye, right_eye))
        return rois
