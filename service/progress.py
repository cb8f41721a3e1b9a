"""How far a clip has been read, for others to look at while it is."""

from smile.decoding import DecodeReport
from smile.video import VideoInfo


class Progress:
    """Follows one clip. Written by the thread that reads it, read by any.

    `share` is that of reading in the whole work, 0-1: what follows cannot be seen from here.
    """

    def __init__(self, share: float = 1.0) -> None:
        self._share = share
        self._report = DecodeReport()
        self._whole_s: float | None = None
        self._followed = False

    def follow(self, info: VideoInfo, report: DecodeReport) -> None:
        self._report, self._whole_s, self._followed = report, info.declared_duration_s, True

    @property
    def frames(self) -> int:
        """Decoded so far."""
        return self._report.frames_decoded

    @property
    def fraction(self) -> float | None:
        """Of the work, by the clip's own time, 0-1; None where its header does not tell how long it is."""
        if not self._followed:
            return 0.0
        return self._share * min(1.0, self._report.duration_s / self._whole_s) if self._whole_s else None
