"""Labelled stills -> a set of simulated smile clips, lying on disk as the UvA-NEMO Smile Database does (SPEC C6).

    python -m training.simulate --stills ../shared/data/faces/utkface.zip --out runs/simulated
    python -m training.simulate --stills ... --out runs/planted --planted left_mouth_side,right_eye --label relational

With the default 400 subjects and 1,240 clips the published counts hold exactly: kinds, decades, and kinds by age group.
`simulated.json` in the folder marks the set as simulated and holds every parameter of every clip. Run again after an
interruption: finished clips are kept. Nothing measured on such a set is a result on UvA-NEMO.
"""

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from smile.regions import NAMES
from training import parallel
from training.cast import Clip, draw_cast
from training.datasets import SIMULATED
from training.ending import in_one_line
from training.planted import LABELS, draw_planted_plan, lag_s
from training.portraits import Source, digest, portrait
from training.render import actor, simulate_clip, write_clip
from training.smile_plan import SmilePlan, draw_plan
from training.still_split import PARTS
from training.whole import write_text

VERSION = 1
"""Grows whenever the same options give other frames."""
FOLDER = "UvA-NEMO_SMILE_DATABASE"
PREFIX = "UvA-NEMO_Smile_Database"
NOTICE = "SIMULATED smiles made from stills by training.simulate; not the UvA-NEMO Smile Database"


def plan_of(clip: Clip, options: dict[str, Any], rng: np.random.Generator) -> SmilePlan:
    """The movements of one clip."""
    if options["planted"]:
        a, b = options["planted"]
        return draw_planted_plan(clip.subject.age, options["label"], (NAMES.index(a), NAMES.index(b)), rng)
    return draw_plan(clip.subject.age, clip.subject.gender, clip.spontaneous, rng)


def describe(source: Source, options: dict[str, Any]) -> dict[str, Any]:
    """Everything about the set, before a frame is rendered: what `simulated.json` holds."""
    seed, label = options["seed"], options["label"]
    entries = source.only(options["parts"]) if options["parts"] else source.entries
    cast = draw_cast(source, entries, options["subjects"], options["clips"], label, np.random.default_rng([seed, 0]))
    clips = {}
    for number, clip in enumerate(cast):
        plan = plan_of(clip, options, np.random.default_rng([seed, 1, number]))
        clips[clip.name] = {
            "subject": asdict(clip.subject),
            "spontaneous": clip.spontaneous,
            "planted_lag_s": lag_s(clip.subject.age, label) if label else None,
            "noise_seed": [seed, 2, number],
            "plan": asdict(plan),
        }
    name = f"simulated smiles, seed {seed}"
    if label:
        name += f", planted {label} relation of {' and '.join(options['planted'])}"
    return {"simulated": True, "name": name, "notice": NOTICE, "options": options, "clips": clips}


def load_or_describe(source: Source, options: dict[str, Any], out: Path) -> dict[str, Any]:
    """The set begun in `out`, or a new one.

    Raises:
        ValueError: `out` holds a set made with other options.
    """
    mark = out / SIMULATED
    if mark.exists():
        begun: dict[str, Any] = json.loads(mark.read_text())
        if begun["options"] != options:
            differing = sorted(key for key in options if begun["options"].get(key) != options[key])
            raise ValueError(
                f"{out} holds a set made with other options ({', '.join(differing)}): choose another --out"
            )
        return begun
    if out.exists() and any(out.iterdir()):
        raise ValueError(f"{out} is not empty and holds no {SIMULATED}: choose another --out")
    described: dict[str, Any] = json.loads(json.dumps(describe(source, options)))
    out.mkdir(parents=True, exist_ok=True)
    write_text(mark, json.dumps(described) + "\n")
    return described


def render_subject(job: tuple[Path, Path, str, list[tuple[str, dict[str, Any]]]]) -> None:
    """Render the clips of one subject. Runs in a process of its own."""
    stills, videos, path, clips = job
    still = portrait(Source(stills).read(path), path)
    if still is None:
        raise ValueError(f"{stills}: {path} shows no usable face; it did when the set was begun")
    actors = {}
    for name, entry in clips:
        plan = SmilePlan.from_dict(entry["plan"])
        if plan.confined not in actors:
            actors[plan.confined] = actor(still, confined=plan.confined)
        frames = simulate_clip(actors[plan.confined], plan, np.random.default_rng(entry["noise_seed"]))
        write_clip(videos / name, (frame for _, frame in frames), plan.frame_rate_hz)


def render(stills: Path, out: Path, clips: dict[str, Any], jobs: int) -> int:
    """Render what is not there yet; how many clips that was."""
    videos = out / FOLDER / "videos"
    videos.mkdir(parents=True, exist_ok=True)
    waiting: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for name, entry in clips.items():
        if not (videos / name).exists():
            waiting.setdefault(entry["subject"]["still"], []).append((name, entry))
    todo = [(stills, videos, path, group) for path, group in waiting.items()]
    missing = sum(len(group) for group in waiting.values())
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    for _ in parallel.run_all(render_subject, todo, "subjects", jobs):
        pass
    return missing


def write_details(folder: Path, clips: dict[str, Any]) -> None:
    """The database's three text files; written last, so an unfinished set is not taken for a set."""
    rows, people = [], {}
    for name, entry in sorted(clips.items()):
        subject = entry["subject"]
        kind = "spontaneous" if entry["spontaneous"] else "deliberate"
        rows.append("\t".join((name, subject["code"], subject["gender"], str(subject["age"]), kind)))
        people[subject["code"]] = "\t".join((subject["code"], subject["gender"], str(subject["age"])))
    header = [NOTICE, f"All parameters: {SIMULATED}", "", "Filename\tSubject Code\tGender\tAge\tSmile Type", ""]
    tables = {
        "File_Details": header + rows,
        "Subject_Details": ["Subject Code\tGender\tAge", *people.values()],
        "Kinship_Labels": ["Subject Codes\tRelation"],
    }
    for name, lines in tables.items():
        (folder / f"{PREFIX}_{name}.txt").write_text("\n".join(lines) + "\n")


def simulate(stills: Path, out: Path, options: dict[str, Any], jobs: int) -> int:
    """Make or finish the set; how many clips were rendered now."""
    whole = load_or_describe(Source(stills), options, out)
    rendered = render(stills, out, whole["clips"], jobs)
    write_details(out / FOLDER, whole["clips"])
    return rendered


def parse(arguments: Sequence[str] | None = None) -> tuple[argparse.Namespace, dict[str, Any]]:
    """Command line -> paths and jobs, and the options that define the set."""
    parser = argparse.ArgumentParser(prog="python -m training.simulate", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--stills", type=Path, required=True, help="zip or folder of {age}_{gender}_*.jpg")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--subjects", type=int, default=400)
    parser.add_argument("--clips", type=int, default=1240)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--parts", nargs="+", choices=tuple(PARTS), help="only the stills of these parts of training.still_split"
    )
    parser.add_argument("--planted", metavar="A,B", help="two regions whose timing alone carries the label")
    parser.add_argument("--label", choices=LABELS, help="how the timing carries it; default additive")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args(arguments)
    pair = given.planted.split(",") if given.planted else None
    if pair is not None and (len(set(pair)) != 2 or not set(pair) <= set(NAMES)):
        parser.error(f"--planted wants two of {', '.join(NAMES)}")
    if given.label and not pair:
        parser.error("--label needs --planted")
    if not given.stills.exists():
        parser.error(f"--stills: {given.stills} does not exist")
    options = {
        "version": VERSION,
        "stills": given.stills.name,
        "stills_sha256": digest(given.stills),
        "parts": given.parts,
        "subjects": given.subjects,
        "clips": given.clips,
        "seed": given.seed,
        "planted": pair,
        "label": (given.label or LABELS[0]) if pair else None,
    }
    return given, options


def main() -> None:
    given, options = parse()
    with in_one_line():
        rendered = simulate(given.stills, given.out, options, given.jobs)
    print(f"{given.out}: {options['clips']} clips of {options['subjects']} subjects, {rendered} of them rendered now")
    print(NOTICE)


if __name__ == "__main__":
    main()
