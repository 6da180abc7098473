"""CloudFront's distribution over boto3: made, found by its tag, used again, removed; and what the API answers when it does not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from moto import mock_aws

from orchestrator.cdn import distribution as made
from orchestrator.cdn.cloudfront import CdnFailed, CloudFront
from orchestrator.cdn.distribution import Plan
from orchestrator.cdn.life import Step, Trouble
from tests.harness.cloudfront import CloudFrontApi, error, no_answer

PLAN = Plan("prod", "p1.example.org", "p2.example.org", 8088, 8080, "eu-central-1", "the key")


@pytest.fixture
def api() -> Iterator[CloudFrontApi]:
    with mock_aws():
        yield CloudFrontApi()


def cloudfront(api: CloudFrontApi, plan: Plan = PLAN) -> CloudFront:
    return CloudFront(plan, lambda: api)


def deployed(cdn: CloudFront) -> Any:
    """The distribution once moto has it everywhere."""
    for _ in range(10):
        found = cdn.take(Step.LOOK, "")
        if found is None or found.deployed:
            return found
    raise AssertionError("never deployed")


def test_a_distribution_from_its_making_to_its_end(api: CloudFrontApi) -> None:
    cdn = cloudfront(api)
    assert cdn.take(Step.LOOK, "") is None
    found = cdn.take(Step.CREATE, "r1")
    assert found is not None and found.enabled and found.current and found.domain.endswith("cloudfront.net")
    assert deployed(cdn).id == found.id
    off = cdn.take(Step.DISABLE, "")
    assert off is not None and off.id == found.id and not off.enabled
    assert not deployed(cdn).enabled
    assert cdn.take(Step.DELETE, "") is None
    assert cdn.take(Step.LOOK, "") is None


def test_it_asks_for_what_the_template_has(api: CloudFrontApi) -> None:
    cdn = cloudfront(api)
    found = cdn.take(Step.CREATE, "r1")
    assert found is not None
    config = api.get_distribution_config(Id=found.id)["DistributionConfig"]
    assert {one["DomainName"] for one in config["Origins"]["Items"]} == {"p1.example.org", "p2.example.org"}
    assert made.origins(config) == {
        (host, port) for host in ("p1.example.org", "p2.example.org") for port in (8088, 8080)
    }
    behaviour = config["DefaultCacheBehavior"]
    assert behaviour["TargetOriginId"] == "packagers" and behaviour["CachePolicyId"] == "cache-1"
    key = api.policies["cache"]["avacast-prod"]["Config"]["ParametersInCacheKeyAndForwardedToOrigin"]
    assert key["QueryStringsConfig"]["QueryStrings"] == {
        "Quantity": 3,
        "Items": ["_HLS_msn", "_HLS_part", "_HLS_skip"],
    }
    assert key["CookiesConfig"]["CookieBehavior"] == key["HeadersConfig"]["HeaderBehavior"] == "none"
    assert api.policies["origin_request"]["avacast-prod"]["Config"]["HeadersConfig"]["Headers"]["Items"] == [
        "X-Avacast-Token"
    ]
    code = api.code["avacast-prod"].decode()
    assert 'const key = "the key";' in code and "kvs" not in code and api.published == ["avacast-prod"]
    wanted = made.distribution(
        PLAN, "r1", dict.fromkeys(("Lifetimes", "TokenHeader", "AnyPage", "Tokens"), "x")
    )
    assert {one["ErrorCachingMinTTL"] for one in wanted["CustomErrorResponses"]["Items"]} == {1}
    assert all(
        one["OriginShield"]["OriginShieldRegion"] == "eu-central-1" for one in wanted["Origins"]["Items"]
    )


def test_another_clusters_is_not_touched_and_parts_are_used_again(api: CloudFrontApi) -> None:
    cdn, other = cloudfront(api), cloudfront(api, replace(PLAN, cluster="test"))
    mine, theirs = cdn.take(Step.CREATE, "r1"), other.take(Step.CREATE, "r2")
    assert mine is not None and theirs is not None and mine.id != theirs.id
    assert cdn.take(Step.LOOK, "").id == mine.id and other.take(Step.LOOK, "").id == theirs.id  # type: ignore[union-attr]
    deployed(cdn)
    cdn.take(Step.DISABLE, "")
    cdn.take(Step.ENABLE, "")
    for held in api.policies.values():
        assert sorted(held) == ["avacast-prod", "avacast-test"]


def test_what_somebody_named_alike_is_not_taken_for_ours(api: CloudFrontApi) -> None:
    config = made.distribution(
        PLAN, "by hand", dict.fromkeys(("Lifetimes", "TokenHeader", "AnyPage", "Tokens"), "x")
    )
    api.create_distribution(DistributionConfig=config)
    assert cloudfront(api).take(Step.LOOK, "") is None, "it has no tag"


def test_packagers_that_moved_are_noticed_and_followed(api: CloudFrontApi) -> None:
    cloudfront(api).take(Step.CREATE, "r1")
    moved = cloudfront(api, replace(PLAN, first="p7.example.org", path_key="another"))
    found = deployed(moved)
    assert not found.current
    again = moved.take(Step.ENABLE, "")
    assert again is not None and again.current and again.id == found.id
    assert "another" in api.code["avacast-prod"].decode()


def test_what_the_api_refuses_is_told_by_what_to_do_about_it(api: CloudFrontApi) -> None:
    cdn = cloudfront(api)
    told = {
        Trouble.THROTTLED: [error("Throttling"), error("TooManyRequestsException")],
        Trouble.STALE: [error("PreconditionFailed"), error("NoSuchDistribution")],
        Trouble.FAILED: [error("AccessDenied"), error("TooManyDistributions"), no_answer()],
    }
    for trouble, faults in told.items():
        for fault in faults:
            for step in (Step.LOOK, Step.CREATE, Step.ENABLE, Step.DELETE):
                api.faults = [fault]
                with pytest.raises(CdnFailed) as failed:
                    cdn.take(step, "r1")
                assert failed.value.trouble is trouble and step in str(failed.value)


def test_a_making_that_broke_off_anywhere_is_completed_by_the_next(api: CloudFrontApi) -> None:
    cdn = cloudfront(api)
    for calls_before in range(20):
        api.faults = [*[None] * calls_before, error("Throttling")]
        try:
            found = cdn.take(Step.CREATE, "r1")
        except CdnFailed:
            continue
        assert found is not None and found.enabled
        break
    else:
        raise AssertionError("it was never made")
    assert {len(held) for held in api.policies.values()} == {1}


def test_what_is_on_is_not_deleted(api: CloudFrontApi) -> None:
    cdn = cloudfront(api)
    cdn.take(Step.CREATE, "r1")
    with pytest.raises(CdnFailed) as failed:
        cdn.take(Step.DELETE, "")
    assert failed.value.trouble is Trouble.STALE
