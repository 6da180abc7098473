"""CloudFront's API (boto3): one distribution of this cluster, found by its tag. Blocking: called in a thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from orchestrator.cdn import distribution as made
from orchestrator.cdn.distribution import TAG, Plan
from orchestrator.cdn.life import Found, Step, Trouble

_CALL_S = 20
_PAGES = 20
_THROTTLED = frozenset(
    {"Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException", "SlowDown"}
)
_STALE = frozenset(
    {
        "PreconditionFailed",
        "InvalidIfMatchVersion",
        "NoSuchDistribution",
        "DistributionNotDisabled",
        "DistributionAlreadyExists",
    }
)


class CdnFailed(Exception):
    """A step failed; the text says which and why."""

    def __init__(self, trouble: Trouble, detail: str) -> None:
        super().__init__(detail)
        self.trouble = trouble


class CloudFront:
    """The distribution of a plan. `client` makes the API's client."""

    def __init__(self, plan: Plan, client: Callable[[], Any] | None = None) -> None:
        self._plan = plan
        self._make = client or _client
        self._api: Any = None

    def take(self, step: Step, reference: str) -> Found | None:
        """Takes a step; the distribution as it is then. `reference` is the same in each try to make one. Raises CdnFailed."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self._api = self._api or self._make()
            match step:
                case Step.CREATE:
                    return self._create(reference)
                case Step.ENABLE | Step.DISABLE:
                    return self._switch(step is Step.ENABLE)
                case Step.DELETE:
                    self._delete()
                    return None
            return self._look()
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            trouble = (
                Trouble.THROTTLED
                if code in _THROTTLED
                else Trouble.STALE
                if code in _STALE
                else Trouble.FAILED
            )
            raise CdnFailed(trouble, f"CloudFront, {step}: {error}") from error
        except (BotoCoreError, KeyError, ValueError) as error:
            raise CdnFailed(Trouble.FAILED, f"CloudFront, {step}: {error!r}") from error

    def _look(self) -> Found | None:
        ours = [
            one for one in self._all() if one["Comment"] == self._plan.comment and self._is_tagged(one["ARN"])
        ]
        if not ours:
            return None
        # Two can only come of two orchestrators that both believed to be on duty: one is used, the other costs nothing.
        first = min(ours, key=lambda one: (not one["Enabled"], one["Id"]))
        return self._found(self._api.get_distribution(Id=first["Id"]))

    def _create(self, reference: str) -> Found:
        wanted = made.distribution(self._plan, reference, self._parts())
        tags = {"Items": [{"Key": TAG, "Value": self._plan.cluster}]}
        return self._found(
            self._api.create_distribution_with_tags(
                DistributionConfigWithTags={"DistributionConfig": wanted, "Tags": tags}
            )
        )

    def _switch(self, on: bool) -> Found:
        """On with all that it would be made with now, off as it is."""
        found = self._here()
        answer = self._api.get_distribution_config(Id=found.id)
        config = answer["DistributionConfig"]
        if on:
            config = {**config, **made.distribution(self._plan, config["CallerReference"], self._parts())}
        config["Enabled"] = on
        return self._found(
            self._api.update_distribution(Id=found.id, IfMatch=answer["ETag"], DistributionConfig=config)
        )

    def _delete(self) -> None:
        found = self._here()
        if found.enabled or not found.deployed:
            raise CdnFailed(Trouble.STALE, "CloudFront, delete: it is on, or not off everywhere yet")
        self._api.delete_distribution(Id=found.id, IfMatch=found.version)

    def _here(self) -> Found:
        found = self._look()
        if found is None:
            raise CdnFailed(Trouble.STALE, "CloudFront: the distribution is no longer there")
        return found

    def _found(self, answer: dict[str, Any]) -> Found:
        told = answer["Distribution"]
        config = told["DistributionConfig"]
        wanted = made.distribution(
            self._plan, "", dict.fromkeys(("Lifetimes", "TokenHeader", "AnyPage", "Tokens"), "")
        )
        return Found(
            id=str(told["Id"]),
            domain=str(told["DomainName"]),
            enabled=bool(config["Enabled"]),
            deployed=told["Status"] == "Deployed",
            version=str(answer["ETag"]),
            current=made.origins(config) == made.origins(wanted),
        )

    def _all(self) -> Iterator[dict[str, Any]]:
        marker: dict[str, str] = {}
        for _ in range(_PAGES):
            page = self._api.list_distributions(MaxItems="100", **marker)["DistributionList"]
            yield from page.get("Items", ())
            if not page.get("IsTruncated"):
                return
            marker = {"Marker": page["NextMarker"]}

    def _is_tagged(self, arn: str) -> bool:
        tags = self._api.list_tags_for_resource(Resource=arn)["Tags"].get("Items", ())
        return any(one["Key"] == TAG and one.get("Value") == self._plan.cluster for one in tags)

    # what a distribution refers to: made once, found by name, kept when it is deleted (they cost nothing) ---------------------

    def _parts(self) -> dict[str, str]:
        return {
            "Lifetimes": self._policy("cache", made.cache_policy(self._plan)),
            "TokenHeader": self._policy("origin_request", made.origin_request_policy(self._plan)),
            "AnyPage": self._policy("response_headers", made.response_headers_policy(self._plan)),
            "Tokens": self._function(),
        }

    def _policy(self, kind: str, config: dict[str, Any]) -> str:
        """The id of a policy of that name; made when there is none, and changed when it is another."""
        title = "".join(word.title() for word in kind.split("_")) + "Policy"
        listing, marker = getattr(self._api, f"list_{kind}_policies"), dict[str, str]()
        for _ in range(_PAGES):
            page = listing(Type="custom", MaxItems="100", **marker)[f"{title}List"]
            for one in page.get("Items", ()):
                here = one[title]
                if here[f"{title}Config"]["Name"] == config["Name"]:
                    return self._renewed(kind, title, here, config)
            if not page.get("NextMarker"):
                break
            marker = {"Marker": page["NextMarker"]}
        answer = getattr(self._api, f"create_{kind}_policy")(**{f"{title}Config": config})
        return str(answer[title]["Id"])

    def _renewed(self, kind: str, title: str, here: dict[str, Any], config: dict[str, Any]) -> str:
        if here[f"{title}Config"] != config:
            version = getattr(self._api, f"get_{kind}_policy")(Id=here["Id"])["ETag"]
            getattr(self._api, f"update_{kind}_policy")(
                Id=here["Id"], IfMatch=version, **{f"{title}Config": config}
            )
        return str(here["Id"])

    def _function(self) -> str:
        """The ARN of the function, published with the code as it is now."""
        name, code, config = self._plan.name, made.function_code(self._plan), made.function_config()
        known = [
            one["Name"] for one in self._api.list_functions(MaxItems="100")["FunctionList"].get("Items", ())
        ]
        if name not in known:
            answer = self._api.create_function(Name=name, FunctionConfig=config, FunctionCode=code)
        else:
            answer = self._api.describe_function(Name=name)
            if self._api.get_function(Name=name)["FunctionCode"].read() != code:
                answer = self._api.update_function(
                    Name=name, IfMatch=answer["ETag"], FunctionConfig=config, FunctionCode=code
                )
        published = self._api.publish_function(Name=name, IfMatch=answer["ETag"])
        return str(published["FunctionSummary"]["FunctionMetadata"]["FunctionARN"])


def _client() -> Any:
    import boto3
    from botocore.config import Config

    # No retries of its own: orchestrator/cdn/life.py knows when to ask again.
    settings = Config(connect_timeout=5, read_timeout=_CALL_S, retries={"total_max_attempts": 1})
    return boto3.client("cloudfront", region_name="us-east-1", config=settings)
