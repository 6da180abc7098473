"""CloudFront in memory: moto's distributions and functions, and what moto lacks (policies, publishing), with what boto3 would send
checked by botocore's own model of the API. Faults are made to order."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache
from typing import Any

import boto3
from botocore.exceptions import ClientError, ConnectTimeoutError
from botocore.validate import ParamValidator

_KINDS = {
    "cache": "CachePolicy",
    "origin_request": "OriginRequestPolicy",
    "response_headers": "ResponseHeadersPolicy",
}


@cache
def _client() -> Any:
    """Made once, while moto is there: that takes a second, and moto empties what is behind it for each test."""
    return boto3.client(
        "cloudfront", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
    )


def error(code: str, operation: str = "Operation") -> ClientError:
    """An answer of the API that refuses."""
    return ClientError({"Error": {"Code": code, "Message": f"{code}, says the test"}}, operation)


class CloudFrontApi:
    """A client as boto3 makes it. `faults` are raised by the calls to come, one each (None: none); `calls` are the names of those made."""

    def __init__(self) -> None:
        self._moto = _client()
        self.faults: list[Exception | None] = []
        self.calls: list[str] = []
        self.policies: dict[str, dict[str, dict[str, Any]]] = {kind: {} for kind in _KINDS}
        self.configs: dict[str, dict[str, Any]] = {}
        self.code: dict[str, bytes] = {}
        self.published: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(**arguments: Any) -> Any:
            self.calls.append(name)
            fault = self.faults.pop(0) if self.faults else None
            if fault is not None:
                raise fault
            verb, _, rest = name.partition("_")
            kind = rest.removesuffix("_policy").removesuffix("_policies")
            if kind in _KINDS:
                self._check(name, arguments)
                return self._policy(verb, kind, arguments)
            own = getattr(type(self), f"_own_{name}", None)
            return own(self, **arguments) if own is not None else getattr(self._moto, name)(**arguments)

        return call

    def _check(self, name: str, arguments: dict[str, Any]) -> None:
        """Raises AssertionError for what boto3 would not send."""
        model = self._moto.meta.service_model.operation_model(self._moto.meta.method_to_api_mapping[name])
        report = ParamValidator().validate(arguments, model.input_shape)
        assert not report.has_errors(), report.generate_report()

    def _policy(self, verb: str, kind: str, arguments: dict[str, Any]) -> dict[str, Any]:
        title, held = _KINDS[kind], self.policies[kind]
        if verb == "list":  # a page each
            names = sorted(held)
            at = names.index(arguments["Marker"]) if "Marker" in arguments else 0
            items = [
                {"Type": "custom", title: {"Id": held[name]["Id"], f"{title}Config": held[name]["Config"]}}
                for name in names[at : at + 1]
            ]
            page: dict[str, Any] = {"MaxItems": 1, "Quantity": len(items), "Items": items}
            return {f"{title}List": page if at + 1 >= len(names) else {**page, "NextMarker": names[at + 1]}}
        if verb == "get":
            return {"ETag": "v1"}
        config = arguments[f"{title}Config"]
        if verb == "create":
            if config["Name"] in held:
                raise error(f"{title}AlreadyExists")
            held[config["Name"]] = {"Id": f"{kind}-{len(held) + 1}"}
        held[config["Name"]]["Config"] = config
        return {title: {"Id": held[config["Name"]]["Id"]}, "ETag": "v1"}

    # moto knows no groups of origins: it is told of one origin, and what was sent is kept here

    def _simple(self, config: dict[str, Any]) -> dict[str, Any]:
        there = {one["Id"] for kind in ("Origins", "OriginGroups") for one in config[kind]["Items"]}
        behaviours = [config["DefaultCacheBehavior"], *config["CacheBehaviors"]["Items"]]
        assert {one["TargetOriginId"] for one in behaviours} <= there, "a behaviour names no origin"
        assert all(
            one["Quantity"] == len(one["Items"]) for one in (config["Origins"], config["OriginGroups"])
        )
        first = config["Origins"]["Items"][0]["Id"]
        simple = {
            **config,
            "DefaultCacheBehavior": {**config["DefaultCacheBehavior"], "TargetOriginId": first},
        }
        simple["CacheBehaviors"] = {
            **config["CacheBehaviors"],
            "Items": [{**one, "TargetOriginId": first} for one in config["CacheBehaviors"]["Items"]],
        }
        return simple

    def _whole(self, answer: dict[str, Any], config: dict[str, Any] | None = None) -> dict[str, Any]:
        """An answer of moto with the configuration that was sent."""
        if config is not None:
            self.configs[answer["Distribution"]["Id"]] = config
        answer["Distribution"]["DistributionConfig"] = self.configs[answer["Distribution"]["Id"]]
        return answer

    def _own_create_distribution_with_tags(self, **arguments: Any) -> Any:
        self._check("create_distribution_with_tags", arguments)
        told = arguments["DistributionConfigWithTags"]
        simple = {**told, "DistributionConfig": self._simple(told["DistributionConfig"])}
        answer = self._moto.create_distribution_with_tags(DistributionConfigWithTags=simple)
        return self._whole(answer, told["DistributionConfig"])

    def _own_create_distribution(self, DistributionConfig: dict[str, Any]) -> Any:
        answer = self._moto.create_distribution(DistributionConfig=self._simple(DistributionConfig))
        return self._whole(answer, DistributionConfig)

    def _own_update_distribution(self, **arguments: Any) -> Any:
        self._check("update_distribution", arguments)
        config = arguments["DistributionConfig"]
        answer = self._moto.update_distribution(**{**arguments, "DistributionConfig": self._simple(config)})
        return self._whole(answer, config)

    def _own_get_distribution(self, **arguments: Any) -> Any:
        return self._whole(self._moto.get_distribution(**arguments))

    def _own_get_distribution_config(self, **arguments: Any) -> Any:
        answer = self._moto.get_distribution_config(**arguments)
        return {"ETag": answer["ETag"], "DistributionConfig": self.configs[arguments["Id"]]}

    def _own_create_function(self, **arguments: Any) -> Any:
        self.code[arguments["Name"]] = arguments["FunctionCode"]
        return self._moto.create_function(**arguments)

    def _own_get_function(self, **arguments: Any) -> Any:
        return {"FunctionCode": io.BytesIO(self.code[arguments["Name"]])}

    def _own_update_function(self, **arguments: Any) -> Any:
        self._check("update_function", arguments)
        self.code[arguments["Name"]] = arguments["FunctionCode"]
        return {"ETag": "v2"}

    def _own_publish_function(self, **arguments: Any) -> Any:
        self._check("publish_function", arguments)
        self.published.append(arguments["Name"])
        return self._moto.describe_function(Name=arguments["Name"])


def no_answer() -> Exception:
    """Nobody answers."""
    return ConnectTimeoutError(endpoint_url="https://cloudfront.example")
