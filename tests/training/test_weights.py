"""The run that ends in released weights, as far as it goes without training: what is released, and how it is judged."""

from pathlib import Path

import numpy as np
import pytest
import torch

from networks import checkpoint
from networks.backbone import Backbone
from networks.config import TRAITS, NetworkConfig, Trait
from networks.network import InterpreterNetwork
from smile.card import Card
from smile.tensors import GENDERS
from training import simulated_features, still_split, stills, weights_backbone, weights_plan
from training.corruptions import CORRUPTIONS
from training.datasets import Clip, Dataset
from training.feature_store import Recipe
from training.run_config import ConfigError
from training.siam_weights import OPTIMISATION, SiamWeights
from training.simulated_features import CORRUPTED, EXACT, SmileFeatures
from training.still_network import HEAD, FrameHead, save_head
from training.stills import Stills
from training.weights import Plan, Weights, of_options
from training.weights_evaluation import Evaluation

NARROW = {"fc1": 8, "lstm": 8, "relation": (8, 8), "estimator": (8, 4)}
CALIBRATION, TEST = 80, 5
OVERCONFIDENT = 3.0


def made(trait: Trait) -> InterpreterNetwork:
    """A seeded network whose answers spread over people."""
    torch.manual_seed(1)
    network = InterpreterNetwork(NetworkConfig(trait, "full", **NARROW)).eval()
    *_, last = (layer for layer in network.estimator.modules() if isinstance(layer, torch.nn.Linear))
    with torch.no_grad():
        last.weight *= 1000
        last.bias[-1] -= 26  # about what it says of all
    return network


def logit(female: np.ndarray) -> np.ndarray:
    return np.log(female / (1 - female))


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> SmileFeatures:
    """Calibration smiles of which the network is too sure, and test smiles, as they are and corrupted."""
    folder, rng = tmp_path_factory.mktemp("features"), np.random.default_rng(0)
    parts = {"calibration": CALIBRATION, EXACT: TEST} | {
        CORRUPTED.format(part=EXACT, corruption=c): 2 for c in CORRUPTIONS
    }
    shown = {}
    for part, count in parts.items():
        (folder / part).mkdir()
        for row in range(count):
            name = f"{part}/{stills.name_key(f'{row}.jpg')}"
            shown[name] = (rng.random((8, 9, 2048)) * rng.uniform(0, 2)).astype(np.float16)
            np.save(folder / f"{name}.npy", shown[name])
    sure = logit(simulated_features.answer(made("gender"), shown.values()))
    female = rng.random(len(shown)) < 1 / (1 + np.exp(-sure / OVERCONFIDENT))
    clips = tuple(
        Clip(name, folder / name, name.split("/")[1], 30, GENDERS[int(label)], "posed")
        for name, label in zip(shown, female, strict=True)
    )
    return SmileFeatures(
        Dataset("planted", clips, True), Recipe("", "", ""), folder, {name: name for name in shown}, {}, {}
    )


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Weights:
    """With trained heads, the gender's at the temperature that its own run fitted."""
    count = CALIBRATION
    data = Stills(
        np.array([f"{row}.jpg" for row in range(count)]), *np.zeros((4, count)), np.zeros((count, 2)), np.zeros(0)
    )
    monkeypatch.setattr(stills, "load", lambda *_, **__: data)
    monkeypatch.setattr(still_split, "load_split", lambda found: still_split.split(found, np.arange(count)))
    checkpoint.save(Backbone(), tmp_path / "backbone")
    save_head(FrameHead(), tmp_path / "backbone" / HEAD)
    begun = Weights(Plan(), tmp_path / "run", tmp_path / "backbone")
    for trait in TRAITS:
        network = made(trait)
        if trait == "gender":
            network.answer.temperature.fill_(0.5)
        checkpoint.save(network, begun.out / "heads" / trait / "network")
    return begun


def test_the_temperature_is_fitted_anew(run: Weights, features: SmileFeatures) -> None:
    """On calibration smiles, whatever the head's own run had fitted; there, doubt is as large as the errors."""
    run.release(features)
    released = run.network(run.out / "release" / "gender")
    clips = features.part("calibration")
    sure = logit(simulated_features.answer(made("gender"), map(features.regions, clips)))
    found = simulated_features.answer(released, map(features.regions, clips))
    temperature = float(released.answer.temperature)
    assert temperature > 2 and logit(found) == pytest.approx(sure / temperature, abs=1e-3)
    labels = np.array([clip.gender == "female" for clip in clips])
    assert (sure * (found - labels)).mean() == pytest.approx(0, abs=0.02 * np.abs(sure).mean())
    assert Card.from_json((run.out / "release" / "card.json").read_text()).age_interval is None


def test_test_smiles_are_answered_once(run: Weights, features: SmileFeatures, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each trait by its own network, in the order of the stills; a run that goes on does not look at them again."""
    run.release(features)
    asked: list[object] = []
    monkeypatch.setattr(run.material, "features", lambda parts: asked.append(parts) or features)
    evaluation = Evaluation(run.out / "evaluation", run.material.data, Card("n", None, "l", 25.0))
    for _ in range(2):
        run.answer_exactly(evaluation)
    assert asked == [(EXACT,)]
    with np.load(evaluation.folder / f"{EXACT}.npz") as answers:
        assert answers["rows"].tolist() == list(range(TEST))
        for row in range(TEST):
            regions = np.load(features.folder / EXACT / f"{stills.name_key(f'{row}.jpg')}.npy")
            for name, trait in (("age", "age"), ("female", "gender")):
                network = run.network(run.out / "release" / trait)
                assert answers[name][row] == simulated_features.answer(network, [regions])[0]


def test_another_plan_does_not_go_on_in_its_folder(run: Weights) -> None:
    """The same plan does; SIAM's run waits for the first network's."""
    backbone = run.material.backbone
    Weights(Plan(), run.out, backbone)
    with pytest.raises(ConfigError, match="another plan or backbone"):
        Weights(Plan(views=1), run.out, backbone)
    with pytest.raises(ConfigError, match=r"run training\.weights with the same options first"):
        SiamWeights(run, OPTIMISATION)
    (backbone / HEAD).unlink()
    with pytest.raises(ConfigError, match="head.safetensors"):
        Weights(Plan(), run.out, backbone)


def test_a_backbone_that_is_given_is_scored(run: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the test stills, by its own head, as one that the run itself trains: the card tells its scores."""
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr(weights_backbone, "python", lambda *command: asked.append(command))
    backbone = run.material.backbone
    given = ["--backbone", str(backbone), "--out", str(run.out)]
    assert of_options(weights_plan.parser("", "").parse_args(given)).material.backbone == backbone
    assert asked == [("training.evaluate_stills", "--part", "test", "--folder", str(backbone))]
