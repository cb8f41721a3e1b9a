import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cosine_similarity

from networks import checkpoint
from networks.backbone import Backbone
from training import ROOT, backbone, muon, precision, run_record, still_average, still_batches, still_head, stills
from training.backbone_plan import Plan
from training.backbone_run import Run
from training.release_parts import LICENCE, licence_of
from training.run_config import ConfigError
from training.still_loss import Labels, label_distribution, loss, mix
from training.still_network import AGES, HEAD, FrameHead, expected_age, load_head, save_head

TINY = Plan(images=16, batch=4, sizes=((0.0, 48), (0.5, 64)))


@pytest.fixture(scope="module")
def data() -> stills.Stills:
    """Twelve flat crops whose brightness tells the age and whose colour tells the gender."""
    rng = np.random.default_rng(0)
    age, gender = np.arange(12) * 7.0, np.arange(12) % 2
    crops = rng.integers(0, 40, (12, stills.STORED_PX, stills.STORED_PX, 3))
    crops += (age * 2).astype(int)[:, None, None, None]
    crops[..., 0] += 40 * gender[:, None, None]
    names = np.array([f"{index}.jpg" for index in range(12)])
    hashes = np.zeros((12, 2), np.uint64)
    zeros = np.zeros(12, np.int64)
    return stills.Stills(names, age.astype(np.float32), gender, zeros, zeros, hashes, crops.astype(np.uint8))


PARTS = {"train": np.arange(10), "validation": np.arange(10, 12)}


def test_label_distributions_centre_on_the_label() -> None:
    """Each row sums to one, has the label as its mean away from the ends, and is wider for the old."""
    ages = torch.tensor([20.0, 70.0])
    rows = label_distribution(ages, Plan())
    years = torch.arange(AGES, dtype=torch.float32)
    torch.testing.assert_close(rows.sum(dim=1), torch.ones(2))
    torch.testing.assert_close(rows @ years, ages, rtol=0, atol=0.05)
    spread = (rows * (years - ages[:, None]) ** 2).sum(dim=1).sqrt()
    torch.testing.assert_close(spread, torch.tensor([1.8, 3.8]), rtol=0.02, atol=0)


def test_the_loss_is_least_at_the_truth() -> None:
    """The right distribution and gender cost less than those of another age or gender."""
    age, gender = torch.tensor([30.0]), torch.tensor([1])
    logits = (label_distribution(age, Plan()) + 1e-30).log()
    other = (label_distribution(age + 10, Plan()) + 1e-30).log()
    female, male = torch.tensor([[-2.0, 2.0]]), torch.tensor([[2.0, -2.0]])
    assert expected_age(logits).item() == pytest.approx(30, abs=0.05)
    labels = Labels.of(age, gender, Plan())
    best = loss(logits, female, labels, Plan())
    assert best < loss(other, female, labels, Plan())
    assert best < loss(logits, male, labels, Plan())


def test_mixing_treats_labels_as_images() -> None:
    """Where an image's brightness is its age, it still is after mixing; about the share that was asked for is mixed."""
    age = torch.arange(20.0, 84.0)
    frames = age.to(torch.uint8).reshape(-1, 1, 1, 1).expand(-1, 4, 4, 3)
    mixed, labels = mix(frames, Labels.of(age, torch.arange(64) % 2, Plan()), Plan(mixed=0.5))
    torch.testing.assert_close(mixed, labels.age.reshape(-1, 1, 1, 1).expand(-1, 4, 4, 3))
    for probabilities in (labels.years, labels.gender):
        torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(64))
    assert 16 < int((labels.age != age).sum()) < 48
    assert torch.equal(mix(frames, Labels.of(age, torch.arange(64) % 2, Plan()), Plan(mixed=0.0))[1].age, age)


def test_one_cycle() -> None:
    """The rate rises, stays and falls to nothing, and the crops only grow."""
    plan = Plan()
    rates = [plan.schedule(step / 1000) for step in range(1001)]
    assert max(rates) == 1 == plan.schedule(plan.warm_up) and rates[0] > 0 and rates[-1] == 0
    turns = np.flatnonzero(np.diff(np.sign(np.diff(rates))))
    assert np.all(np.diff(rates)[: turns[0]] > 0) and np.all(np.diff(rates)[turns[-1] + 1 :] < 0)
    sizes = [plan.size(step / 1000) for step in range(1001)]
    assert sizes == sorted(sizes) and sizes[-1] == 96


def test_an_epoch_draws_each_still_its_expected_times() -> None:
    """Rare stills come more often than common ones, each floor or ceil of its expectation, anew in each epoch."""
    age = np.array([25.0] * 90 + [70.0] * 10, np.float32)
    weights = still_batches.sampling_weights(age, np.zeros(100, np.int64), balance=0.5)
    assert weights[-1] == pytest.approx(3 * weights[0])
    order = still_batches.epoch_order(weights, seed=1, epoch=0)
    counts = np.bincount(order, minlength=100)
    assert len(order) == 100 and np.all(np.abs(counts - weights * 100) < 1)
    assert not np.array_equal(order, still_batches.epoch_order(weights, seed=1, epoch=1))


def test_an_interrupted_run_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    """Two steps, a save, a resume and two more give the weights of four steps in a row, bit for bit."""
    rng = np.random.default_rng(0)
    frames = torch.from_numpy(rng.integers(0, 256, (4, 4, 48, 48, 3), dtype=np.uint8))
    age, gender = torch.tensor([5.0, 25.0, 45.0, 65.0]), torch.tensor([0, 1, 0, 1])
    straight = Run.start(TINY, torch.device("cpu"), shards=2)
    for batch in frames[:2]:
        straight.step(batch, age, gender)
    straight.save(tmp_path / "state.pt")
    for batch in frames[2:]:
        straight.step(batch, age, gender)
    resumed = Run.start(TINY, torch.device("cpu"), shards=2)
    torch.manual_seed(99)
    resumed.resume(tmp_path / "state.pt")
    for batch in frames[2:]:
        resumed.step(batch, age, gender)
    assert resumed.seen == straight.seen == 16
    for mine, other in ((resumed.network, straight.network), (resumed.average, straight.average)):
        for name, tensor in other.state_dict().items():
            assert torch.equal(mine.state_dict()[name], tensor), name


def test_a_run_goes_on_by_the_plan_that_it_began_with(tmp_path: Path) -> None:
    """Unfinished, it may become longer, and nothing else; finished, it is what it is."""
    run = Run.start(TINY, torch.device("cpu"))
    longer = Run.start(replace(TINY, images=2 * TINY.images), torch.device("cpu"))
    faster = Run.start(replace(TINY, rate=2 * TINY.rate), torch.device("cpu"))
    run.save(tmp_path / "state.pt")
    longer.resume(tmp_path / "state.pt")
    with pytest.raises(ConfigError, match="unfinished run, rate differ"):
        faster.resume(tmp_path / "state.pt")
    run.progress = 1.0
    run.save(tmp_path / "state.pt")
    with pytest.raises(ConfigError, match="finished run of 0 images, images differ"):
        longer.resume(tmp_path / "state.pt")


def test_a_run_can_begin_with_the_weights_of_another(tmp_path: Path) -> None:
    """It takes their average, head included, counts what they have seen, and has a cycle of its own."""
    first = Run.start(TINY, torch.device("cpu"))
    frames = torch.randint(0, 256, (4, 48, 48, 3), dtype=torch.uint8)
    first.step(frames, torch.tensor([5.0, 25.0, 45.0, 65.0]), torch.tensor([0, 1, 0, 1]))
    first.save(tmp_path / "state.pt")
    second = Run.start(TINY, torch.device("cpu"), shards=2)
    second.warm_start(tmp_path / "state.pt", frames)
    assert (second.seen, second.before, second.progress) == (0, 4, 0.0)
    for network in (second.network, second.average):
        for name, tensor in first.average.state_dict().items():
            assert torch.equal(network.state_dict()[name], tensor), name
    for mine, other in zip(second.replicas[0].layers.buffers(), first.average.layers.buffers(), strict=True):
        assert torch.equal(mine, other)


def test_a_run_that_goes_further_sees_other_views(data: stills.Stills) -> None:
    """Behind those that the weights it begins with have seen."""
    rows = np.arange(12)
    run = Run.start(TINY, torch.device("cpu"))
    supply = still_batches.batches(data, rows, run)
    whole = [next(supply)[1].tolist() for _ in range(4)]
    run.before = 8
    assert [next(still_batches.batches(data, rows, run))[1].tolist()] == whole[2:3]


def test_a_run_can_begin_with_a_released_backbone(tmp_path: Path) -> None:
    """Its convolutions compute the released map, its head is the one beside; what it had seen before is counted, and
    what its own run had begun with is what this one has, the licence of that included."""
    torch.manual_seed(3)
    released = Backbone()
    checkpoint.save(released, tmp_path, {"images_seen": 5, "images_seen_before": 2})
    head = FrameHead()
    save_head(head, tmp_path / HEAD)
    frames = torch.randint(0, 256, (4, 48, 48, 3), dtype=torch.uint8)
    run = Run.start(TINY, torch.device("cpu"), shards=2)
    run.warm_start(tmp_path, frames)
    assert run.before == 7 and run.begun == "further from random"
    run.save(tmp_path / "state.pt")
    other = Run.start(TINY, torch.device("cpu"))
    other.warm_start(tmp_path / "state.pt", frames)
    assert other.begun == run.begun and other.licence is None
    checkpoint.save(released, tmp_path, {"begun": "from scratch", "licence": "BSD-3-Clause"})
    other.warm_start(tmp_path, frames)
    assert (other.begun, other.licence) == ("from scratch", "BSD-3-Clause")
    assert torch.equal(run.network.head.age.weight, head.age.weight)
    with torch.no_grad():
        for network in (run.network, run.average, *run.replicas):
            torch.testing.assert_close(network.eval().map(frames), released.map(frames), rtol=1e-3, atol=1e-2)


def test_the_licence_of_the_start_goes_with_the_run(tmp_path: Path) -> None:
    """Into what is saved, what begins with that, and the card; states of before they held it are read too."""
    run = Run.start(TINY, torch.device("cpu"))
    run.licence = "BSD-3-Clause"
    run.save(tmp_path / "state.pt")
    resumed, further = (Run.start(TINY, torch.device("cpu")) for _ in range(2))
    resumed.resume(tmp_path / "state.pt")
    further.warm_start(tmp_path / "state.pt", torch.zeros(0))
    assert resumed.licence == further.licence == run.licence
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    del state["licence"]
    torch.save(state, tmp_path / "state.pt")
    resumed.resume(tmp_path / "state.pt")
    assert resumed.licence is None
    both = licence_of({"licence": run.licence})
    assert both.startswith(LICENCE) and both.endswith(run.licence)
    assert licence_of({}) == licence_of({"licence": LICENCE}) == LICENCE and licence_of({"licence": both}) == both


def test_runs_are_averaged_as_the_last_of_them(tmp_path: Path) -> None:
    """Averages midway between those of the runs; everything else, and what a run alone gives, is the last one's."""
    for place, name in enumerate(("first", "last")):
        run = Run.start(replace(TINY, seed=place), torch.device("cpu"))
        run.before, run.seen = 16 * place, 16
        run.save(tmp_path / name / "state.pt")
    first, last, mean = (
        still_average.average([tmp_path / name for name in names])
        for names in (("first",), ("last",), ("first", "last"))
    )
    kernels = [found.average.layers[3].weight for found in (first, last, mean)]
    assert not torch.equal(kernels[0], kernels[1])
    torch.testing.assert_close(kernels[2], (kernels[0] + kernels[1]) / 2)
    assert torch.equal(mean.network.layers[3].weight, last.network.layers[3].weight)
    assert (mean.before, mean.seen, mean.plan) == (16, 16, last.plan)
    assert mean.begun == "mean of 2 runs, from scratch"
    assert torch.equal(last.average.head.age.weight, run.average.head.age.weight)


def test_convolutions_without_a_head_are_given_one_that_suits_them(data: stills.Stills, monkeypatch) -> None:
    """Its answers to the stills that it was fitted to are better than a new head's; convolutions stay as they were."""
    monkeypatch.setattr(still_head, "EPOCHS", 100)
    run = Run.start(TINY, torch.device("cpu"))
    before = {name: tensor.clone() for name, tensor in run.network.layers.state_dict().items()}
    crops, rows = data.centre(PARTS["train"]), PARTS["train"]

    def error() -> float:
        with torch.inference_mode():
            answers = run.network.eval()(torch.from_numpy(crops))
            labels = Labels.of(torch.from_numpy(data.age[rows]), torch.from_numpy(data.gender[rows]), TINY)
        return float(loss(*answers, labels, TINY))

    at_first = error()
    backbone.fit_head(run, data, PARTS)
    assert error() < 0.8 * at_first
    assert torch.equal(run.average.head.age.weight, run.network.head.age.weight)
    assert all(torch.equal(tensor, before[name]) for name, tensor in run.network.layers.state_dict().items())


@pytest.mark.parametrize("shards", [1, 2])
def test_a_step_follows_the_gradient(shards: int) -> None:
    """The first step is the sign of each weight's own gradient, of a kernel that made orthogonal, whatever
    lies how in memory."""
    run = Run.start(TINY, torch.device("cpu"), shards)
    before = {name: tensor.detach().clone() for name, tensor in run.network.named_parameters()}
    frames = torch.randint(0, 256, (4, 48, 48, 3), dtype=torch.uint8)
    run.step(frames, torch.tensor([5.0, 25.0, 45.0, 65.0]), torch.tensor([0, 1, 0, 1]))
    kernels = {id(kernel) for kernel in run.optimisers[1].param_groups[0]["params"]}
    assert len(kernels) == 9
    for name, tensor in run.network.named_parameters():
        assert tensor.grad is not None
        step, expected = before[name] - tensor.detach(), tensor.grad.sign()
        if id(tensor) in kernels:
            expected = muon.orthogonal(tensor.grad.flatten(1))
        assert float(cosine_similarity(step.flatten(), expected.flatten(), dim=0)) > 0.95, name


@pytest.mark.parametrize(("numbers", "apart"), [(torch.float32, 1e-3), (torch.bfloat16, 0.1)])
@settings(max_examples=20, deadline=None)
@given(st.integers(2, 40), st.integers(0, 40), st.floats(1e-6, 1e6), st.integers(0, 2**16))
def test_an_orthogonal_step_moves_all_directions_alike(
    numbers: torch.dtype, apart: float, rows: int, more: int, scale: float, seed: int
) -> None:
    """Same singular vectors, singular values near 1, whatever the scale."""
    torch.manual_seed(seed)
    left, values, right = torch.linalg.svd(torch.randn(rows, rows + more), full_matrices=False)
    matrix = scale * left @ values.clamp_min(0.1 * values.max()).diag() @ right
    with mock.patch.object(precision, "fastest", return_value=numbers):
        made = left.T @ muon.orthogonal(matrix) @ right.T
    assert 0.6 - apart < made.diagonal().min() and made.diagonal().max() < 1.3 + apart
    assert (made - made.diagonal().diag()).abs().max() < apart


def test_shards_give_the_gradient_of_the_batch(monkeypatch) -> None:
    """Two equal halves worked on side by side pull as the batch of one of them does, and so do their statistics."""
    monkeypatch.setattr(precision, "has_bfloat16", lambda _: False)  # bfloat16 alone turns it by 13 degrees
    frames = torch.randint(0, 256, (4, 48, 48, 3), dtype=torch.uint8).repeat(2, 1, 1, 1)
    age, gender = torch.tensor([5.0, 25.0, 45.0, 65.0]).repeat(2), torch.tensor([0, 1, 0, 1]).repeat(2)
    whole, halved = (Run.start(TINY, torch.device("cpu"), shards) for shards in (1, 2))
    gradients = []
    for run in (whole, halved):
        run.network.head.drop.p = 0.0
        run.plan = replace(TINY, rate=0.0, clip=1e9, mixed=0.0)
        run.step(frames, age, gender)
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in run.network.parameters()]))
    assert torch.cosine_similarity(*gradients, dim=0) > 0.9999
    for name, buffer in whole.network.named_buffers():
        torch.testing.assert_close(dict(halved.network.named_buffers())[name], buffer, rtol=0.15, atol=0.01)


def test_batches_go_on_where_the_run_stands(data: stills.Stills) -> None:
    """The stream of augmented crops depends on the images seen, not on when it was opened."""
    run = Run.start(TINY, torch.device("cpu"))
    stream = still_batches.batches(data, PARTS["train"], run)
    next(stream)
    crops, rows = next(stream)
    run.seen = TINY.batch
    again, same_rows = next(still_batches.batches(data, PARTS["train"], run))
    assert np.array_equal(rows, same_rows) and np.array_equal(crops, again)


def test_a_run_ends_with_a_release_that_loads(data: stills.Stills, tmp_path: Path) -> None:
    """Training writes its log, the folded average with features of about unit size, its head and calibration crops."""
    folder = tmp_path / "new"
    run = backbone.train(data, PARTS, TINY, folder)
    assert run.progress == 1.0 and run.seen == TINY.images
    released = checkpoint.load_backbone(folder / "release")
    head = load_head(folder / "release" / "head.safetensors")
    crops = torch.from_numpy(data.centre(np.arange(12)))
    network = backbone.averaged(run, data, PARTS["train"])
    with torch.inference_mode():
        maps = released.map(crops)
        torch.testing.assert_close(maps, network.map(crops), rtol=1e-2, atol=1e-2)
        torch.testing.assert_close(head(maps)[0], network(crops)[0], rtol=1e-2, atol=2e-2)
        assert 0.5 < released(crops).float().square().mean().sqrt() < 2
    with np.load(folder / "calibration.npz") as stored:
        assert stored["frames"].shape == (10, 96, 96, 3)
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["seen"] == TINY.images and 0 <= lines[-1]["validation_gender"] <= 1


def test_a_release_that_an_interruption_prevented_is_made_later(data: stills.Stills, tmp_path: Path) -> None:
    """A run that had only to be released is released when it is run again, and once more is left alone."""
    backbone.train(data, PARTS, TINY, tmp_path)
    path = tmp_path / "release" / checkpoint.CONFIG
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"provenance": record["provenance"] | {"images_seen": 8}}))
    backbone.train(data, PARTS, TINY, tmp_path)
    assert json.loads(path.read_text())["provenance"]["images_seen"] == TINY.images
    written = path.stat().st_mtime_ns
    backbone.train(data, PARTS, TINY, tmp_path)
    assert path.stat().st_mtime_ns == written


def test_a_run_of_a_backbone_is_not_trained_beside(tmp_path: Path) -> None:
    """Two would write one state by turns: the second command ends with one line."""
    command = [sys.executable, "-m", "training.backbone", "--folder", str(tmp_path)]
    with run_record.held(tmp_path):
        second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert second.returncode == 1
    assert second.stderr.splitlines()[-1] == f"error: another process trains the run in {tmp_path}"
