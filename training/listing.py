"""The text of a listing of clips, whatever program wrote it, and errors that name its file and line."""

import codecs
import csv
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

_SEPARATORS = re.compile(r"\s*[\t,;|]\s*| +")
_QUOTED = re.compile(r'"([^"]*)"')
_NUMBER = re.compile(r"0*(\d+)(\.0+)?")
UNDECODED = "\ufffd"


class DatasetError(ValueError):
    """A listing that cannot be trusted. The message names the file, and the line where there is one."""


def files_of(found: Iterable[Path]) -> list[Path]:
    """Sorted, without the ._ file that macOS leaves beside each file on a foreign disk."""
    return sorted(path for path in found if not path.name.startswith("._"))


def lines_of(path: Path) -> list[str]:
    """Lines without their ends; what is white at either end of one may be an empty field. Raises DatasetError."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error}") from error
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = content.decode("utf-16" if wide else "utf-8-sig", errors="replace")
    return text.splitlines()


def rows_of(path: Path, lines: Sequence[str], separator: str) -> Iterator[tuple[int, list[str]]]:
    """Number of the line and fields of all rows below the header that are not empty. Raises DatasetError."""
    reader = csv.reader(lines[1:], delimiter=separator, skipinitialspace=True)
    try:
        for fields in reader:
            if any(field.strip() for field in fields):
                yield reader.line_num + 1, fields
    except csv.Error as error:
        raise at_line(path, reader.line_num + 1, str(error)) from error


def check_text(path: Path, number: int, line: str) -> None:
    """Headers may hold names in any encoding, since nothing is read from them; lines of clips may not."""
    if UNDECODED in line or "\0" in line:
        raise at_line(path, number, f"{line[:60]!r} is neither UTF-8 nor UTF-16: save the listing as UTF-8")


def fields_of(line: str) -> list[str]:
    return _SEPARATORS.split(_QUOTED.sub(r"\1", line))


def whole(text: str) -> int | None:
    """The number that 34, 034 and 34.0 say; None for 34.5 and anything else."""
    found = re.fullmatch(r"(\d{1,3})(\.0+)?", text)
    return int(found[1]) if found else None


def code_of(subject: str) -> str:
    """The same for all ways to write one code: 001, 1 and 1.0; S1 and s1; accents composed or not."""
    code = unicodedata.normalize("NFC", subject).casefold()
    number = _NUMBER.fullmatch(code)
    return number[1] if number else code


def file_in(folder: Path, name: str) -> Path:
    """The file of that name, whether the disk holds its accents composed or not; `name` itself where there is none."""
    forms = (name, *(unicodedata.normalize(form, name) for form in ("NFC", "NFD")))
    return next((path for form in forms if (path := folder / form).is_file()), folder / name)


def some(names: Iterable[str]) -> str:
    names = list(names)
    return f"{len(names)} clips ({', '.join(names[:5])}{', ...' if len(names) > 5 else ''})"


def at_line(path: Path, line: int, problem: str) -> DatasetError:
    return DatasetError(f"{path}:{line}: {problem}")
