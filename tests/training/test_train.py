"""Runs of training through the command line, on features with a planted signal."""

import hashlib
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from networks import checkpoint
from networks.config import Ablation, NetworkConfig, network_config
from networks.siam_config import siam_config
from tests.training import planted_features
from training import datasets, feature_store, predictions, protocol, run_config, run_record, train
from training.batches import Batch, BucketedBatches, Clips
from training.feature_store import Features
from training.module import SELECTION, TraitModule
from training.optimisation import Optimisation
from training.run_config import ConfigError, from_dict
from training.siam_module import SiamModule, SiamOptimisation
from training.standardise import statistics

ROOT = Path(__file__).resolve().parents[2]
LAYERS = {"fc1": 32, "lstm": 32, "relation": [64, 64], "estimator": [32, 16]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("planted")
    planted_features.make(made)
    return made


def values(folder: Path, name: str, **changes: object) -> dict:
    optimisation = {"rate": 3e-3, "epochs": 6, "batch": 8} | changes.pop("optimisation", {})  # type: ignore[operator]
    base = {"data": "clips.csv", "split": "folds.json", "backbone": "backbone", "cache": "cache", "out": name}
    paths = {key: str(folder / value) for key, value in base.items()}
    return paths | {"trait": "age", "width": "compact", "layers": LAYERS, "optimisation": optimisation} | changes


def written(folder: Path, name: str, **changes: object) -> str:
    config = folder / f"{name}.yaml"
    config.write_text(yaml.safe_dump(values(folder, name, **changes)))
    return str(config)


def start(folder: Path, name: str, **changes: object) -> subprocess.Popen:
    command = [sys.executable, "-m", "training.train", "--config", written(folder, name, **changes), "--threads", "1"]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen) -> None:
    _, errors = process.communicate()
    assert process.returncode == 0, errors[-3000:]


def refused(config: str) -> str:
    """What the command line says of a run that fails."""
    with pytest.raises(SystemExit) as ended:
        train.main(["--config", config])
    return str(ended.value)


def answers(folder: Path, name: str) -> list[float]:
    _, items = predictions.read([folder / name / "predictions.jsonl"])
    return [item.prediction for item in items]


def test_killed_run_goes_on_to_the_same_answers(folder: Path) -> None:
    """kill -9 after an epoch, run again: the predictions are those of an undisturbed run, to the last digit."""
    long = {"epochs": 30, "patience": 30, "schedule": "cosine"}
    finish(start(folder, "undisturbed", optimisation=long))
    victim = start(folder, "killed", optimisation=long)
    while victim.poll() is None and not (folder / "killed" / "checkpoints" / "last.ckpt").exists():
        time.sleep(0.005)
    victim.send_signal(signal.SIGKILL)
    victim.communicate()
    assert victim.returncode == -signal.SIGKILL
    assert not (folder / "killed" / "predictions.jsonl").exists()
    finish(start(folder, "killed", optimisation=long))
    assert answers(folder, "killed") == answers(folder, "undisturbed")
    network = checkpoint.load_network(folder / "killed" / "network")
    provenance = json.loads((folder / "killed" / "network" / "config.json").read_text())["provenance"]
    assert network.config.trait == "age" and provenance["epochs"] == 30
    assert provenance["split"] == protocol.load(folder / "folds.json").hash
    assert provenance["backbone"] == "random"


def test_a_run_that_is_trained_is_not_trained_beside(folder: Path) -> None:
    """Whoever finished first would remove the other's checkpoints: the second command ends with one line."""
    with run_record.held(folder / "held"):
        second = start(folder, "held")
        _, errors = second.communicate()
    assert second.returncode == 1 and not (folder / "held" / "run.json").exists()
    assert errors.splitlines()[-1] == f"error: another process trains the run in {folder / 'held'}"


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs whose first epoch is their best, and which are interrupted before they answer."""

    def worse(module: TraitModule) -> None:
        module.log(SELECTION, float(module.current_epoch))

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(TraitModule, "on_validation_epoch_end", worse)
    monkeypatch.setattr(train.answers, "fit_temperature", interrupt)


@pytest.mark.filterwarnings("ignore:.*LeafSpec.*", "ignore:.*does not have many workers.*")
def test_a_run_goes_on_from_its_last_epoch(folder: Path, stopped: None) -> None:
    """Not from its best one, which here is the first."""
    config = from_dict(values(folder, "worse", optimisation={"epochs": 3}), "x")
    with pytest.raises(KeyboardInterrupt):
        train.run(config)
    checkpoints = folder / "worse" / "checkpoints"
    epochs = {name: torch.load(checkpoints / f"{name}.ckpt", weights_only=False)["epoch"] for name in ("best", "last")}
    assert epochs == {"best": 0, "last": 2}


@pytest.mark.filterwarnings("ignore:.*LeafSpec.*", "ignore:.*many workers.*", "ignore:.*is not empty.*")
def test_a_run_that_has_ended_does_not_go_on(folder: Path, stopped: None) -> None:
    """Killed while it answers, it answers when it is run again: nothing had helped for `patience` epochs before."""
    config = from_dict(values(folder, "ended", optimisation={"patience": 1}), "x")
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            train.run(config)
        assert torch.load(folder / "ended" / "checkpoints" / "last.ckpt", weights_only=False)["epoch"] == 1


@pytest.mark.filterwarnings("ignore:.*LeafSpec.*", "ignore:.*many workers.*")
def test_without_patience_an_epoch_is_trained(folder: Path) -> None:
    """A run that stops at the first epoch without a gain has that epoch."""
    config = from_dict(values(folder, "impatient", optimisation={"patience": 0, "epochs": 1}), "x")
    train.run(config)
    provenance = json.loads((folder / "impatient" / "network" / "config.json").read_text())["provenance"]
    assert provenance["epochs"] == 1


def test_two_processes_train_as_one(folder: Path) -> None:
    """Two gloo processes that share each batch reach the error of one, far below that of guessing the mean age."""
    same = {"accelerator": "cpu", "optimisation": {"epochs": 30, "batch": 16, "patience": 30}}
    runs = [start(folder, f"on_{count}", devices=count, **same) for count in (1, 2)]
    for run in runs:
        finish(run)
    found = [predictions.read([folder / f"on_{count}" / "predictions.jsonl"])[1] for count in (1, 2)]
    one, two = (np.mean([item.error() for item in items]) for items in found)
    ages = np.array([item.age for item in found[0]])
    guess = np.abs(ages - ages.mean()).mean()
    assert max(one, two) < 0.8 * guess
    assert abs(one - two) < 0.2 * guess


@pytest.mark.parametrize(("trait", "ablation"), [("gender", "full"), ("age", "holistic"), ("gender", "image_cnn")])
def test_other_networks_learn_and_answer(folder: Path, trait: str, ablation: str) -> None:
    """Every kind of network goes the whole way; one that sees the features learns the planted trait."""
    layers = LAYERS if ablation != "image_cnn" else {}
    epochs = 1 if ablation == "image_cnn" else 40
    plan = {"epochs": epochs, "patience": 40}
    config = written(folder, ablation, trait=trait, ablation=ablation, layers=layers, optimisation=plan)
    train.main(["--config", config])
    _, items = predictions.read([folder / ablation / "predictions.jsonl"])
    assert {item.method for item in items} == {ablation} and len(items) > 20
    assert all((item.importance is not None) == (ablation == "full") for item in items)
    assert all(len(item.zeroed) == (10 if ablation == "full" else 0) for item in items)
    if ablation == "full":
        assert np.mean([item.correct for item in items]) > 0.8
    if ablation == "holistic":
        mean = np.mean([item.age for item in items])
        assert np.mean([item.error() for item in items]) < 0.8 * np.mean([abs(item.age - mean) for item in items])


def test_loss_that_is_not_finite_stops_with_its_parts(folder: Path) -> None:
    """A learning rate beyond reason ends in a message that tells outputs, targets, inputs and clips."""
    said = refused(written(folder, "diverged", optimisation={"rate": 1e30}))
    for part in ("the loss is nan", "outputs", "targets", "inputs up to", "not finite", "rate 1e+30", "clips s"):
        assert part in said


def test_features_of_validation_that_are_not_finite_stop_a_run(tmp_path: Path) -> None:
    """One cached number beyond float16 in a clip that selects the epoch: the run ends, and names the clip."""
    dataset = planted_features.make(tmp_path, subjects=30)
    clip = protocol.load(tmp_path / "folds.json").sides(dataset, 0).validation[0]
    (cached,) = (tmp_path / "cache").glob(f"*/{hashlib.sha256(clip.path.read_bytes()).hexdigest()}.npy")
    values = np.load(cached)
    values[3, 4, 5] = np.inf
    np.save(cached, values)
    said = refused(written(tmp_path, "poisoned"))
    assert said.startswith("error: the validation loss is nan")
    assert clip.name in said and "inputs up to inf" in said
    assert not (tmp_path / "poisoned" / "predictions.jsonl").exists()


def test_directory_of_another_run_is_refused(folder: Path) -> None:
    """Changing the configuration under a begun run is an error that names what differs."""
    train.main(["--config", written(folder, "claimed", optimisation={"epochs": 1})])
    said = refused(written(folder, "claimed", optimisation={"epochs": 2}))
    assert "holds another run: config.optimisation.epochs differ" in said


def test_a_run_goes_on_however_its_paths_are_spelled(tmp_path: Path) -> None:
    """What lies there is compared: labels, content, folds and features."""
    config = {"data": "clips.csv", "split": "folds.json", "out": "run", "layers": {"relation": (32, 32)}, "fold": 0}
    same = config | {"data": "/data/clips.csv", "split": "/data/folds.json", "out": "/data/run"}
    run_record.claim(tmp_path / "run.json", {"config": config, "data": {"digest": "a"}, "split": "b"})
    run_record.claim(tmp_path / "run.json", {"config": same, "data": {"digest": "a"}, "split": "b"})
    with pytest.raises(ConfigError, match=r"another run: config\.fold, data\.digest, split differ"):
        run_record.claim(tmp_path / "run.json", {"config": same | {"fold": 1}, "data": {"digest": "c"}, "split": "d"})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tariff": 1}, "tariff is unknown"),
        ({"optimisation": {"epochs": "many"}}, "optimisation.epochs is 'many', not int"),
        ({"trait": "height"}, "trait is 'height'"),
        ({"fold": -1}, "x.yaml: fold is -1, not an integer from 0"),
        ({"fold": 1.0}, "x.yaml: fold is 1.0, not int"),
        ({"layers": {"wings": 2}}, "wings"),
        ({"layers": {"lstm_dropout": 7}}, "x.yaml: lstm_dropout is 7, not a rate"),
        ({"optimisation": {"batch": 0}}, "x.yaml: batch is 0, not at least 1"),
        ({"optimisation": {"rate": -1.0}}, "x.yaml: rate is -1.0, not a finite number above 0"),
        ({"frame_rate_hz": -3.0}, "x.yaml: frame_rate_hz is -3.0, not from 5 to 50"),
        ({"devices": 0}, "x.yaml: devices is 0, not an integer from 1"),
        ({"optimisation": {"schedule": "steps"}}, "x.yaml: schedule is 'steps', not one of plateau, cosine"),
    ],
)
def test_configuration_errors_name_the_key(tmp_path: Path, change: dict, message: str) -> None:
    """A wrong key or value is found before anything is read."""
    with pytest.raises(ConfigError, match=message):
        from_dict(values(tmp_path, "x") | change, "x.yaml")


def test_set_changes_one_key(tmp_path: Path) -> None:
    """--set reaches into a mapping and leaves its other keys; the later one counts."""
    file = tmp_path / "x.yaml"
    file.write_text(yaml.safe_dump(values(tmp_path, "x")))
    before = run_config.read(file)
    config = run_config.read(file, ["optimisation.rate=1e-3", "layers.fc1=16", "fold=1", "fold=2", "out=a=b"])
    assert config.optimisation == replace(before.optimisation, rate=1e-3)
    assert config.layers == LAYERS | {"fc1": 16}
    assert (config.fold, config.out, config.trait) == (2, "a=b", before.trait)
    file.write_text(yaml.safe_dump(values(tmp_path, "x") | {"optimisation": None}))
    assert run_config.read(file, ["optimisation.rate=2.5E2"]).optimisation == Optimisation(rate=250.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("fold", "'fold' is not KEY=VALUE"),
        ("fold=[", "the value of 'fold=[' is not YAML"),
        ("trait.name=age", "trait is 'age': it has no name"),
        ("optimisation.speed=1", "x.yaml: optimisation.speed is unknown; known are rate, "),
        ("optimisation.epochs=1e1", "x.yaml: optimisation.epochs is 10.0, not int"),
    ],
)
def test_a_bad_set_is_one_plain_line(tmp_path: Path, change: str, message: str) -> None:
    """No traceback, and it names what was set."""
    file = tmp_path / "x.yaml"
    file.write_text(yaml.safe_dump(values(tmp_path, "x")))
    with pytest.raises(SystemExit) as ended:
        train.main(["--config", str(file), "--set", change])
    assert str(ended.value).startswith("error: ") and message in str(ended.value)
    assert "\n" not in str(ended.value)


def test_a_cosine_rate_falls_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of both papers' networks, by the epoch alone: a resumed run needs no memory of it."""
    plan = {"rate": 0.2, "epochs": 4, "schedule": "cosine"}
    first = TraitModule(network_config("age", "compact"), Optimisation(**plan), 0)
    for module in (first, SiamModule(siam_config("compact"), SiamOptimisation(**plan), 0)):
        optimiser = module.configure_optimizers()
        rates = []
        for epoch in (0, 1, 2, 3):
            monkeypatch.setattr(type(module), "current_epoch", epoch)
            module.on_train_epoch_start()
            rates += {group["lr"] for group in optimiser.param_groups}
        assert rates == pytest.approx([0.2, 0.1707, 0.1, 0.0293], abs=1e-4)


@pytest.mark.parametrize("ablation", ["full", "holistic"])
def test_long_clips_are_encoded_in_parts(ablation: Ablation, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loss and gradients are those of the whole batch, and no more than a part of it is encoded at once."""
    drops = {f"{name}_dropout": 0.0 for name in ("fc1", "lstm", "relation", "estimator")}
    narrow = {"fc1": 8, "lstm": 8, "relation": (8, 8), "estimator": (8, 4)}
    made = TraitModule(NetworkConfig("age", ablation, **narrow, **drops), Optimisation(), 0)
    count = torch.tensor([7, 10, 3, 9, 10])
    place = torch.arange(10).expand(5, -1)
    batch = Batch(torch.rand(5, 10, 9, 2048).half(), place, count, torch.rand(5), torch.arange(5))
    sizes: list[int] = []
    encode = made.network.encode
    monkeypatch.setattr(made.network, "encode", lambda *of: sizes.append(len(of[1])) or encode(*of))

    def gradients() -> dict[str, torch.Tensor]:
        made.zero_grad()
        made.loss(made(batch), batch.target).backward()
        return {name: p.grad.clone() for name, p in made.named_parameters() if p.grad is not None}

    whole = gradients()
    monkeypatch.setattr("training.module.ENCODED_AT_ONCE", 25)
    parts = gradients()
    assert sizes[0] == 5 and set(sizes[1:]) == {2, 1} and whole.keys() == parts.keys()
    for name, found in parts.items():
        torch.testing.assert_close(found, whole[name], rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_parts_are_encoded_again_with_the_same_dropout(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradients are those of keeping the activations of all parts."""
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU")
    monkeypatch.setattr("training.module.ENCODED_AT_ONCE", 20)
    narrow = {"fc1": 8, "lstm": 8, "relation": (8, 8), "estimator": (8, 4)}
    made = TraitModule(NetworkConfig("age", "full", **narrow, lstm_dropout=0.5), Optimisation(), 0).to(device)
    count, place = torch.full((5,), 10), torch.arange(10).expand(5, -1)
    batch = Batch(torch.rand(5, 10, 9, 2048).half(), place, count, torch.rand(5), torch.arange(5))
    batch = Batch(*(part.to(device) for part in batch))

    def gradient() -> torch.Tensor:
        torch.manual_seed(1)
        made.zero_grad()
        made.loss(made(batch), batch.target).backward()
        assert made.network.dynamics.fc1.weight.grad is not None
        return made.network.dynamics.fc1.weight.grad.clone()

    again = gradient()
    monkeypatch.setattr("training.module.checkpoint", lambda encode, *part, use_reentrant: encode(*part))
    torch.testing.assert_close(again, gradient(), rtol=1e-4, atol=1e-6)


def test_batches_cover_every_clip_once_and_split_over_processes() -> None:
    """Two ranks together see exactly the batches of one, each epoch in another order; sizes differ by at most one."""
    lengths = np.random.default_rng(0).integers(8, 256, 103).tolist()
    batches = list(BucketedBatches(lengths, 16, seed=1, epoch=5))
    ranks = [BucketedBatches(lengths, 16, seed=1, epoch=5, rank=rank, world=2) for rank in range(2)]
    assert sorted(row for batch in batches for row in batch) == list(range(103))
    assert max(map(len, batches)) - min(map(len, batches)) <= 1
    for batch, *parts in zip(batches, *ranks, strict=True):
        assert sorted(batch) == sorted(parts[0] + parts[1])
    assert list(BucketedBatches(lengths, 16, seed=1, epoch=6)) != batches


@pytest.mark.parametrize("seed", [None, 1])
def test_no_process_is_left_without_clips(seed: int | None) -> None:
    """Of three clips each of four processes gets some, as often as the others, so that the mean over all stays."""
    ranks = [list(BucketedBatches([9, 8, 12], 16, seed, rank=rank, world=4)) for rank in range(4)]
    assert all(len(batches) == 1 and batches[0] for batches in ranks)
    assert len(set(Counter(row for (batch,) in ranks for row in batch).values())) == 1
    assert {row for (batch,) in ranks for row in batch} == {0, 1, 2}


def test_collated_clips_are_padded_with_zeros(folder: Path) -> None:
    """What lies beyond a clip's length in a batch is zero, and what lies before it is the cache's."""
    config = from_dict(values(folder, "x"), "x")
    dataset = datasets.read(folder / "clips.csv")
    features: Features = feature_store.load(dataset, folder / "backbone", folder / "cache", config.frame_rate_hz)
    clips = Clips(features, features.dataset.clips[:3], config.network)
    batch = clips.collate([0, 1, 2])
    for row, count in enumerate(batch.frame_count.tolist()):
        assert (batch.inputs[row, count:] == 0).all()
        assert np.array_equal(batch.inputs[row, :count].numpy(), features.regions(clips.clips[row]))


def test_standardisation_is_folded_into_the_first_layer(folder: Path) -> None:
    """A module in training answers as the network that it releases, for shared regions and for the whole face."""
    dataset = datasets.read(folder / "clips.csv")
    for ablation in ("full", "holistic"):
        config = from_dict(values(folder, "x", ablation=ablation), "x")
        features = feature_store.load(dataset, folder / "backbone", folder / "cache", config.frame_rate_hz)
        batch = Clips(features, dataset.clips[:2], config.network).collate([0, 1])
        measured = statistics(features, dataset.clips, seed=0)
        module = TraitModule(config.network, Optimisation(), 0, features=measured).eval()
        with torch.inference_mode():
            before = module(batch)
            after = module.release()(batch.inputs, batch.frame_count).output[:, 0]
        assert torch.allclose(before, after, atol=1e-4)


def test_distillation_needs_the_backbones_own_head(folder: Path) -> None:
    """It is said before anything is trained, with the name of what is missing."""
    config = from_dict(values(folder, "headless", optimisation={"distillation": 0.5}), "headless.yaml")
    with pytest.raises(ConfigError, match=r"head\.safetensors"):
        train.run(config)
