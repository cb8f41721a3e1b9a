"""What can be wrong with a clip.

    SmileError
    ├── UnreadableVideo        not a video, no video stream, nothing decodes
    ├── VideoTooLong           more seconds or frames than allowed
    ├── FrameTooLarge          more pixels per frame than allowed
    ├── NoFace                 no face in any frame looked at
    ├── FaceTooSmall           eyes closer together than the aligner needs
    ├── TooFewFrames           the face is followed in fewer frames than a sequence needs
    └── Cancelled              the caller gave up; nobody reads the answer

Each class has a stable `code`. Messages say what is wrong and what to do, in words that may be shown to a user, and
hold nothing of the clip but its measures. No HTTP here: the service maps types to statuses.
"""

from typing import ClassVar


class SmileError(Exception):
    """Something about the clip keeps it from being answered."""

    code: ClassVar[str]


class UnreadableVideo(SmileError):
    code = "unreadable_video"


class VideoTooLong(SmileError):
    code = "video_too_long"


class FrameTooLarge(SmileError):
    code = "frame_too_large"


class NoFace(SmileError):
    code = "no_face"


class FaceTooSmall(SmileError):
    code = "face_too_small"


class TooFewFrames(SmileError):
    code = "too_few_frames"


class Cancelled(SmileError):
    code = "cancelled"
