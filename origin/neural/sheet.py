"""The tables of a package of kind `patch`, and what is found in its models: which input is which, at which size."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from origin.neural import nets, trial
from origin.neural.contracts import CONTRACTS, Contract, Shape, told
from origin.neural.encoder import EncoderModel, examined
from origin.packages.package import Fault, Package, PackageError, Strict

Role = Literal["image", "audio", "timestep"]
_NONE = Field(None, max_length=400)


class ModelTable(Strict):
    """[model]"""

    file: str = Field(max_length=400)
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    inputs: list[Role] | None = Field(None, min_length=2, max_length=3)
    side: int | None = Field(None, ge=32, le=512)
    decoder: str | None = _NONE


class AudioTable(Strict):
    """[audio]"""

    encoder: str | None = _NONE
    offset_ms: int = Field(0, ge=-200, le=200)


class PersonTable(Strict):
    """[person]"""

    frames: str = Field(max_length=400)
    boxes: str = Field(max_length=400)
    mask: str | None = _NONE
    latents: str | None = _NONE
    loop: Literal["pingpong", "repeat"] = "pingpong"


class PatchSheet(Strict):
    """What a package of kind `patch` says beside its head."""

    contract: str = Field(max_length=32)
    model: ModelTable
    person: PersonTable
    audio: AudioTable = AudioTable()


@dataclass(frozen=True, slots=True)
class Models:
    """The files of a sheet that are sound. `names`: role -> the model's own name of that input; `batch`: its fixed size, or None."""

    contract: Contract
    net: Path
    names: dict[str, str]
    side: int
    batch: int | None
    encoder: EncoderModel | None
    decoder: Path | None
    net_ms: float
    found: dict[str, str]
    """What was found, in words, for `avacast avatar check`."""


def models(package: Package, sheet: PatchSheet) -> Models:
    """Looks at the models of a package, each tried in a process of its own. Raises PackageError with all that is wrong."""
    contract = CONTRACTS.get(sheet.contract)
    if contract is None:
        raise package.refuse(
            "contract",
            f"there is no contract {sheet.contract!r}",
            f"contracts: {', '.join(sorted(CONTRACTS))}",
        )
    faults: list[Fault] = []
    found: dict[str, str] = {"contract": contract.name}
    names: dict[str, str] = {}
    side, batch, net_ms = 0, None, 0.0
    paths = _paths(package, sheet, contract, faults)
    if "net" in paths:
        try:
            names, side, batch = _roles(paths["net"], sheet, contract)
            if paths["net"].suffix != ".onnx" and not _takes(paths["net"], names, contract, side, 2):
                batch = 1
            answer = _tried(paths["net"], names, contract, side, batch or 1)
            net_ms = float(answer["ms"])
            found["model"] = (
                f"{paths['net'].name}, "
                + ", ".join(f"{names[r]} {told(s)}" for r, s in _inputs(contract, side).items() if r in names)
                + f" -> {told(tuple(answer['shape'][1:]))}, {net_ms:.1f} ms on {answer['device']}"
            )
        except nets.NetError as error:
            faults.append(Fault("model.file", str(error)))
    encoder: EncoderModel | None = None
    if "encoder" in paths:
        try:
            encoder, found["encoder"] = examined(paths["encoder"], contract)
        except nets.NetError as error:
            faults.append(Fault("audio.encoder", str(error)))
    if "decoder" in paths and side:
        try:
            found["decoder"] = _decoder(paths["decoder"], contract, side)
        except nets.NetError as error:
            faults.append(Fault("model.decoder", str(error)))
    if faults:
        raise PackageError(package.folder, faults)
    return Models(
        contract,
        paths["net"],
        names,
        side,
        batch,
        encoder,
        paths.get("decoder"),
        net_ms,
        found,
    )


def _paths(package: Package, sheet: PatchSheet, contract: Contract, faults: list[Fault]) -> dict[str, Path]:
    """The files of the models. What is missing, or is there and not wanted, is a fault."""
    named = {
        "net": ("model.file", sheet.model.file, nets.SUFFIXES, True),
        "encoder": ("audio.encoder", sheet.audio.encoder, (".onnx",), contract.encoder is not None),
        "decoder": ("model.decoder", sheet.model.decoder, (".onnx",), contract.latent),
    }
    paths = {}
    for key, (where, name, suffixes, wanted) in named.items():
        if name is None:
            if wanted:
                faults.append(Fault(where, f"the contract {contract.name} needs one", "see docs/packages.md"))
            continue
        if not wanted:
            faults.append(Fault(where, f"the contract {contract.name} has none", "remove the line"))
            continue
        try:
            sha256 = sheet.model.sha256 if key == "net" else None
            paths[key] = package.file(
                where, name, suffixes=suffixes, most_bytes=nets.MOST_BYTES, sha256=sha256
            )
        except PackageError as error:
            faults += error.faults
    return paths


def _inputs(contract: Contract, side: int) -> dict[str, Shape]:
    return {"image": contract.image(side), "audio": contract.audio}


def _roles(path: Path, sheet: PatchSheet, contract: Contract) -> tuple[dict[str, str], int, int | None]:
    """Role -> name, the side, and the batch, by the sheet or by the shapes."""
    sides = contract.sides
    if path.suffix != ".onnx":  # torch does not tell: the sheet must
        side = sheet.model.side or (sides[0] if len(sides) == 1 else 0)
        if side not in sides:
            raise nets.NetError(
                f"a torch model does not tell its size; write [model] side = one of {', '.join(map(str, sides))}"
            )
        roles: list[Role] = sheet.model.inputs or ["image", "audio"]
        return {role: role for role in roles}, side, None
    ports = trial.ports(path)
    listed = ", ".join(f"{name} {told(tuple(shape))}" for name, shape in ports.items())
    names: dict[str, str] = {}
    if sheet.model.inputs is not None:
        if len(sheet.model.inputs) != len(ports):
            raise nets.NetError(
                f"the model has the inputs {listed}, the sheet names {len(sheet.model.inputs)}"
            )
        names = dict(zip(sheet.model.inputs, ports, strict=True))
    else:
        for name, shape in ports.items():
            if any(_fits(shape, contract.image(side)) for side in sides):
                names.setdefault("image", name)
            elif _fits(shape, contract.audio):
                names.setdefault("audio", name)
            elif len(shape) <= 1:
                names.setdefault("timestep", name)
    missing = [role for role in ("image", "audio") if role not in names]
    if missing or len(names) != len(ports):
        wanted = " and ".join(
            f"{role} {told((None, *shape))}" for role, shape in _inputs(contract, sides[0]).items()
        )
        more = f" (sides: {', '.join(map(str, sides))})" if len(sides) > 1 else ""
        raise nets.NetError(
            f"the model has the inputs {listed}; the contract {contract.name} has {wanted}{more}: export it with "
            "these, or name another contract"
        )
    image = ports[names["image"]]
    fitting = [side for side in sides if _fits(image, contract.image(side))]
    side = sheet.model.side or fitting[0]
    if side not in fitting:
        raise nets.NetError(f"[model] side is {side}, the model's is {' or '.join(map(str, fitting))}")
    batches = {ports[names[role]][0] for role in ("image", "audio")} - {None}
    if len(batches) > 1:
        raise nets.NetError(f"the inputs {listed} have batches of different sizes")
    return names, side, next(iter(batches), None)


def _fits(shape: list[int | None], wanted: Shape) -> bool:
    """Whether a model's shape, batch first, can be the one that is wanted."""
    return len(shape) == len(wanted) + 1 and all(
        size in (None, goal) for size, goal in zip(shape[1:], wanted, strict=True)
    )


def _tried(path: Path, names: dict[str, str], contract: Contract, side: int, batch: int) -> dict[str, Any]:
    shapes = {names[role]: (batch, *shape) for role, shape in _inputs(contract, side).items()}
    ordered = {name: shapes[name] for name in names.values() if name in shapes}
    constants: dict[str, trial.Constant] = {names["timestep"]: ((1,), 0)} if "timestep" in names else {}
    answer = trial.tried(path, ordered, constants, list(names.values()))
    _check(answer, (batch, *contract.drawn(side)), contract)
    return answer


def _takes(path: Path, names: dict[str, str], contract: Contract, side: int, batch: int) -> bool:
    """Whether a torch model, which does not tell, takes batches of this size."""
    try:
        _tried(path, names, contract, side, batch)
    except nets.NetError:
        return False
    return True


def _check(answer: dict[str, Any], wanted: Shape, contract: Contract) -> None:
    shape = answer["shape"]
    assert isinstance(shape, list)
    if tuple(shape) != wanted:
        raise nets.NetError(
            f"the model gives {told(tuple(shape))}; the contract {contract.name} gives {told(wanted)}"
        )
    if not answer["finite"]:
        raise nets.NetError("the model gives numbers that are not finite: export it again, in 32 bits")


def _decoder(path: Path, contract: Contract, side: int) -> str:
    ports = trial.ports(path)
    if len(ports) != 1:
        raise nets.NetError(f"the decoder has {len(ports)} inputs; it may have one")
    answer = trial.tried(path, {next(iter(ports)): (1, *contract.drawn(side))})
    _check(answer, (1, 3, side, side), contract)
    return f"{path.name}, {told(contract.drawn(side))} -> {told((3, side, side))}, {answer['ms']:.1f} ms"
