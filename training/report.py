"""Tables as JSON for programs, Markdown for repositories and HTML for people."""

import html
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;margin:.5rem 0 2.5rem}th,td{padding:.2rem .7rem;text-align:right;"
    "border-bottom:1px solid #ddd}th:first-child,td:first-child{text-align:left}"
    "p.caption{margin:.2rem 0;color:#555}p.warning{background:#fff3cd;padding:.5rem 1rem}"
)


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        name: short and unique, such as "P0 Table 2".
        caption: names the data set.
        rows: the texts that are shown, as many to a row as there are columns.
        records: the numbers behind them, unrounded, as JSON types.
    """

    name: str
    title: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    records: list[dict[str, Any]] = field(default_factory=list)


def write(
    folder: Path, stem: str, title: str, about: dict[str, Any], tables: Sequence[Table], warning: str = ""
) -> None:
    """Write stem.json, stem.md and stem.html to `folder`, which is made if it is absent.

    Args:
        about: goes into the JSON file as it is, and as one line into the others.
        warning: stands at the top of all three, for data that could be mistaken.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "json": _json(title, about, tables, warning),
        "md": _markdown(title, about, tables, warning),
        "html": _html(title, about, tables, warning),
    }
    for suffix, text in texts.items():
        (folder / f"{stem}.{suffix}").write_text(text, encoding="utf-8")


def _json(title: str, about: dict[str, Any], tables: Sequence[Table], warning: str) -> str:
    listed = [
        {"name": table.name, "title": table.title, "caption": table.caption, "records": table.records}
        for table in tables
    ]
    return json.dumps({"title": title, "warning": warning or None, **about, "tables": listed}, indent=1) + "\n"


def _markdown(title: str, about: dict[str, Any], tables: Sequence[Table], warning: str) -> str:
    lines = [f"# {title}", ""] + ([f"> **{warning}**", ""] if warning else []) + [_about(about), ""]
    for table in tables:
        lines += [f"## {table.name}: {table.title}", "", table.caption, "", _pipes(table.columns)]
        lines += [_pipes(["---"] + ["---:"] * (len(table.columns) - 1)), *map(_pipes, table.rows), ""]
    return "\n".join(lines)


def _pipes(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _html(title: str, about: dict[str, Any], tables: Sequence[Table], warning: str) -> str:
    parts = [f"<h1>{html.escape(title)}</h1>"]
    if warning:
        parts.append(f'<p class="warning"><strong>{html.escape(warning)}</strong></p>')
    parts.append(f"<p>{html.escape(_about(about))}</p>")
    for table in tables:
        parts.append(f"<h2>{html.escape(table.name)}: {html.escape(table.title)}</h2>")
        parts.append(f'<p class="caption">{html.escape(table.caption)}</p><table>')
        parts += [_tr("th", table.columns), *(_tr("td", row) for row in table.rows), "</table>"]
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n' + "\n".join(parts) + "\n</body></html>\n"


def _tr(tag: str, cells: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"


def _about(about: dict[str, Any]) -> str:
    return "; ".join(f"{name.replace('_', ' ')}: {value}" for name, value in about.items() if value not in (None, {}))
