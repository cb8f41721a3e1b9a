"""What is shipped as checkpoints that training can use."""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

from export import release
from export.triton import FLOAT16_FILE, MODEL_FILE
from networks import checkpoint
from networks.siam import SiamFrames, SiamSequence
from smile.card import METADATA_CARD
from smile.tensors import BACKBONE, RELATIONS, SIAM_FRAMES, SIAM_SEQUENCE
from training import shipped


def test_the_checkpoint_computes_what_is_served(tmp_path: Path) -> None:
    """Same features as the float16 graph, and its licence stays with the weights."""
    folder = shipped.write(tmp_path / "backbone")
    network = checkpoint.load_backbone(folder)
    frames = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3), dtype=np.uint8)
    graph = shipped.REPOSITORY / json.loads((folder / checkpoint.CONFIG).read_text())["provenance"]["file"]
    session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
    (served,) = session.run(None, {BACKBONE.inputs[0].name: frames})
    with torch.inference_mode():
        found = network(torch.from_numpy(frames)).numpy()
    np.testing.assert_allclose(found.astype(np.float32), served.astype(np.float32), atol=0.01)
    assert "licence" in json.loads((folder / checkpoint.CONFIG).read_text())["provenance"]


def test_siam_taken_back_computes_what_is_served(tmp_path: Path) -> None:
    """Its halves answer as the float16 graph of frames and the graph of sequences do, and it tells of its training."""
    assert shipped.write_siam(tmp_path).age_interval is not None
    network = checkpoint.load_siam(tmp_path)
    rng = np.random.default_rng(0)
    faces = rng.integers(0, 256, (2, 114, 114), dtype=np.uint8)
    frames, sequence = (
        ort.InferenceSession(next(shipped.REPOSITORY.glob(f"{graph}/*/{file}")), providers=["CPUExecutionProvider"])
        for graph, file in ((SIAM_FRAMES.name, FLOAT16_FILE), (SIAM_SEQUENCE.name, MODEL_FILE))
    )
    with torch.inference_mode():
        appearance, spatial = (half.numpy() for half in SiamFrames(network)(torch.from_numpy(faces)))
        years, temporal = SiamSequence(network)(torch.from_numpy(appearance)[None], torch.tensor([2]))
    served = frames.run(None, {SIAM_FRAMES.inputs[0].name: faces})
    np.testing.assert_allclose(appearance.astype(np.float32), served[0].astype(np.float32), atol=0.01)
    np.testing.assert_allclose(spatial, served[1], atol=0.01)
    feeds = {"appearance": appearance[None], "frame_count": np.array([2])}
    for mine, theirs in zip((years, temporal), sequence.run(None, feeds), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-4)
    assert json.loads((tmp_path / checkpoint.CONFIG).read_text())["provenance"]["stills"] > 10_000


def test_what_the_weights_have_seen_is_counted_on(tmp_path: Path) -> None:
    """A run that begins with shipped weights knows how much they have learned from, and what they began with."""
    graph = next(shipped.REPOSITORY.glob(f"{BACKBONE.name}/*/{shipped.FLOAT16_FILE}"))
    copy = tmp_path / "repository" / BACKBONE.name / "1" / graph.name
    copy.parent.mkdir(parents=True)
    model = onnx.load(graph)
    entry = next(entry for entry in model.metadata_props if entry.key == METADATA_CARD)
    card = json.loads(entry.value)
    card["report"] |= {"backbone_views": 4321, "backbone_begun": "from elsewhere"}
    entry.value = json.dumps(card)
    onnx.save(model, copy)
    folder = shipped.write(tmp_path / "backbone", tmp_path / "repository")
    provenance = json.loads((folder / checkpoint.CONFIG).read_text())["provenance"]
    assert (provenance["images_seen"], provenance["begun"]) == (4321, "from elsewhere")


def test_the_release_computes_what_is_served(tmp_path: Path) -> None:
    """The networks of both traits answer as the relations graph does, whatever is masked and however long the clip."""
    found = release.load(shipped.write_release(tmp_path)).relations
    rng = np.random.default_rng(0)
    masks = np.concatenate([np.ones((1, 9)), 1 - np.eye(9)]).astype(np.float32)
    feeds = {
        "regions": rng.random((2, 16, 9, 2048)).astype(np.float16),
        "frame_count": np.array([16, 9]),
        "region_mask": np.stack([masks, masks]),
    }
    (graph,) = shipped.REPOSITORY.glob(f"{RELATIONS.name}/*/{MODEL_FILE}")
    served = ort.InferenceSession(graph, providers=["CPUExecutionProvider"]).run(None, feeds)
    with torch.inference_mode():
        exact = found(*(torch.from_numpy(feeds[tensor.name]) for tensor in RELATIONS.inputs))
    for one, other in zip(served, exact, strict=True):
        np.testing.assert_allclose(one, other.numpy(), atol=1e-4)


def test_a_repository_without_a_backbone_is_named(tmp_path: Path) -> None:
    """Nothing is written."""
    with pytest.raises(shipped.NotShipped, match="backbone"):
        shipped.write(tmp_path / "out", tmp_path)
    assert not (tmp_path / "out").exists()
