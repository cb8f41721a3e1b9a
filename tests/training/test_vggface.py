"""VGG-Face comes back bit-equal from every published container, whichever channel order the file was trained for."""

import io
import struct

import cv2
import h5py
import numpy as np
import onnx
import pytest
import scipy.io
import torch
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from networks import checkpoint
from networks.backbone import Backbone
from training import caffemodel, vggface
from training.vggface import SHAPES
from training.vggface_formats import ImportFailed

SMALL = {name: tuple(s if s == 3 else s // 16 for s in shape[:2]) + shape[2:] for name, shape in SHAPES.items()}


def network(shapes):
    """Random weights as they should arrive: OIHW for RGB input, and one convolution more, as in the files."""
    rng = np.random.default_rng(0)
    shapes = shapes | {"conv5_1": (2, shapes["conv4_3"][0], 3, 3)}
    return [(n, rng.normal(size=s).astype("f4"), rng.normal(size=s[0]).astype("f4")) for n, s in shapes.items()]


def bgr(layers):
    """The same network for BGR input."""
    (name, weight, bias), *rest = layers
    return [(name, np.ascontiguousarray(weight[:, ::-1]), bias), *rest]


class LuaFile(io.BytesIO):
    """Writes what Torch 7's binary serialisation writes."""

    index = 0

    def ints(self, form, *values):
        self.write(struct.pack("<" + form, *values))

    def text(self, text):
        self.ints("i", len(text))
        self.write(text.encode())

    def number(self, value):
        self.ints("id", 1, value)

    def reference(self, kind):
        self.index += 1
        self.ints("ii", kind, self.index)
        return self.index

    def table(self, items):
        self.reference(3)
        self.ints("i", len(items))
        for key, write in items:
            if isinstance(key, str):
                self.ints("i", 2)
                self.text(key)
            else:
                self.number(key)
            write()

    def torch(self, name):
        index = self.reference(4)
        self.text("V 1")
        self.text(name)
        return index

    def tensor(self, array):
        self.torch("torch.FloatTensor")
        strides = [s // array.itemsize for s in array.strides]
        self.ints(f"i{2 * array.ndim + 1}q", array.ndim, *array.shape, *strides, 1)
        self.torch("torch.FloatStorage")
        self.ints("q", array.size)
        self.write(array.tobytes())

    def convolution(self, weight, bias):
        self.torch("nn.SpatialConvolutionMM")
        sizes = zip(("nOutputPlane", "nInputPlane", "kH", "kW"), weight.shape, strict=True)
        self.table(
            [(key, lambda value=value: self.number(value)) for key, value in sizes]
            + [("weight", lambda: self.tensor(weight.reshape(len(weight), -1))), ("bias", lambda: self.tensor(bias))]
            + [("train", lambda: self.ints("ii", 5, 0)), ("gradInput", lambda: self.ints("i", 0))]
        )

    def plain(self, name):
        self.torch(name)
        self.table([("train", lambda: self.ints("ii", 5, 0))])


def write_t7(path, layers):
    file = LuaFile()
    file.torch("nn.Sequential")
    modules = []
    for _, weight, bias in bgr(layers):
        modules += [lambda w=weight, b=bias: file.convolution(w, b), lambda: file.plain("nn.ReLU")]
    file.table([("modules", lambda: file.table(list(enumerate(modules, start=1))))])
    path.write_bytes(file.getvalue())


def caffe_messages(layer_type):
    """Message classes with the fields of caffe.proto, so that protobuf itself does the encoding."""
    proto = descriptor_pb2.FileDescriptorProto(name=f"{layer_type}.proto", package=layer_type, syntax="proto2")
    name, blobs, net = (4, 6, ("layers", 2)) if layer_type == "V1LayerParameter" else (1, 7, ("layer", 100))
    fields = {
        "BlobShape": [("dim", 1, 3, True, "")],
        "BlobProto": [(n, i + 1, 5, False, "") for i, n in enumerate(("num", "channels", "height", "width"))]
        + [("data", 5, 2, True, ""), ("shape", 7, 11, False, "BlobShape")],
        layer_type: [("name", name, 9, False, ""), ("blobs", blobs, 11, True, "BlobProto")]
        + ([("type", 5, 5, False, "")] if layer_type == "V1LayerParameter" else [("type", 2, 9, False, "")]),
        "NetParameter": [("name", 1, 9, False, ""), (*net, 11, True, layer_type)],
    }
    for message, members in fields.items():
        entry = proto.message_type.add(name=message)
        for field, number, kind, repeated, message_type in members:
            added = entry.field.add(name=field, number=number, type=kind, label=3 if repeated else 1)
            if message_type:
                added.type_name = f".{layer_type}.{message_type}"
            added.options.packed = repeated and kind in (2, 3)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(proto)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{layer_type}.NetParameter"))


def write_caffemodel(path, layers, layer_type="V1LayerParameter"):
    legacy = layer_type == "V1LayerParameter"
    net = caffe_messages(layer_type)(name="VGG_FACE_16_layers")
    for name, weight, bias in bgr(layers):
        layer = (net.layers if legacy else net.layer).add(name=name, type=4 if legacy else "Convolution")
        for array in (weight, bias):
            blob = layer.blobs.add(data=array.ravel().tolist())
            if legacy:
                blob.num, blob.channels, blob.height, blob.width = (1,) * (4 - array.ndim) + array.shape
            else:
                blob.shape.dim.extend(array.shape)
    path.write_bytes(net.SerializeToString())


def cells(values):
    array = np.empty((1, len(values)), object)
    array[0, :] = values
    return array


def mat_layers(layers):
    found = []
    for name, weight, bias in layers:
        pair = cells([weight.transpose(2, 3, 1, 0), bias[:, None]])
        found += [{"name": name, "type": "conv", "weights": pair}, {"name": "relu", "type": "relu"}]
    return cells(found)


MEAN = {"averageImage": np.array([129.1863, 104.7624, 93.5940], "f4").reshape(1, 1, 3)}


def write_net_mat(path, layers):
    scipy.io.savemat(path, {"net": {"layers": mat_layers(layers), "normalization": MEAN}})


def write_layers_mat(path, layers):
    meta = {"normalization": MEAN, "classes": {"description": cells(["a", "b"])}}
    scipy.io.savemat(path, {"layers": mat_layers(layers), "meta": meta}, do_compression=True)


def write_keras(path, layers, named=True, nested=False):
    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights") if nested else file
        names = ["input_1"]
        root.create_group("input_1").attrs["weight_names"] = np.array([], "S1")
        for index, (name, weight, bias) in enumerate(bgr(layers)):
            layer = name if named else f"conv2d_{index + 95}"  # alphabetical order is not the network's
            group = root.create_group(layer)
            names.append(layer)
            group.attrs["weight_names"] = [f"{layer}/kernel:0".encode(), f"{layer}/bias:0".encode()]
            group[f"{layer}/kernel:0"], group[f"{layer}/bias:0"] = weight.transpose(2, 3, 1, 0), bias
        root.attrs["layer_names"] = [name.encode() for name in names]


def write_state_dict(path, layers):
    state = {f"{n}.{k}": torch.from_numpy(a) for n, w, b in layers for k, a in (("weight", w), ("bias", b))}
    torch.save(state | {"fc6.weight": torch.zeros(2, 2), "fc6.bias": torch.zeros(2)}, path)


def write_onnx(path, layers):
    nodes, weights = [], []
    for i, (_, weight, bias) in enumerate(bgr(layers)):
        weights += [onnx.numpy_helper.from_array(bias, f"b{i}"), onnx.numpy_helper.from_array(weight, f"w{i}")]
        nodes.append(onnx.helper.make_node("Conv", [f"x{i}", f"w{i}", f"b{i}"], [f"x{i + 1}"], pads=[1, 1, 1, 1]))
    tensors = [onnx.helper.make_tensor_value_info(name, 1, None) for name in ("x0", f"x{len(layers)}")]
    graph = onnx.helper.make_graph(nodes, "vggface", tensors[:1], tensors[1:], weights)
    onnx.save(onnx.helper.make_model(graph), path)


FILES = {
    "VGG_FACE.t7": (write_t7, None),
    "VGG_FACE.caffemodel": (write_caffemodel, None),
    "newer.caffemodel": (lambda path, layers: write_caffemodel(path, layers, "LayerParameter"), None),
    "vgg_face.mat": (write_net_mat, None),
    "vgg-face.mat": (write_layers_mat, None),
    "rcmalli_vggface_tf_notop_vgg16.h5": (write_keras, None),
    "saved_model.h5": (lambda path, layers: write_keras(path, layers, nested=True), None),
    "vgg_face_weights.h5": (lambda path, layers: write_keras(path, layers, named=False), None),
    "vgg_face_dag.pth": (write_state_dict, "rgb"),
    "deepface.pth": (lambda path, layers: write_state_dict(path, bgr(layers)), "bgr"),
    "vgg_face_weights.onnx": (write_onnx, None),
}


@pytest.mark.parametrize("name", FILES)
def test_every_format_gives_back_the_network_bit_for_bit(name, tmp_path):
    """Kernel layout, names, order and channel order of each container are undone exactly."""
    write, order = FILES[name]
    layers = network(SMALL)
    write(tmp_path / name, layers)
    tensors = vggface.read(tmp_path / name, order, SMALL)
    assert list(tensors) == [f"{n}.{k}" for n in SMALL for k in ("weight", "bias")]
    for layer, weight, bias in layers[:-1]:
        np.testing.assert_array_equal(tensors[f"{layer}.weight"], weight)
        np.testing.assert_array_equal(tensors[f"{layer}.bias"], bias)


def test_the_command_writes_the_same_backbone_from_bgr_and_rgb_files(tmp_path, capsys):
    """Full size: a BGR caffemodel and an RGB state dict give one checkpoint, 7,635,264 parameters, equal features."""
    layers = [(n, w * 0.02, b * 0.1) for n, w, b in network(SHAPES)]
    write_t7(tmp_path / "a.t7", layers)
    write_state_dict(tmp_path / "b.pth", layers)
    vggface.main([str(tmp_path / "a.t7"), "--out", str(tmp_path / "a")])
    vggface.main([str(tmp_path / "b.pth"), "--out", str(tmp_path / "b"), "--channel-order", "rgb"])
    assert "7,635,264 parameters" in capsys.readouterr().out
    frames = torch.randint(0, 256, (2, 96, 96, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    reference = Backbone()
    state = {f"{n}.{k}": torch.from_numpy(a) for n, w, b in layers[:-1] for k, a in (("weight", w), ("bias", b))}
    reference.layers.load_state_dict(state)
    with torch.inference_mode():
        expected = reference(frames)
        assert expected.float().std() > 0.1
        for side in ("a", "b"):
            assert torch.equal(checkpoint.load_backbone(tmp_path / side)(frames), expected)


def test_opencv_reads_the_same_caffemodel_alike(tmp_path):
    """An independent reader agrees, so the file written here is a real one."""
    write_caffemodel(tmp_path / "net.caffemodel", network(SMALL)[:1])
    prototxt = (
        'input: "data" input_shape { dim: 1 dim: 3 dim: 8 dim: 8 } layers { name: "conv1_1" type: CONVOLUTION '
        'bottom: "data" top: "conv1_1" convolution_param { num_output: 4 kernel_size: 3 } }'
    )
    (tmp_path / "net.prototxt").write_text(prototxt)
    net = cv2.dnn.readNetFromCaffe(str(tmp_path / "net.prototxt"), str(tmp_path / "net.caffemodel"))
    weight, bias = caffemodel.load(tmp_path / "net.caffemodel")["conv1_1"]
    np.testing.assert_array_equal(net.getParam("conv1_1", 0), weight)
    np.testing.assert_array_equal(net.getParam("conv1_1", 1).ravel(), bias.ravel())


def test_wrong_shape_missing_layer_and_nan_name_the_tensor(tmp_path):
    """Weights of another network are refused with the name of the tensor that does not fit."""
    layers = network(SMALL)
    wide = [(n, w if n != "conv3_1" else w[:, :5].copy(), b) for n, w, b in layers]
    write_keras(tmp_path / "wide.h5", wide)
    with pytest.raises(ImportFailed, match=r"conv3_1\.weight has shape \(16, 5, 3, 3\)"):
        vggface.read(tmp_path / "wide.h5", None, SMALL)
    write_keras(tmp_path / "short.h5", layers[:6])
    with pytest.raises(ImportFailed, match=r"conv3_3\.weight is missing; convolutions in the file: conv1_1"):
        vggface.read(tmp_path / "short.h5", None, SMALL)
    layers[4][2][1] = np.nan
    write_caffemodel(tmp_path / "nan.caffemodel", layers)
    with pytest.raises(ImportFailed, match=r"conv3_1\.bias holds values that are not finite"):
        vggface.read(tmp_path / "nan.caffemodel", None, SMALL)


def test_channel_order_is_never_guessed(tmp_path):
    """A state dict needs it said, and a file whose own mean colour contradicts it is refused."""
    write_state_dict(tmp_path / "a.pth", network(SMALL))
    with pytest.raises(ImportFailed, match="--channel-order"):
        vggface.read(tmp_path / "a.pth", None, SMALL)
    write_net_mat(tmp_path / "a.mat", network(SMALL))
    with pytest.raises(ImportFailed, match="mean colour .* is not in the order bgr"):
        vggface.read(tmp_path / "a.mat", "bgr", SMALL)


@pytest.mark.parametrize("suffix", [".t7", ".caffemodel", ".mat", ".h5", ".pth", ".onnx", ".npz"])
def test_other_bytes_are_refused_in_words(suffix, tmp_path):
    """Neither an empty file nor a web page saved under the right name gives a stack trace of a library."""
    path = tmp_path / f"weights{suffix}"
    for content in (b"", b"<!DOCTYPE html><html>Not found</html>" * 9):
        path.write_bytes(content)
        with pytest.raises(ImportFailed, match="weights"):
            vggface.read(path, "rgb", SMALL)


def test_files_cut_short_are_refused(tmp_path):
    """A download that stopped half-way is an error, at whatever byte it stopped."""
    write_t7(tmp_path / "a.t7", network(SMALL))
    write_caffemodel(tmp_path / "a.caffemodel", network(SMALL))
    for path in (tmp_path / "a.t7", tmp_path / "a.caffemodel"):
        content = path.read_bytes()
        for share in np.linspace(0.01, 0.99, 23):
            path.write_bytes(content[: int(len(content) * share)])
            with pytest.raises(ImportFailed):
                vggface.read(path, None, SMALL)


def test_a_pickle_that_would_run_code_is_refused(tmp_path):
    """State dicts are read without executing anything in them."""

    class Payload:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    path = tmp_path / "evil.pth"
    torch.save({"conv1_1.weight": Payload()}, path)
    with pytest.raises(ImportFailed, match="would run code"):
        vggface.read(path, "rgb", SMALL)
    assert not (tmp_path / "executed").exists()
