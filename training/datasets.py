"""Labelled smile clips on disk: the UvA-NEMO databases as they are delivered, and a plain CSV manifest.

    UvA-NEMO (smile or disgust)            manifest
      .../*_File_Details.txt                 clip,subject,age,gender,kind
      .../*_Subject_Details.txt (optional)   videos/a.mp4,s1,34,female,spontaneous
      .../videos/*.mp4

A set with a simulated.json in its folder, or beside it, is simulated: it says so in its name, everywhere and always.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from smile.tensors import GENDERS
from training.listing import DatasetError as DatasetError
from training.listing import at_line, check_text, code_of, fields_of, file_in, files_of, lines_of, rows_of, some, whole

Kind = Literal["posed", "spontaneous"]
KINDS: tuple[Kind, ...] = get_args(Kind)
UVA_KINDS: dict[str, Kind] = {"deliberate": "posed", "posed": "posed", "spontaneous": "spontaneous"}
"""The database's own word -> the papers'."""
AGE_GROUPS = ((8, 12), (13, 19), (20, 36), (37, 65), (66, None))
"""First and last year of the papers' age groups (SPEC A5)."""
YOUNG_MAX = 19
"""Last year of the papers' younger half (SPEC A8)."""
OLDEST = 120
"""Years; more is a slip of the pen."""
SIMULATED = "simulated.json"
VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".wmv", ".mpg", ".mpeg")
"""In the folder of UvA-NEMO's videos such files must be listed, upper case or lower."""
COLUMNS = ("clip", "subject", "age", "gender", "kind")
_UVA_CLIP = re.compile(r"(\d{3})_([a-z]+)_([a-z]+)_(\d+)(\.mp4)?", re.IGNORECASE)


@dataclass(frozen=True)
class Clip:
    """One labelled clip.

    Attributes:
        name: as listed, such as "001_deliberate_smile_2.mp4"; unique in its set.
        path: of the video.
        subject: the person's code; unique in its set.
        age: in whole years, when the clip was filmed.
        gender: as labelled, one of smile.tensors.GENDERS.
        kind: posed or spontaneous.
    """

    name: str
    path: Path
    subject: str
    age: int
    gender: str
    kind: Kind

    @property
    def age_group(self) -> str:
        return age_group(self.age)

    @property
    def young(self) -> bool:
        return self.age <= YOUNG_MAX


@dataclass(frozen=True)
class Dataset:
    """Clips, sorted by name.

    Attributes:
        name: what every caption shows, such as "UvA-NEMO Smile" or "simulated smiles, seed 0".
        simulated: the clips show no real smile.
    """

    name: str
    clips: tuple[Clip, ...]
    simulated: bool = False

    @property
    def subjects(self) -> dict[str, tuple[Clip, ...]]:
        """Subject -> the subject's clips, both sorted."""
        found: dict[str, list[Clip]] = {}
        for clip in self.clips:
            found.setdefault(clip.subject, []).append(clip)
        return {subject: tuple(found[subject]) for subject in sorted(found)}

    @property
    def digest(self) -> str:
        """16 hex digits over names and labels: two sets with one digest are split and scored alike."""
        rows = [(clip.name, clip.subject, clip.age, clip.gender, clip.kind) for clip in self.clips]
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]


def age_group(age: float) -> str:
    """Label of the papers' age group, such as "20-36" or "66+"; "0-7" for those younger than any."""
    for first, last in AGE_GROUPS:
        if age >= first and (last is None or age < last + 1):
            return f"{first}-{last}" if last else f"{first}+"
    return f"0-{AGE_GROUPS[0][0] - 1}"


def read(path: Path, name: str | None = None) -> Dataset:
    """A folder is read as UvA-NEMO, a file as a manifest."""
    return read_uva_nemo(path) if path.is_dir() else read_manifest(path, name)


def read_uva_nemo(root: Path) -> Dataset:
    """The UvA-NEMO Smile or Disgust database in `root`, or in a folder of it (SPEC C6).

    Header lines and separators differ between copies, so lines are recognised by their content: those that begin with
    three digits and an underscore are clips, everything before the first of them is header. What a spreadsheet makes of
    a listing is understood: quoted fields, subject 1 for 001, age 34.0 for 34.
    Raises DatasetError.
    """
    details = _only(root, "*_File_Details.txt")
    videos = details.parent / "videos"
    there = {path.name.lower(): path for path in files_of(videos.glob("*"))}
    clips: list[tuple[int, Clip]] = []
    expressions: set[str] = set()
    for number, line in enumerate(map(str.strip, lines_of(details)), start=1):
        if not re.match(r'"?\d{3}_', line):
            if line and (clips or re.match(r'"?\d+_', line)):
                raise at_line(details, number, f"a line among the clips that names none: {line[:60]!r}")
            continue
        check_text(details, number, line)
        fields = fields_of(line)
        named = _UVA_CLIP.fullmatch(fields[0])
        if named is None or len(fields) < 5:
            raise at_line(
                details,
                number,
                f"{line[:60]!r} is not: file name, subject, gender, age, deliberate or spontaneous, separated by tabs",
            )
        code, kind, expression, _, suffix = named.groups()
        file, subject, gender, age, listed_kind = fields[0] + ("" if suffix else ".mp4"), *fields[1:5]
        if whole(subject) != int(code) or listed_kind.lower() != kind.lower():
            raise at_line(details, number, f"{file} is listed as of subject {subject}, {listed_kind}")
        expressions.add(expression.lower())
        path = there.get(file.lower(), videos / file)
        clips.append((number, _clip(details, number, file, path, code, age, gender, UVA_KINDS.get(kind.lower()))))
    if not clips:
        raise DatasetError(f"{details}: no line begins with a clip's name, such as 001_deliberate_smile_2.mp4")
    if len(expressions) != 1:
        raise DatasetError(f"{details}: clips of several expressions: {', '.join(sorted(expressions))}")
    _check_extra(videos, clips)
    _check_subject_details(details.parent, clips)
    return _dataset(details, clips, f"UvA-NEMO {expressions.pop().capitalize()}", root)


def read_manifest(path: Path, name: str | None = None) -> Dataset:
    """A CSV file with a header of the columns clip, subject, age, gender, kind, in any order; others are ignored.

    Args:
        name: of the data set; the file's own name where absent.

    Clips are paths, absolute or relative to the manifest. A subject may have clips of several ages. Comma, semicolon
    and tab are understood as separators.
    Raises DatasetError.
    """
    lines = lines_of(path)
    header = lines[0] if lines else ""
    separator = max(",;\t", key=header.count)
    columns = [column.strip().strip('"').lower() for column in header.split(separator)]
    if missing := [column for column in COLUMNS if column not in columns]:
        remedy = ": remove that line, separators are recognised" if header.lower().startswith("sep=") else ""
        raise at_line(path, 1, f"no column {', '.join(missing)} in the header {header[:80]!r}{remedy}")
    if twice := [column for column in COLUMNS if columns.count(column) > 1]:
        raise at_line(path, 1, f"several columns {', '.join(twice)} in the header {header[:80]!r}")
    clips = []
    for number, fields in rows_of(path, lines, separator):
        if len(fields) != len(columns):
            raise at_line(path, number, f"{len(fields)} fields where the header has {len(columns)}")
        check_text(path, number, "".join(fields))
        row = dict(zip(columns, (field.strip() for field in fields), strict=True))
        kind = next((kind for kind in KINDS if kind == row["kind"].lower()), None)
        try:
            file = file_in(path.parent, row["clip"])
        except OSError as error:
            raise at_line(path, number, f"{row['clip'][:60]!r} can be no file: {error.strerror}") from error
        clip = _clip(path, number, row["clip"], file, row["subject"], row["age"], row["gender"], kind)
        clips.append((number, clip))
    if not clips:
        raise DatasetError(f"{path}: lists no clip")
    return _dataset(path, clips, name or path.stem, path.parent, one_age=False)


def _clip(
    file: Path, number: int, name: str, path: Path, subject: str, age: str, gender: str, kind: Kind | None
) -> Clip:
    if not name or not subject:
        raise at_line(file, number, "a clip without name or subject")
    years = whole(age)
    if years is None or years > OLDEST:
        raise at_line(file, number, f"age {age!r} of {name} is not a whole number of years from 0 to {OLDEST}")
    if gender.lower() not in GENDERS:
        raise at_line(file, number, f"gender {gender!r} of {name} is not one of {', '.join(GENDERS)}")
    if kind is None:
        raise at_line(file, number, f"the kind of {name} is not one of {', '.join(KINDS)} (or deliberate, in UvA-NEMO)")
    return Clip(name, path, subject, years, gender.lower(), kind)


def _dataset(listing: Path, clips: list[tuple[int, Clip]], name: str, root: Path, *, one_age: bool = True) -> Dataset:
    """Check what only the whole listing shows, and give the set its name.

    Args:
        one_age: all clips of a subject were filmed at one age.
    """
    names: dict[str, int] = {}
    files: dict[Path, int] = {}
    people: dict[str, tuple[int, Clip]] = {}
    for number, clip in clips:
        if clip.name in names:
            raise at_line(listing, number, f"{clip.name} is listed already in line {names[clip.name]}")
        names[clip.name] = number
        if (file := clip.path.resolve()) in files:
            raise at_line(listing, number, f"{clip.name} is the file of line {files[file]}")
        files[file] = number
        first, other = people.setdefault(code_of(clip.subject), (number, clip))
        if other.subject != clip.subject:
            problem = f"subject {clip.subject!a} may be {other.subject!a} of line {first}"
            remedy = "spell one person alike, and two so that more than case, leading zeros or form of accents differs"
            raise at_line(listing, number, f"{problem}: {remedy}")
        for label in ("age", "gender") if one_age else ("gender",):
            if getattr(other, label) != getattr(clip, label):
                values = f"{getattr(other, label)} in line {first}, {getattr(clip, label)} here"
                raise at_line(listing, number, f"subject {clip.subject} has two {label}s: {values}")
    if absent := [(number, clip) for number, clip in clips if not clip.path.is_file()]:
        number, clip = absent[0]
        names_absent = some(clip.name for _, clip in absent)
        raise at_line(listing, number, f"{clip.path} does not exist; of {len(clips)} there are missing {names_absent}")
    ordered = tuple(sorted((clip for _, clip in clips), key=lambda clip: clip.name))
    marks = (folder / SIMULATED for folder in (listing.parent, root, root.resolve().parent))
    simulation = next((path for path in marks if path.is_file()), None)
    return Dataset(_simulated_name(simulation) if simulation else name, ordered, simulation is not None)


def _simulated_name(path: Path) -> str:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        name = str(record.get("name") or f"simulated smiles, seed {record['seed']}")
    except (ValueError, KeyError, AttributeError) as error:
        raise DatasetError(f"{path}: neither `name` nor `seed` of the simulation can be read from it") from error
    return name if name.lower().startswith("simulated") else f"simulated: {name}"


def _check_extra(videos: Path, clips: list[tuple[int, Clip]]) -> None:
    listed = {clip.path.name for _, clip in clips}
    there = (path for path in files_of(videos.glob("*")) if path.suffix.lower() in VIDEO_SUFFIXES)
    extra = [path.name for path in there if path.name not in listed]
    if extra:
        raise DatasetError(f"{videos}: {some(extra)} not in the details file")


def _check_subject_details(folder: Path, clips: list[tuple[int, Clip]]) -> None:
    """Where the database's list of subjects is there, it must tell the same ages and genders."""
    people = {int(clip.subject): clip for _, clip in clips}
    for file in files_of(folder.glob("*_Subject_Details.txt")):
        for number, line in enumerate(map(str.strip, lines_of(file)), start=1):
            fields = fields_of(line)
            code = whole(fields[0])
            if len(fields) < 3 or code not in people:
                continue
            clip = people[code]
            if (fields[1].lower(), whole(fields[2])) != (clip.gender, clip.age):
                raise at_line(file, number, f"subject {clip.subject} is {clip.gender}, {clip.age} in the list of clips")


def _only(root: Path, pattern: str) -> Path:
    found = files_of(root.rglob(pattern))
    if len(found) != 1:
        instead = "" if found else f". Other clips than UvA-NEMO's are listed in a CSV file with {', '.join(COLUMNS)}"
        raise DatasetError(f"{root}: {len(found)} files {pattern} where one is expected{instead}")
    return found[0]
