"""Fits the net to pairs, on a CPU or a GPU, for a given time; and writes it as ONNX with weights of 16 bits."""

# mypy: disable-error-code="no-untyped-call,no-any-return"

from __future__ import annotations

import io
import time
from collections.abc import Callable
from typing import Final

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from origin.neural.train.net import MouthNet, difference
from origin.neural.units import MOUTH_UNITS

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Told = Callable[[float, float], None]
"""Share of the time that has passed (0-1), and the mean difference of late."""

BATCH: Final = 8
_HALVED = 64
"""Weights of fewer numbers stay as they are."""


def fit(
    rests: Bytes,
    frame: NDArray[np.int32],
    units: Floats,
    target: Bytes,
    *,
    minutes: float,
    told: Told = lambda _share, _loss: None,
    seed: int = 1,
) -> MouthNet:
    """`rests` (frames, s, s, 3): the loop's crops; pair k is (rests[frame[k]], units[k]) -> target[k]. Adam, cosine over the time."""
    torch.manual_seed(seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    chance = np.random.default_rng(seed)
    net = MouthNet(len(MOUTH_UNITS)).to(device, memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(net.parameters(), 2e-3, betas=(0.9, 0.99), weight_decay=1e-4)
    began, late = time.monotonic(), 0.1
    while (share := (time.monotonic() - began) / (60 * minutes)) < 1:
        order = chance.permutation(len(frame))
        for first in range(0, len(order) - BATCH + 1, BATCH):
            share = min(1.0, (time.monotonic() - began) / (60 * minutes))
            for group in optimiser.param_groups:
                group["lr"] = 2e-3 * min(1.0, share * 60 + 0.1) * (0.5 + 0.5 * np.cos(np.pi * share)) + 2e-6
            ids = order[first : first + BATCH]
            image, wanted = (
                torch.from_numpy(part).to(device).permute(0, 3, 1, 2).float() / 255
                for part in (rests[frame[ids]], target[ids])
            )
            loss = difference(net(image, torch.from_numpy(units[ids]).to(device)), wanted)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()
            late += 0.02 * (float(loss.detach()) - late)
            if share >= 1:
                break
        told(share, late)
    told(1.0, late)
    net.cpu().eval()
    return net


def written(net: MouthNet, side: int) -> bytes:
    """The net as ONNX: `image` (n, 3, s, s) and `audio` (n, 31) -> `drawn` (n, 3, s, s)."""
    out = io.BytesIO()
    example = (torch.zeros(1, 3, side, side), torch.zeros(1, len(MOUTH_UNITS)))
    names = ["image", "audio", "drawn"]
    torch.onnx.export(
        net,
        example,
        out,
        input_names=names[:2],
        output_names=names[2:],
        dynamic_axes={name: {0: "n"} for name in names},
        opset_version=17,
        dynamo=False,
    )
    return halved(onnx.load_from_string(out.getvalue())).SerializeToString()


def halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same with weights kept as 16 bits and made 32 again when the model is loaded."""
    casts = []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < _HALVED:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)
    return model


def psnr_db(net: MouthNet, rests: Bytes, frame: NDArray[np.int32], units: Floats, target: Bytes) -> float:
    """How near the net comes to pictures, decibels; the mean over them."""
    found = []
    with torch.inference_mode():
        for k, number in enumerate(frame):
            image = torch.from_numpy(rests[number]).permute(2, 0, 1)[None].float() / 255
            made = net(image, torch.from_numpy(units[k : k + 1])).clamp(0, 1)[0].permute(1, 2, 0).numpy()
            error = float(np.mean((made - target[k].astype(np.float32) / 255) ** 2))
            found.append(-10 * np.log10(max(error, 1e-10)))
    return float(np.mean(found))
