"""What a trained network says about clips, disturbed or not, as per-clip predictions (training.predictions)."""

from collections.abc import Iterator, Sequence

import torch
from torch import nn

from networks.image_cnn import ImageCNN
from networks.interpreter import Interpreter
from networks.network import InterpreterNetwork
from networks.traits import GenderTemperature
from smile.masks import zero_masks
from smile.regions import NAMES
from smile.tensors import GENDERS
from training.batches import Batch, BucketedBatches, Clips, loader
from training.predictions import Prediction, zeroed_key

EYE_ROW = ("left_eye", "forehead", "right_eye")
ZEROED: tuple[tuple[str, ...], ...] = (*((name,) for name in NAMES), EYE_ROW)
"""Sets of regions zeroed one after another: each region, and the papers' less important ones (SPEC A6)."""
BATCH = 16


def batches(clips: Clips, batch: int = BATCH) -> Iterator[Batch]:
    """The clips in their order."""
    yield from loader(clips, BucketedBatches(clips.lengths, batch))


@torch.inference_mode()
def predict(
    network: InterpreterNetwork | ImageCNN, clips: Clips, fold: int, zeroed: Sequence[Sequence[str]] = ()
) -> list[Prediction]:
    """Answers in float32, importances of the pairs where the network has them.

    Args:
        network: in evaluation mode.
        fold: of which these clips are the test side.
        zeroed: sets of regions to set to zero in turn; only for networks with pairs or regions.
    """
    found = []
    keep = torch.from_numpy(zero_masks([[NAMES.index(name) for name in names] for names in zeroed]))
    for batch in batches(clips):
        if isinstance(network, ImageCNN):
            frames = network.answer(network(batch.inputs.flatten(end_dim=1)))
            answers, importance = frames.unflatten(0, (len(batch.rows), -1)).mean(dim=1).unsqueeze(1), None
        else:
            mask = keep.expand(len(batch.rows), -1, -1) if zeroed else None
            estimate = network(batch.sequences(), batch.frame_count, mask)
            answers = network.answer(estimate.output)
            importance = estimate.importance[:, 0] if isinstance(network.interpreter, Interpreter) else None
        if network.config.trait == "gender":
            answers = answers[..., GENDERS.index("female")]
        for place, row in enumerate(batch.rows.tolist()):
            first, *others = answers[place].tolist()
            clip = clips.clips[row]
            found.append(
                Prediction(
                    clip.name,
                    clip.subject,
                    clip.age,
                    clip.gender,
                    clip.kind,
                    fold,
                    network.config.trait,
                    network.config.ablation,
                    first,
                    None if importance is None else tuple(importance[place].tolist()),
                    {zeroed_key(names): value for names, value in zip(zeroed, others, strict=True)},
                )
            )
    return found


def sets_to_zero(network: nn.Module) -> tuple[tuple[str, ...], ...]:
    """ZEROED for networks with d_i of each region, nothing for the others."""
    return ZEROED if isinstance(network, InterpreterNetwork) and network.config.ablation != "holistic" else ()


@torch.no_grad()
def fit_temperature(network: InterpreterNetwork | ImageCNN, clips: Clips) -> None:
    """Set the temperature that makes the probabilities of held-out clips most likely; age networks stay as they are."""
    if not isinstance(network.answer, GenderTemperature):
        return
    logits, targets = [], []
    for batch in batches(clips):
        if isinstance(network, ImageCNN):
            logits.append(network(batch.inputs.flatten(end_dim=1)))
        else:
            logits.append(network(batch.sequences(), batch.frame_count).output[:, 0])
        targets.append(batch.target.repeat_interleave(len(logits[-1]) // len(batch.target)))
    values, target = torch.cat(logits), torch.cat(targets)
    grid = torch.logspace(-1, 1, 201)
    losses = torch.stack([nn.functional.cross_entropy(values / temperature, target) for temperature in grid])
    network.answer.temperature.copy_(grid[losses.argmin()])
