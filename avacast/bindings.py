"""The part of the client that is made from the API's own document and docs/errors.md: `make client` writes it anew."""

from __future__ import annotations

import keyword
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avacast.client.operation import Answer, Kind, Operation, Parameter, Where

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "avacast" / "client" / "generated"
ERRORS = ROOT / "docs" / "errors.md"
COMMANDS = ROOT / "docs" / "cli.md"
_BEGIN, _END = "<!-- made by `make client` -->", "<!-- end -->"
_MADE = (
    '"""{what}\n\nMade by `make client` from the OpenAPI document and docs/errors.md: do not edit.\n"""\n\n'
    "from __future__ import annotations\n\n"
)
_SCALARS = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}
_KINDS = {"string": Kind.TEXT, "integer": Kind.INTEGER, "number": Kind.NUMBER, "boolean": Kind.FLAG}
_FORMATS = {"date-time": "dt.datetime", "date": "dt.date"}

Schema = dict[str, Any]


@dataclass(frozen=True)
class _Method:
    """An operation and the types of its Python method. `types` go with `operation.parameters`; `model` is that of the answer."""

    operation: Operation
    types: tuple[str, ...]
    model: str
    item: str
    tag: str


class Bindings:
    """Source files of one document."""

    def __init__(self, document: dict[str, Any], advice: dict[str, str]) -> None:
        self._schemas: dict[str, Schema] = document["components"]["schemas"]
        self._advice = advice
        self._methods = [
            self._method(path, verb, facts)
            for path, verbs in document["paths"].items()
            for verb, facts in verbs.items()
        ]

    def sources(self) -> dict[str, str]:
        """File name -> source, not yet formatted."""
        return {
            "__init__.py": '"""Made by `make client`."""\n',
            "advice.py": self._advices(),
            "models.py": "".join(self._models()),
            "operations.py": "".join(self._operations()),
            "asynchronous.py": "".join(self._groups(blocking=False)),
            "blocking.py": "".join(self._groups(blocking=True)),
        }

    # reading the document -----------------------------------------------------------------------------------------------

    def _method(self, path: str, verb: str, facts: dict[str, Any]) -> _Method:
        parameters: list[tuple[Parameter, str]] = []
        for one in facts.get("parameters", ()):
            if one["in"] != "header":
                parameters.append(self._parameter(one, Where(one["in"])))
        content = facts.get("requestBody", {}).get("content", {})
        if "application/json" in content:
            schema = self._resolved(content["application/json"]["schema"])
            required = set(schema.get("required", ()))
            for name, field in schema.get("properties", {}).items():
                told = {"name": name, "required": name in required, "schema": field}
                parameters.append(self._parameter(told, Where.BODY))
        elif "application/octet-stream" in content:
            parameters.append(
                (Parameter("file", Where.FILE, Kind.TEXT, True, "The bytes of a file."), "bytes")
            )
        elif content:
            text = "The session description (SDP)."
            parameters.append((Parameter("offer", Where.SDP, Kind.TEXT, True, text), "str"))
        parameters.sort(key=lambda one: not one[0].required)
        answer, model = self._answer(facts["responses"])
        items, item = self._items(model)
        operation = Operation(
            id=facts["operationId"],
            method=verb.upper(),
            path=path,
            summary=facts["summary"],
            answer=answer,
            parameters=tuple(one for one, _ in parameters),
            once=any(one["name"] == "Idempotency-Key" for one in facts.get("parameters", ())),
            items=items,
            tokens=tuple(sorted({who for one in facts["security"] for who in one})),
            codes=tuple(
                code
                for one in facts["responses"].values()
                for code in re.findall(r"`([a-z0-9_]+)`", one["description"])
            ),
        )
        return _Method(operation, tuple(kind for _, kind in parameters), model, item, facts["tags"][0])

    def _parameter(self, told: dict[str, Any], where: Where) -> tuple[Parameter, str]:
        schema = self._resolved(told["schema"])
        options = [self._resolved(one) for one in schema.get("anyOf", [schema])]
        plain = next((one for one in options if one.get("type") != "null"), schema)
        default = schema.get("default")
        name = str(told["name"])
        name += "_" * keyword.iskeyword(name)
        parameter = Parameter(
            name=name,
            where=where,
            kind=_KINDS.get(plain.get("type", ""), Kind.JSON),
            required=bool(told.get("required")),
            text=told.get("description") or told["schema"].get("description") or "",
            choices=tuple(map(str, plain.get("enum", ()))),
            default=str(default).lower() if isinstance(default, bool) else str(default or ""),
        )
        if not name.isidentifier() or str(told["name"]).endswith("_"):
            raise ValueError(f"a parameter {name!r} cannot be that of a Python method: rename it")
        kind = self._type(told["schema"], models="models.").replace("list[", "Sequence[")
        return parameter, kind.removesuffix(" | None")

    def _answer(self, responses: dict[str, Any]) -> tuple[Answer, str]:
        status, facts = next((one, facts) for one, facts in responses.items() if one[0] in "23")
        if status == "307":
            return Answer.LOCATION, "str"
        content = facts.get("content", {})
        if not content:
            return Answer.NOTHING, "None"
        media, told = next(iter(content.items()))
        if media == "application/json":
            name = told["schema"].get("$ref", "").rpartition("/")[2]
            return (Answer.JSON, name) if name else (Answer.TEXT, "str")
        if media == "text/event-stream":
            return Answer.EVENTS, "Event"
        return (Answer.BYTES, "bytes") if media == "*/*" else (Answer.TEXT, "str")

    def _items(self, model: str) -> tuple[str, str]:
        """The field of a page that has its items, and their type."""
        fields = self._schemas.get(model, {}).get("properties", {})
        lists = [
            (name, field["items"]["$ref"].rpartition("/")[2])
            for name, field in fields.items()
            if field.get("type") == "array" and "$ref" in field["items"]
        ]
        return lists[0] if "next" in fields and len(lists) == 1 else ("", "")

    def _resolved(self, schema: Schema) -> Schema:
        if "$ref" not in schema:
            return schema
        return {**self._schemas[schema["$ref"].rpartition("/")[2]], **schema}

    def _type(self, schema: Schema, models: str = "") -> str:
        if "$ref" in schema:
            return models + str(schema["$ref"]).rpartition("/")[2]
        if "anyOf" in schema:
            kinds = list(dict.fromkeys(self._type(one, models) for one in schema["anyOf"]))
            return " | ".join(sorted(kinds, key=lambda one: one == "None"))
        if "enum" in schema or "const" in schema:
            return f"Literal[{', '.join(map(repr, schema.get('enum') or [schema['const']]))}]"
        match schema.get("type"):
            case "array":
                return f"list[{self._type(schema.get('items', {}), models)}]"
            case "object" if isinstance(schema.get("additionalProperties"), dict):
                return f"dict[str, {self._type(schema['additionalProperties'], models)}]"
            case "object":
                return "dict[str, Any]"
            case "string" if schema.get("format") in _FORMATS:
                return _FORMATS[schema["format"]]
        return _SCALARS.get(schema.get("type", ""), "Any")

    # writing ------------------------------------------------------------------------------------------------------------

    def _advices(self) -> str:
        told = "".join(f"    {code!r}: {text!r},\n" for code, text in sorted(self._advice.items()))
        return _MADE.format(what="What to do about each code.") + f"ADVICE: dict[str, str] = {{\n{told}}}\n"

    def _models(self) -> Iterator[str]:
        yield _MADE.format(what="What the API answers, and the parts of what it is sent.")
        yield "import datetime as dt\nfrom typing import Any, Literal\n\nfrom pydantic import BaseModel, ConfigDict, Field\n\n"
        yield "from avacast.client.words import Word\n\n\n"
        needed: set[str] = set()
        for method in self._methods:
            if method.operation.answer is Answer.JSON:
                self._need(method.model, needed)
            for kind in method.types:
                for name in re.findall(r"models\.(\w+)", kind):
                    self._need(name, needed)
        for name in sorted(
            needed, key=lambda one: ("enum" not in self._schemas[one], one)
        ):  # defaults need the words
            yield from self._model(name, self._schemas[name])

    def _need(self, name: str, needed: set[str]) -> None:
        if name in needed:
            return
        needed.add(name)
        for found in re.findall(r"'#/components/schemas/(\w+)'", repr(self._schemas[name])):
            self._need(found, needed)

    def _model(self, name: str, schema: Schema) -> Iterator[str]:
        if "enum" in schema:
            yield f"class {name}(Word):\n{_docstring(schema.get('description', ''), name)}\n"
            for value in schema["enum"]:
                spelled = re.sub(r"[^A-Z0-9]+", "_", value.upper())
                yield f"    {spelled} = {value!r}\n"
            yield "\n\n"
            return
        yield f"class {name}(BaseModel):\n{_docstring(schema.get('description', ''), name)}\n"
        if schema.get("additionalProperties") is True:
            yield '    model_config = ConfigDict(extra="allow")\n\n'
        for field, facts in schema.get("properties", {}).items():
            kind = self._type(facts)
            yield f"    {field}: {kind}{self._default(facts, kind, required=field in schema.get('required', ()))}\n"
            if text := facts.get("description"):
                yield f"{_docstring(text)}"
        yield "\n\n"

    def _default(self, facts: Schema, kind: str, *, required: bool) -> str:
        if required:
            return ""
        value = facts.get("default")
        if value is None and "default" not in facts:
            if kind.startswith(("list", "dict")):
                return f" = Field(default_factory={kind.partition('[')[0]})"
            return " = None" if "None" in kind or kind == "Any" else " | None = None"
        if isinstance(value, list | dict):
            return (
                f" = Field(default_factory=lambda: {value!r})"
                if value
                else f" = Field(default_factory={type(value).__name__})"
            )
        if "$ref" in facts and isinstance(value, str):
            return f" = {kind}({value!r})" if "enum" in self._resolved(facts) else f" = {value!r}"
        return f" = {value!r}"

    def _operations(self) -> Iterator[str]:
        yield _MADE.format(what="All operations as data: requests are made from it, and the command line.")
        yield "from avacast.client.operation import Answer, Kind, Operation, Parameter, Where\n\n"
        yield "OPERATIONS: dict[str, Operation] = {one.id: one for one in (\n"
        for method in self._methods:
            yield f"    {_spelled(method.operation)},\n"
        yield ")}\n"

    def _groups(self, *, blocking: bool) -> Iterator[str]:
        prefix, iterator = ("", "Iterator") if blocking else ("Async", "AsyncIterator")
        what = "programs without an event loop" if blocking else "asyncio"
        yield _MADE.format(what=f"The methods of the client for {what}, a group for each kind of thing.")
        yield f"import datetime as dt\nfrom collections.abc import {iterator}, Sequence\nfrom typing import Any, Literal\n\n"
        if blocking:
            yield "from avacast.client.events import Event\nfrom avacast.client.generated import models\n"
            yield "from avacast.client.generated.asynchronous import AsyncOperations\n"
            yield "from avacast.client.groups import Group\nfrom avacast.client.loop import Loop\n\n\n"
        else:
            yield "from avacast.client.events import Event\nfrom avacast.client.generated import models\n"
            yield "from avacast.client.groups import AsyncGroup\nfrom avacast.client.transport import Transport\n\n\n"
        groups: dict[str, list[_Method]] = {}
        for method in self._methods:
            groups.setdefault(method.operation.group, []).append(method)
        for group, methods in groups.items():
            yield f'class {prefix}{group.title()}({prefix}Group):\n    """{methods[0].tag}: `{group}`."""\n\n'
            for method in methods:
                yield from _written(method, blocking=blocking)
            yield "\n"
        yield f'class {prefix}Operations:\n    """All groups."""\n\n'
        if blocking:
            yield "    def __init__(self, loop: Loop, operations: AsyncOperations) -> None:\n"
            yield from (f"        self.{one} = {one.title()}(loop, operations.{one})\n" for one in groups)
        else:
            yield "    def __init__(self, transport: Transport) -> None:\n"
            yield from (f"        self.{one} = Async{one.title()}(transport)\n" for one in groups)


def _written(method: _Method, *, blocking: bool) -> Iterator[str]:
    """A method, and for a page the one that goes through all of them."""
    operation = method.operation
    answer = f"models.{method.model}" if operation.answer is Answer.JSON else method.model
    call = {
        Answer.JSON: f"_json({operation.id!r}, {answer}, ",
        Answer.NOTHING: f"_nothing({operation.id!r}, ",
        Answer.TEXT: f"_text({operation.id!r}, ",
        Answer.BYTES: f"_bytes({operation.id!r}, ",
        Answer.LOCATION: f"_location({operation.id!r}, ",
        Answer.EVENTS: f"_events({operation.id!r}, ",
    }[operation.answer]
    names = [one.name for one in operation.parameters] + ["idempotency_key"] * operation.once
    arguments = ", ".join(f"{name}={name}" for name in names)
    iterator = "Iterator" if blocking else "AsyncIterator"
    waits = not blocking and operation.answer is not Answer.EVENTS
    if operation.answer is Answer.EVENTS:
        answer = f"{iterator}[Event]"
    begin, wait = ("    async def", "await ") if waits else ("    def", "")
    gives = "" if operation.answer is Answer.NOTHING else "return "
    yield f"{begin} {operation.verb}({_signature(method)}) -> {answer}:\n{_method_text(method)}"
    yield f"        {gives}{wait}self.{call}{arguments})\n\n"
    if operation.items and "after" in names:
        kept = ", ".join(f"{name}={name}" for name in names if name != "after")
        yield f"    def {operation.verb}_all({_signature(method, without='after')}) -> {iterator}[models.{method.item}]:\n"
        yield f'        """{operation.summary}: all, page by page."""\n'
        yield f"        return self._pages({operation.id!r}, {answer}, {kept})\n\n"


def _signature(method: _Method, without: str = "") -> str:
    told = [
        (one, kind)
        for one, kind in zip(method.operation.parameters, method.types, strict=True)
        if one.name != without
    ]
    parts = ["self", *(f"{one.name}: {kind}" for one, kind in told if one.required)]
    named = [f"{one.name}: {kind} | None = None" for one, kind in told if not one.required]
    named += ["idempotency_key: str | None = None"] * method.operation.once
    return ", ".join([*parts, *(["*", *named] if named else [])])


def _method_text(method: _Method) -> str:
    operation = method.operation
    lines = [f"{operation.summary}.", ""]
    lines += [
        f"`{one.name}`: {one.text}"
        for one in operation.parameters
        if one.text and one.where is not Where.PATH
    ]
    who = " or ".join(operation.tokens)
    lines.append(f"`{operation.method} {operation.path}`" + (f", with a token: {who}." if who else "."))
    if operation.codes:
        lines.append(f"Refusals of its own: {', '.join(dict.fromkeys(operation.codes))}.")
    return _docstring("\n".join(lines), indent=8)


def _docstring(text: str, name: str = "", indent: int = 4) -> str:
    """A docstring of `text`, of `name` in words where there is none."""
    pad = " " * indent
    told = (text or re.sub(r"(?<!^)([A-Z])", r" \1", name).capitalize() + ".").replace("\\", "\\\\")
    told = "\n".join(textwrap.fill(line, 130 - indent, break_long_words=False) for line in told.split("\n"))
    lines = [pad + line if line else "" for line in told.split("\n")]
    whole = "\n".join(lines).strip()
    closing = f"\n{pad}" if "\n" in whole else ""
    return f'{pad}"""{whole}{closing}"""\n'


def _spelled(value: Operation | Parameter) -> str:
    """A dataclass as Python writes it, without what is as by default."""
    parts = []
    for name, field in type(value).__dataclass_fields__.items():
        one = getattr(value, name)
        if one == field.default:
            continue
        if isinstance(one, Where | Kind | Answer):
            told = f"{type(one).__name__}.{one.name}"
        elif isinstance(one, tuple) and one and isinstance(one[0], Parameter):
            told = "(" + "".join(f"{_spelled(part)}, " for part in one) + ")"
        else:
            told = repr(one)
        parts.append(f"{name}={told}")
    return f"{type(value).__name__}({', '.join(parts)})"


def advice_of(page: str) -> dict[str, str]:
    """Code -> what to do, from the tables of docs/errors.md; codes without such a text are left out."""
    found = {}
    for line in page.splitlines():
        cells = [one.strip() for one in line.strip().strip("|").split("|")]
        code = re.fullmatch(r"`([a-z0-9_]+)`", cells[0])
        if code and cells[-1]:
            found[code[1]] = cells[-1]
    return found


def formatted(sources: dict[str, str]) -> dict[str, str]:
    """The sources as ruff writes them, without imports that nobody needs."""
    return {name: _ruff(name, text) for name, text in sources.items()}


def _ruff(name: str, text: str) -> str:
    where = ["--stdin-filename", str(FOLDER / name), "-"]
    for command in (
        ["check", "--quiet", "--fix-only", "--select", "F401", *where],
        ["format", "--quiet", *where],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command],
            input=text,
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
        )
        text = done.stdout
    return text


def sources() -> dict[str, str]:
    """The files as they should be."""
    from orchestrator.app import ROUTES
    from orchestrator.openapi import document

    return formatted(Bindings(document(ROUTES), advice_of(ERRORS.read_text())).sources())


def commands_page(page: str) -> str:
    """docs/cli.md with the table of all commands as they are."""
    from avacast.operate.commands import spelled, visible

    groups = [one.group for one in visible()]
    rows = "".join(
        f"| `{spelled(one)}` | {one.summary} |\n"
        for one in sorted(visible(), key=lambda one: groups.index(one.group))
    )
    before, _, rest = page.partition(_BEGIN)
    return f"{before}{_BEGIN}\n| command | what |\n|---|---|\n{rows}{_END}{rest.partition(_END)[2]}"


def main() -> None:
    """Writes the files."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in sources().items():
        (FOLDER / name).write_text(text)
    COMMANDS.write_text(commands_page(COMMANDS.read_text()))


if __name__ == "__main__":
    main()
