"""What CloudFront is asked for: the template (data/cloudfront.json), turned from CloudFormation's form into that of the API. Pure.

The forms differ: the API counts its lists (`Quantity`, `Items`), wants some fields that CloudFormation fills in, and names a few otherwise.
The template's function reads its key from a store of keys; here the key is written into the function, because that store can only be
filled with a signature (SigV4a) that needs another native library. Whoever may read the function may read the store too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

TAG = "avacast:cluster"
_TEMPLATE = Path(__file__).resolve().parents[1] / "data" / "cloudfront.json"


@dataclass(frozen=True, slots=True)
class Plan:
    """A distribution to be made. `cluster` names it and is its tag's value."""

    cluster: str
    first: str
    """Host name of the packager's HLS listener, of the public certificate."""
    second: str
    """Of the one that is asked when the first cannot answer; the same if there is one packager."""
    hls_port: int
    control_port: int
    shield_region: str
    path_key: str

    @property
    def name(self) -> str:
        """Of its policies and its function."""
        return f"avacast-{self.cluster}"

    @property
    def comment(self) -> str:
        return f"Avacast HLS of {self.cluster}"


@cache
def _resources() -> dict[str, Any]:
    template: dict[str, Any] = json.loads(_TEMPLATE.read_text())["Resources"]
    return template


def cache_policy(plan: Plan) -> dict[str, Any]:
    """CachePolicyConfig: the key is path and delivery directives, lifetimes are the packager's."""
    config = {**_resources()["Lifetimes"]["Properties"]["CachePolicyConfig"], "Name": plan.name}
    key = dict(config["ParametersInCacheKeyAndForwardedToOrigin"])
    key["QueryStringsConfig"] = {
        "QueryStringBehavior": key["QueryStringsConfig"]["QueryStringBehavior"],
        "QueryStrings": _counted(key["QueryStringsConfig"]["QueryStrings"]),
    }
    return {**config, "ParametersInCacheKeyAndForwardedToOrigin": key}


def origin_request_policy(plan: Plan) -> dict[str, Any]:
    """OriginRequestPolicyConfig: the token that was checked goes on to the packager, and nothing else of the viewer's."""
    config = _resources()["TokenHeader"]["Properties"]["OriginRequestPolicyConfig"]
    headers = config["HeadersConfig"]
    return {
        **config,
        "Name": plan.name,
        "HeadersConfig": {
            "HeaderBehavior": headers["HeaderBehavior"],
            "Headers": _counted(headers["Headers"]),
        },
    }


def response_headers_policy(plan: Plan) -> dict[str, Any]:
    """ResponseHeadersPolicyConfig: CORS of the replies that CloudFront makes itself."""
    config = _resources()["AnyPage"]["Properties"]["ResponseHeadersPolicyConfig"]
    cors = {
        name: _counted(value["Items"]) if isinstance(value, Mapping) else value
        for name, value in config["CorsConfig"].items()
    }
    return {**config, "Name": plan.name, "CorsConfig": cors}


def function_code(plan: Plan) -> bytes:
    """The function that checks path tokens, with its key."""
    [lines] = _resources()["Tokens"]["Properties"]["FunctionCode"]["Fn::Join"][1:]
    text = "\n".join(line for line in lines if "cloudfront'" not in line and "cf.kvs()" not in line)
    return text.replace("await keys.get('path_key')", json.dumps(plan.path_key)).encode()


def function_config() -> dict[str, Any]:
    """FunctionConfig of it."""
    config = _resources()["Tokens"]["Properties"]["FunctionConfig"]
    return {"Comment": config["Comment"], "Runtime": config["Runtime"]}


def distribution(
    plan: Plan, reference: str, parts: Mapping[str, str], *, enabled: bool = True
) -> dict[str, Any]:
    """DistributionConfig. `parts` are the ids of Lifetimes, TokenHeader, AnyPage and the ARN of Tokens."""
    config = _filled(_resources()["Distribution"]["Properties"]["DistributionConfig"], _values(plan), parts)
    return {
        "CallerReference": reference,
        "Comment": plan.comment,
        "Enabled": enabled,
        "HttpVersion": config["HttpVersion"],
        "IsIPV6Enabled": config["IPV6Enabled"],
        "Origins": _counted([_origin(one) for one in config["Origins"]]),
        "OriginGroups": config["OriginGroups"],
        "DefaultCacheBehavior": _behaviour(config["DefaultCacheBehavior"]),
        "CacheBehaviors": _counted([_behaviour(one) for one in config["CacheBehaviors"]]),
        "CustomErrorResponses": _counted(config["CustomErrorResponses"]),
    }


def origins(config: Mapping[str, Any]) -> set[tuple[str, int]]:
    """Where a DistributionConfig sends requests."""
    return {
        (str(one["DomainName"]), int(one.get("CustomOriginConfig", {}).get("HTTPSPort", 443)))
        for one in config["Origins"]["Items"]
    }


def _values(plan: Plan) -> dict[str, Any]:
    return {
        "FirstPackager": plan.first,
        "SecondPackager": plan.second,
        "PackagerPort": plan.hls_port,
        "ControlPort": plan.control_port,
        "ShieldRegion": plan.shield_region,
    }


def _filled(value: Any, values: Mapping[str, Any], parts: Mapping[str, str]) -> Any:
    """The template with its references replaced."""
    if isinstance(value, list):
        return [_filled(one, values, parts) for one in value]
    if not isinstance(value, Mapping):
        return value
    if "Ref" in value:
        return values[value["Ref"]] if value["Ref"] in values else parts[value["Ref"]]
    if "Fn::GetAtt" in value:
        return parts[value["Fn::GetAtt"][0]]
    return {name: _filled(one, values, parts) for name, one in value.items()}


def _origin(one: Mapping[str, Any]) -> dict[str, Any]:
    """An origin with what CloudFormation would fill in."""
    custom = dict(one["CustomOriginConfig"])
    protocols = custom.pop("OriginSSLProtocols")
    return {
        **one,
        "OriginPath": "",
        "CustomHeaders": {"Quantity": 0},
        "CustomOriginConfig": {**custom, "HTTPPort": 80, "OriginSslProtocols": _counted(protocols)},
    }


def _behaviour(one: Mapping[str, Any]) -> dict[str, Any]:
    methods = {**_counted(one["AllowedMethods"]), "CachedMethods": _counted(one["CachedMethods"])}
    rest = {name: value for name, value in one.items() if name != "CachedMethods"}
    return {**rest, "AllowedMethods": methods, "FunctionAssociations": _counted(one["FunctionAssociations"])}


def _counted(items: list[Any]) -> dict[str, Any]:
    return {"Quantity": len(items), "Items": items}
