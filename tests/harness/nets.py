"""Nets of the exact shapes of each contract, small and with a meaning, and packages round them: what tests give to the adapters.

A net of the kind that sees pictures gives back what it sees, with its lower middle darker the more it hears: a mouth that opens.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from origin.neural.contracts import CONTRACTS, Contract, Hearing, Masking
from origin.neural.train.folder import film

FRAMES = 12
"""Of the person's loop."""


def saved(
    path: Path,
    inputs: Mapping[str, Any],
    outputs: Mapping[str, Any],
    nodes: list[Any],
    values: Mapping[str, Any],
    *,
    whole: Collection[str] = (),
) -> Path:
    """A model of these nodes. Inputs and outputs: name -> shape; those of `whole` are integers."""
    kinds = {name: TensorProto.INT64 if name in whole else TensorProto.FLOAT for name in inputs}
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info(name, kinds[name], shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


def mouth(side: int) -> np.ndarray:
    """Where nets darken a picture: (1, 1, side, side), 0-1."""
    y, x = np.mgrid[0:side, 0:side] / side - np.array([0.72, 0.5])[:, None, None]
    return ((x / 0.16) ** 2 + (y / 0.1) ** 2 < 1).astype(np.float32)[None, None]


def painter(path: Path, contract: Contract, side: int, *, batch: int | str = "n", scale: float = 0.5) -> Path:
    """A net of the contract: its picture, darker at the mouth by `scale` x the mean of what it hears; of mel, -4 is shut, 0 open."""
    image, audio, drawn = contract.image(side), contract.audio, contract.drawn(side)
    seen = {Masking.LOWER_HALF: (3, 6), Masking.LATENT: (4, 8)}.get(contract.masking, (0, 3))
    nodes = [
        helper.make_node("Slice", ["image", "from", "to", "axis"], ["seen"]),
        helper.make_node("ReduceMean", ["audio"], ["heard"], axes=list(range(1, len(audio) + 1)), keepdims=1),
        *([] if len(audio) == 3 else [helper.make_node("Reshape", ["heard", "column"], ["heard4"])]),
        helper.make_node("Mul", ["heard" if len(audio) == 3 else "heard4", "scale"], ["loud"]),
        helper.make_node("Add", ["loud", "least"], ["level"]),
        helper.make_node("Clip", ["level", "zero", "one"], ["open"]),
        helper.make_node("Mul", ["open", "mouth"], ["dark"]),
        helper.make_node("Sub", ["one4", "dark"], ["light"]),
        helper.make_node("Mul", ["seen", "light"], ["drawn"]),
    ]
    f = np.float32
    mel = contract.hearing in (Hearing.MEL, Hearing.AVE, Hearing.WENET)
    values = {
        "from": np.array([seen[0]], np.int64),
        "to": np.array([seen[1]], np.int64),
        "axis": np.array([1], np.int64),
        "scale": f(0.25 if mel else scale),
        "least": f(1.0 if mel else 0.4 if len(audio) == 3 else 0.0),
        "zero": f(0),
        "one": f(1),
        "one4": np.ones((1, 1, 1, 1), f),
        "mouth": mouth(drawn[1]),
    }
    if len(audio) != 3:
        values["column"] = np.array([-1, 1, 1, 1], np.int64)
    return saved(
        path, {"image": [batch, *image], "audio": [batch, *audio]}, {"drawn": [batch, *drawn]}, nodes, values
    )


def hearer(path: Path, shape: list[Any], given: tuple[int, ...], *, stride: int) -> Path:
    """An encoder: every `stride` samples (or mel frames) of the last axis give a row of `given` numbers, all their mean magnitude."""
    many = int(np.prod(given))
    nodes = [
        helper.make_node("Abs", ["heard"], ["magnitude"]),
        helper.make_node("Reshape", ["magnitude", "as_line"], ["line"]),
        helper.make_node("AveragePool", ["line"], ["means"], kernel_shape=[stride], strides=[stride]),
        helper.make_node("Reshape", ["means", "as_rows"], ["rows"]),
        helper.make_node("Mul", ["rows", "spread"], ["wide"]),
        helper.make_node("Reshape", ["wide", "as_given"], ["states"]),
    ]
    values = {
        "as_line": np.array([1, -1, shape[-1]] if isinstance(shape[-1], int) else [1, 1, -1], np.int64),
        "as_rows": np.array([-1, 1], np.int64),
        "spread": np.ones((1, many), np.float32),
        "as_given": np.array([1, -1, *given], np.int64),
    }
    if isinstance(shape[-1], int):  # of mel bands: their mean first
        nodes[1] = helper.make_node("ReduceMean", ["magnitude"], ["line"], axes=[1], keepdims=1)
        del values["as_line"]
    return saved(path, {"heard": shape}, {"states": [1, "t", *given]}, nodes, values)


def person(folder: Path, *, width: int = 320, height: int = 240, frames: int = FRAMES) -> None:
    """A loop of somebody who sways: a light face of skin on grey, as film and boxes."""
    pictures = np.full((frames, height, width, 3), 90, np.uint8)
    y, x = np.mgrid[0:height, 0:width]
    rows = []
    for k in range(frames):
        cx = width // 2 + 2 * round(3 * np.sin(2 * np.pi * k / frames))
        inside = ((x - cx) / 60) ** 2 + ((y - height // 2) / 80) ** 2 < 1
        pictures[k][inside] = (220, 180, 160)
        rows.append(f"{cx - 64},{height // 2 - 70},128,160\n")
    film(pictures, folder / "person.mp4")
    (folder / "boxes.csv").write_text("".join(rows))


def package(folder: Path, contract: str, *, side: int = 0, batch: int | str = "n") -> Path:
    """A whole package of a contract."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = CONTRACTS[contract]
    side = side or kept.sides[0]
    painter(folder / "net.onnx", kept, side, batch=batch, scale=8.0 if contract == "units" else 0.5)
    person(folder)
    audio = model = more = ""
    if contract == "musetalk":
        from safetensors.numpy import save_file

        save_file(
            {"latents": np.full((FRAMES, *kept.image(side)), 0.1, np.float32)}, folder / "latents.safetensors"
        )
        hearer(folder / "encoder.onnx", [1, 80, 200], (5, 384), stride=2)
        decoder(folder / "decoder.onnx")
        model, more = 'decoder = "decoder.onnx"\n', 'latents = "latents.safetensors"\n'
    elif kept.hearing is Hearing.AVE:
        ave(folder / "encoder.onnx")
    elif kept.hearing is Hearing.WENET:
        wenet(folder / "encoder.onnx")
    elif kept.encoder:
        hearer(folder / "encoder.onnx", [1, "samples"], (1024,), stride=320)
    if kept.encoder:
        audio = '[audio]\nencoder = "encoder.onnx"\n'
    (folder / "avatar.toml").write_text(
        f'format = 1\nkind = "patch"\nname = "Test {contract}"\nlicense = "CC0-1.0"\ncontract = "{contract}"\n'
        f'[model]\nfile = "net.onnx"\n{model}{audio}'
        f'[person]\nframes = "person.mp4"\nboxes = "boxes.csv"\n{more}'
    )
    return folder


def ave(path: Path) -> Path:
    """SyncTalk's encoder: (n, 1, 80, 16) -> (n, 512), the mean each."""
    nodes = [
        helper.make_node("ReduceMean", ["mel"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Reshape", ["mean", "column"], ["rows"]),
        helper.make_node("Mul", ["rows", "spread"], ["states"]),
    ]
    values = {"column": np.array([-1, 1], np.int64), "spread": np.ones((1, 512), np.float32)}
    return saved(path, {"mel": ["n", 1, 80, 16]}, {"states": ["n", 512]}, nodes, values)


def wenet(path: Path) -> Path:
    """WeNet's encoder as it is exported, one window at a time: (1, 1, 67, 80) -> (1, 16, 512), each four frames' mean, a quarter of it; far
    off where its other inputs are not those of a window that nothing was before.
    """
    inputs: dict[str, list[int]] = {
        "chunk": [1, 1, 67, 80],
        "offset": [1],
        "att_cache": [3, 8, 16, 128],
        "cnn_cache": [3, 1, 512, 14],
    }
    nodes = [
        helper.make_node("ReduceMean", ["chunk"], ["means"], axes=[3], keepdims=0),
        helper.make_node("AveragePool", ["means"], ["fours"], kernel_shape=[4], strides=[4]),
        helper.make_node("Transpose", ["fours"], ["column"], perm=[0, 2, 1]),
        helper.make_node("Mul", ["column", "spread"], ["states"]),
        helper.make_node("Cast", ["offset"], ["at"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["at", "hundred"], ["late"]),
        helper.make_node("ReduceMax", ["att_cache"], ["attended"], keepdims=0),
        helper.make_node("ReduceMax", ["cnn_cache"], ["convolved"], keepdims=0),
        helper.make_node("Sum", ["late", "attended", "convolved"], ["before"]),
        helper.make_node("Mul", ["before", "thousand"], ["wrong"]),
        helper.make_node("Add", ["states", "wrong"], ["output"]),
    ]
    values = {
        "spread": np.full((1, 1, 512), 0.25, np.float32),
        "hundred": np.float32(100),
        "thousand": np.float32(1000),
    }
    return saved(path, inputs, {"output": [1, 16, 512]}, nodes, values, whole=["offset"])


def decoder(path: Path) -> Path:
    """A decoder: (n, 4, 32, 32) -> (n, 3, 256, 256), the first three layers, eight times as large."""
    nodes = [
        helper.make_node("Slice", ["latent", "from", "to", "axis"], ["three"]),
        helper.make_node("Resize", ["three", "", "sizes"], ["picture"], mode="nearest"),
    ]
    values = {
        "from": np.array([0], np.int64),
        "to": np.array([3], np.int64),
        "axis": np.array([1], np.int64),
        "sizes": np.array([1, 1, 8, 8], np.float32),
    }
    return saved(path, {"latent": ["n", 4, 32, 32]}, {"picture": ["n", 3, 256, 256]}, nodes, values)
