"""What the tables of an MP4 or MOV claim, counted before FFmpeg believes them.

Its demuxer makes a record of every sample that a table speaks of, and another for each edit that shows it, before
anything else can be looked at: 2 KB could claim gigabytes of them. So could a header that is compressed.
"""

import io
import re
import struct
from collections.abc import Iterator
from math import ceil
from typing import BinaryIO

from smile.container import READABLE
from smile.decoding import Limits
from smile.errors import UnreadableVideo

PARSED = frozenset(
    b"moov trak mdia minf stbl stsd edts moof traf trun mvex udta meta dinf tref wave sinf schi iprp ipco".split()
)
"""Boxes into which the demuxer looks where they are not within others."""
HIDDEN = {b"free", b"hoov"}
"""Taken for a header where one of these begins as it does."""
MAX_HEADER_BYTES = 1 << 23
CLAIM = re.compile(rb"(?=(stsz|stz2|trun|elst|cmov))")
"""Wherever it stands: the demuxer finds it in places where nobody would look."""
OTHER_HANDLER = re.compile(rb"hdlr.{8}(?:vide|subp|clcp)", re.DOTALL)
LEAST_BLOCK = 160
"""Samples of plain sound, which the demuxer joins, in one record at least."""
ONE = struct.pack(">I", 1)


def check_claims(file: BinaryIO, limits: Limits) -> None:
    """Refuse an MP4 or MOV whose tables claim more than a clip within `limits` has; any other file passes.

    Raises:
        VideoTooLong, UnreadableVideo.
    """
    records, edits = 0, 1
    for kind, start, payload, end in _boxes(file, 0, file.seek(0, io.SEEK_END)):
        records += 1
        if kind in PARSED or kind in HIDDEN and _begins_as_header(file, payload):
            if end - start > MAX_HEADER_BYTES:
                raise UnreadableVideo(f"The header of this file is too large. {READABLE}")
            file.seek(start)
            found, shown = _claims(file.read(end - start))
            records, edits = records + found, max(edits, shown)
        limits.check_records(records * edits)


def _boxes(file: BinaryIO, at: int, end: int) -> Iterator[tuple[bytes, int, int, int]]:
    """(type, start, start of what is in it, end) of each box in this part of a file, as far as they make sense."""
    while end - at >= 8:
        file.seek(at)
        head = file.read(16)
        size, kind, payload = int.from_bytes(head[:4]), head[4:8], at + 8
        if size == 1:
            size, payload = int.from_bytes(head[8:]), at + 16
        elif size == 0:
            size = end - at
        if at + size < payload:
            return
        yield kind, at, payload, min(at + size, end)
        at += size


def _begins_as_header(file: BinaryIO, payload: int) -> bool:
    file.seek(payload + 4)
    return file.read(4) in (b"mvhd", b"cmov")


def _claims(box: bytes) -> tuple[int, int]:
    """Records that this box leads to, and the largest number of edits of a track in it."""
    records, edits = 0, 1
    for found in CLAIM.finditer(box):
        kind, at = found[1], found.start()
        if kind == b"cmov":
            raise UnreadableVideo(f"The header of this file is compressed. {READABLE}")
        field = at + (12 if kind.startswith(b"st") else 8) + 8 * (box[max(0, at - 4) : at] == ONE)
        count = int.from_bytes(box[field : field + 4])
        records += 1
        if kind == b"elst":
            edits = max(edits, count)
        else:
            records += count
    return records - sum(_joined(track) for within in _inside(box) for track in _inside(within, b"trak")), edits


def _joined(track: bytes) -> int:
    """How many samples of a track of plain sound have no record of their own, since one holds many; 0 of others."""
    if _first(track, b"mdia", b"hdlr")[8:12] != b"soun":
        return 0
    tables = _first(track, b"mdia", b"minf", b"stbl")
    times, sizes, blocks = (_first(tables, kind) for kind in (b"stts", b"stsz", b"stsc"))
    offsets = _first(tables, b"stco") or _first(tables, b"co64")
    plain = (
        not OTHER_HANDLER.search(track)
        and all(track.count(kind) == 1 for kind in (b"stts", b"stsz", b"stsc"))
        and track.count(b"stco") + track.count(b"co64") == 1
        and times[4:8] == times[12:16] == ONE  # all samples last one tick
    )
    if not plain:
        return 0
    entries = blocks[8:]
    runs = struct.iter_unpack(">III", entries[: len(entries) // 12 * 12])
    longest = max((samples for _first_block, samples, _kind in runs), default=0)
    return int.from_bytes(sizes[8:12]) - int.from_bytes(offsets[4:8]) * ceil(longest / LEAST_BLOCK)


def _first(data: bytes, *path: bytes) -> bytes:
    """What is in the first box of each type, within the one before; empty where there is none."""
    for kind in path:
        data = next(_inside(data, kind), b"")
    return data


def _inside(data: bytes, wanted: bytes | None = None) -> Iterator[bytes]:
    """What is in each box of this type, or of any."""
    for kind, _, payload, end in _boxes(io.BytesIO(data), 0, len(data)):
        if wanted in (None, kind):
            yield data[payload:end]
