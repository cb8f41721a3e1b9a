"""SIAM's training on its own: settings that are the paper's, a loss that falls, faces that are kept, a clip drawn."""

import copy
import hashlib
import os
from pathlib import Path

import cv2
import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from networks import checkpoint
from networks.siam import Siam
from networks.siam_config import SiamConfig
from smile.attention import SHOWN, most_attended
from smile.card import Card
from smile.errors import UnreadableVideo
from smile.frontal_shape import SIDE_PX
from tests.training import planted_faces
from training import siam_faces, siam_figures, siam_module
from training.siam_faces import FaceClips
from training.siam_module import SiamModule, SiamOptimisation

TINY = SiamConfig(channels=(4, 6, 8), hidden=16, features=12, attention_width=5, dropout=0.0, recurrent_dropout=0.0)
DEMO = Path(__file__).resolve().parents[2] / "demo/astronaut_smile.mp4"


def clips(count: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Faces whose brightness is their age, of several lengths."""
    rng = np.random.default_rng(0)
    ages = np.linspace(20, 60, count)
    return [
        (
            torch.from_numpy(rng.normal(3 * age, 5, (3 + k % 3, SIDE_PX, SIDE_PX)).clip(0, 255).astype(np.uint8)),
            torch.tensor(age, dtype=torch.float32),
        )
        for k, age in enumerate(ages)
    ]


@pytest.mark.filterwarnings("ignore::lightning.pytorch.utilities.warnings.PossibleUserWarning")
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
def test_the_loss_falls_and_the_best_weights_are_released(tmp_path: Path) -> None:
    """A few epochs on faces that are brighter with age: the error halves, and what is released has it."""
    data = clips(12)
    plan = SiamOptimisation(rate=3e-3, l2=0.0, batch=4, epochs=12)
    module = SiamModule(TINY, plan, 0, (40.0, 12.0), (0.47, 0.15))
    before = np.mean([abs(float(module.network.answer(module(f[None]).output)) - float(a)) for f, a in data])
    trainer = pl.Trainer(
        max_epochs=plan.epochs,
        num_sanity_val_steps=0,
        accumulate_grad_batches=plan.batch,
        gradient_clip_val=plan.clip,
        gradient_clip_algorithm="value",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
    )
    trainer.fit(module, DataLoader(data, shuffle=True), DataLoader(data))
    assert module.best < before / 2
    network = module.release()
    errors = [
        abs(float(network.answer(network(f[None], torch.tensor([len(f)]))[0].output)) - float(a)) for f, a in data
    ]
    assert np.mean(errors) == pytest.approx(module.best, abs=1e-3)


@pytest.mark.filterwarnings("ignore::lightning.pytorch.utilities.warnings.PossibleUserWarning")
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
def test_without_patience_an_epoch_is_trained() -> None:
    """Nothing has been waited for before the first; a run that has waited long enough has nothing left to do."""
    for waited, epochs in ((0, 1), (1, 0)):
        module = SiamModule(TINY, SiamOptimisation(batch=2, epochs=1, patience=0), 0)
        module.waited = waited
        trainer = pl.Trainer(
            max_epochs=1,
            num_sanity_val_steps=0,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, DataLoader(clips(2)), DataLoader(clips(2)))
        assert (trainer.current_epoch, np.isfinite(module.best)) == (epochs, bool(epochs))


class Steps(pl.Callback):
    """Gradients and weights of every step of the optimiser."""

    def __init__(self) -> None:
        self.seen: list[tuple[list[torch.Tensor], dict[str, torch.Tensor]]] = []

    def on_before_optimizer_step(self, trainer: pl.Trainer, module: pl.LightningModule, *_: object) -> None:
        gradients = [p.grad.clone() for p in module.parameters() if p.grad is not None]
        self.seen.append((gradients, copy.deepcopy(module.state_dict())))


@pytest.mark.filterwarnings("ignore::lightning.pytorch.utilities.warnings.PossibleUserWarning")
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
def test_every_step_takes_the_mean_of_the_clips_that_it_has() -> None:
    """Three clips, two to a step: the second step has the gradients of the third clip, and not half of them."""
    data = clips(3)
    module, steps = SiamModule(TINY, SiamOptimisation(batch=2), 0, (40.0, 12.0)), Steps()
    trainer = pl.Trainer(
        max_epochs=1,
        num_sanity_val_steps=0,
        accumulate_grad_batches=2,
        callbacks=[steps],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
    )
    trainer.fit(module, DataLoader(data), DataLoader(data))
    for (gradients, weights), shown in zip(steps.seen, (data[:2], data[2:]), strict=True):
        module.load_state_dict(weights)
        module.zero_grad()
        torch.stack([module.loss(module(faces[None]), age[None]) for faces, age in shown]).mean().backward()
        mean = [p.grad for p in module.parameters() if p.grad is not None]
        torch.testing.assert_close(gradients, mean)


def test_the_optimiser_is_the_papers() -> None:
    """RMSprop; L2 on weights and on no bias; the frozen second biases of the recurrence are left out."""
    module = SiamModule(TINY, SiamOptimisation(), 0)
    optimiser = module.configure_optimizers()
    assert isinstance(optimiser, torch.optim.RMSprop)
    weights, others = optimiser.param_groups
    assert (weights["alpha"], weights["lr"], weights["weight_decay"]) == (0.95, 1e-4, 2e-4)
    assert others["weight_decay"] == 0
    named = {id(parameter): name for name, parameter in module.network.named_parameters() if parameter.requires_grad}
    decayed = {named.pop(id(parameter)) for parameter in weights["params"]}
    assert decayed == {name for name in decayed if name.split(".")[-1].startswith(("weight", "w", "u"))}
    assert {named.pop(id(parameter)).split(".")[-1] for parameter in others["params"]} == {
        "b",
        "bias",
        "bias_ih_l0",
        "bias_ih_l1",
        "c",
    }
    assert not named


def test_frames_learn_alone_where_nothing_looks_across_them() -> None:
    """The CNN alone is trained on the error of each frame, everything else on that of the clip."""
    estimate = siam_module.SiamEstimate(torch.zeros(1, 1), torch.tensor([[1.0, -1.0]]), torch.full((1, 2), 0.5))
    alone = SiamConfig(**vars(TINY) | {"recurrent": False, "temporal": False})
    for config, expected in ((alone, 1.0), (TINY, 0.0)):
        module = SiamModule(config, SiamOptimisation(), 0)
        assert float(module.loss(estimate, torch.tensor([0.0]))) == expected


def test_a_clip_is_hashed_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every epoch asks for each clip's faces; the clip itself is read again only where it is another one."""
    dataset = planted_faces.make(tmp_path, subjects=1)
    read = []
    whole = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda file, name: read.append(file.name) or whole(file, name))
    clips = FaceClips(dataset.clips, tmp_path / "cache", planted_faces.RATE_HZ)
    first = [clips[row][0] for row in (0, 1, 0, 1)]
    assert len(read) == 2 and torch.equal(first[0], first[2]) and not torch.equal(first[0][:20], first[1][:20])
    one, other = (clip.path for clip in dataset.clips)
    one.write_bytes(other.read_bytes())
    os.utime(one, ns=(0, 0))
    assert torch.equal(clips[0][0], first[1]) and len(read) == 3


def test_faces_of_other_code_are_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the way from file to face has changed, cached faces are not those that the service sees."""
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"no video")
    stored = tmp_path / siam_faces.recipe() / f"{hashlib.sha256(b'no video').hexdigest()[:32]}.npz"
    stored.parent.mkdir()
    stored.touch()
    assert siam_faces.cached(clip, tmp_path) == stored
    monkeypatch.setattr(siam_faces, "preprocessing", lambda: "other")
    with pytest.raises(UnreadableVideo):
        siam_faces.cached(clip, tmp_path)


def test_pictures_of_a_real_clip(tmp_path: Path) -> None:
    """At the rate of the card: a strip with bars, and each of the most attended frames, warped and as it was."""
    torch.manual_seed(0)
    checkpoint.save(Siam(TINY).eval(), tmp_path / "siam", {})
    (tmp_path / "card.json").write_text(Card("siam", None, "none", frame_rate_hz=12.5).to_json())
    siam_figures.main([str(DEMO), "--release", str(tmp_path), "--out", str(tmp_path / "figures")])
    strip = cv2.imread(str(tmp_path / "figures/strip.png"))
    assert strip.shape == (SIDE_PX + siam_figures.BAR_PX, SHOWN * SIDE_PX, 3)
    with np.load(tmp_path / "figures/attention.npz") as numbers:
        times_s, weights = numbers["times_s"], numbers["temporal"]
        assert weights.sum() == pytest.approx(1, abs=1e-4)
        assert numbers["spatial"].shape == (len(times_s), 10, 10)
    assert np.median(np.diff(times_s)) == pytest.approx(1 / 12.5, abs=1e-3)
    shown = most_attended(times_s, weights)
    names = {f"{kind}-{at}.png" for at in shown for kind in ("face", "frame")}
    assert int(weights.argmax()) in shown and names | {"strip.png"} == {p.name for p in tmp_path.rglob("*.png")}
