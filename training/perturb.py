"""Replace the dynamics of regions by another clip's and see what the answer becomes (P0 Fig. 6, SPEC A6).

    python -m training.perturb runs/study/runs/age/full/0 --target 017_deliberate_smile_1.mp4 --donor 073_...mp4

Zeroing is part of every run's predictions (training.answers); swapping needs two clips, of any fold's test side.
"""

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from networks import checkpoint
from networks.network import InterpreterNetwork
from smile.regions import NAMES, REGIONS
from smile.tensors import GENDERS
from training import datasets, feature_store, run_config, train
from training.answers import batches
from training.batches import Clips
from training.datasets import Clip
from training.feature_store import Features


@dataclass(frozen=True)
class Swap:
    """The answer for a target after one region's d_k was taken from a donor.

    Attributes:
        plain, donor: answers for the two clips as they are: years, or the probability of female.
        swapped: region -> answer.
    """

    plain: float
    donor: float
    swapped: dict[str, float]


@torch.inference_mode()
def swap(network: InterpreterNetwork, features: Features, target: Clip, donor: Clip) -> Swap:
    """d_k of `target` <- d_k of `donor`, for each region in turn; positions stay (SPEC A6).

    Raises ValueError for the holistic network, which has no regions.
    """
    if network.config.ablation == "holistic":
        raise ValueError("the holistic network has no regions to swap")
    (batch,) = batches(Clips(features, (target, donor), network.config))
    own, other = network.encode(batch.inputs, batch.frame_count)
    variants = [own, other]
    for region in REGIONS:
        mixed = own.clone()
        mixed[region.id] = other[region.id]
        variants.append(mixed)
    answers = network.answer(network.interpret(torch.stack(variants).unsqueeze(0)).output)[0]
    if network.config.trait == "gender":
        answers = answers[:, GENDERS.index("female")]
    plain, donated, *swapped = answers.tolist()
    return Swap(plain, donated, dict(zip(NAMES, swapped, strict=True)))


def mean_shift(swaps: list[Swap]) -> dict[str, tuple[float, float]]:
    """Region -> mean change of the answer towards the donor's, and its standard error, over pairs of clips."""
    found = {}
    for name in NAMES:
        moved = np.array([(s.swapped[name] - s.plain) * np.sign(s.donor - s.plain) for s in swaps])
        found[name] = (float(moved.mean()), float(moved.std(ddof=1) / len(moved) ** 0.5) if len(moved) > 1 else 0.0)
    return found


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m training.perturb", description="Swap the dynamics of regions.")
    parser.add_argument("run", type=Path, help="directory of a finished run")
    parser.add_argument("--target", required=True, nargs="+", help="names of clips")
    parser.add_argument("--donor", required=True, nargs="+", help="as many")
    options = parser.parse_args(arguments)
    try:
        record = json.loads((options.run / train.RECORD).read_text(encoding="utf-8"))
        config = run_config.from_dict(record["config"], str(options.run))
        network = checkpoint.load_network(options.run / "network")
        dataset = datasets.read(Path(config.data))
        features = feature_store.load(dataset, Path(config.backbone), Path(config.cache), config.frame_rate_hz)
        clips = {clip.name: clip for clip in features.dataset.clips}
        if absent := [name for name in (*options.target, *options.donor) if name not in clips]:
            sys.exit(f"error: {', '.join(absent)} not in {dataset.name}")
        if not isinstance(network, InterpreterNetwork):
            sys.exit("error: a network of single frames has no dynamics")
        swaps = [
            swap(network, features, clips[target], clips[donor])
            for target, donor in zip(options.target, options.donor, strict=True)
        ]
    except (*train.Failure, OSError, ValueError) as error:
        sys.exit(f"error: {error}")
    for target, donor, found in zip(options.target, options.donor, swaps, strict=True):
        print(f"{target}: {found.plain:.3g}; {donor}: {found.donor:.3g}")
    for name, (shift, spread) in mean_shift(swaps).items():
        print(f"  {name}: {shift:+.3g} towards the donor, standard error {spread:.2g}")


if __name__ == "__main__":
    main()
