"""The shipped CDN configurations, read: what cannot be run here (CloudFront), and numbers that must fit the edge's."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

INFRA = Path(__file__).parents[3] / "infra/cdn"
LONGEST_HOLD_S = 8
"""crates/edge/src/reply.rs: LONGEST_HOLD."""
DIRECTIVES = ["_HLS_msn", "_HLS_part", "_HLS_skip"]


def cloudfront() -> dict[str, Any]:
    """The properties of the template's resources by name."""
    template = json.loads((INFRA / "cloudfront.json").read_text())
    return {name: one["Properties"] for name, one in template["Resources"].items()}


def test_the_hold_is_still_the_one_that_the_timeouts_were_chosen_for() -> None:
    source = (INFRA.parents[1] / "crates/edge/src/reply.rs").read_text()
    assert f"LONGEST_HOLD: Duration = Duration::from_secs({LONGEST_HOLD_S})" in source


def test_cloudfront_keys_objects_by_path_and_directives_only() -> None:
    key = cloudfront()["Lifetimes"]["CachePolicyConfig"]["ParametersInCacheKeyAndForwardedToOrigin"]
    assert key["QueryStringsConfig"] == {"QueryStringBehavior": "whitelist", "QueryStrings": DIRECTIVES}
    assert key["HeadersConfig"] == {"HeaderBehavior": "none"}
    assert key["CookiesConfig"] == {"CookieBehavior": "none"}
    assert key["EnableAcceptEncodingGzip"] is True and key["EnableAcceptEncodingBrotli"] is False
    behaviour = cloudfront()["Distribution"]["DistributionConfig"]["DefaultCacheBehavior"]
    assert "OriginRequestPolicyId" not in behaviour, "nothing that is not in the key reaches the packager"
    assert behaviour["CachePolicyId"] == {"Ref": "Lifetimes"}


def test_cloudfront_lets_the_packagers_lifetimes_stand() -> None:
    policy = cloudfront()["Lifetimes"]["CachePolicyConfig"]
    assert (policy["MinTTL"], policy["DefaultTTL"]) == (0, 1)
    assert policy["MaxTTL"] >= 86_400, "media may be kept for a day"


def test_cloudfront_forgets_errors_after_a_second_and_not_after_its_usual_ten() -> None:
    distribution = cloudfront()["Distribution"]["DistributionConfig"]
    lifetimes = {one["ErrorCode"]: one["ErrorCachingMinTTL"] for one in distribution["CustomErrorResponses"]}
    # All that CloudFront keeps and that we or it may answer.
    assert lifetimes == dict.fromkeys((400, 403, 404, 405, 416, 500, 502, 503, 504), 1)
    assert all("ResponsePagePath" not in one for one in distribution["CustomErrorResponses"])


def test_cloudfront_waits_longer_than_a_reload_is_held_and_asks_through_one_shield() -> None:
    distribution = cloudfront()["Distribution"]["DistributionConfig"]
    assert distribution["HttpVersion"] == "http2and3"
    for origin in distribution["Origins"]:
        assert LONGEST_HOLD_S < origin["CustomOriginConfig"]["OriginReadTimeout"] <= 60
        assert origin["OriginShield"]["Enabled"] is True
    [group] = distribution["OriginGroups"]["Items"]
    members = [one["OriginId"] for one in group["Members"]["Items"]]
    assert members == [origin["Id"] for origin in distribution["Origins"]]
    assert group["Members"]["Quantity"] == len(members)
    codes = group["FailoverCriteria"]["StatusCodes"]
    assert codes["Quantity"] == len(codes["Items"]) and 404 in codes["Items"]
    assert distribution["DefaultCacheBehavior"]["TargetOriginId"] == group["Id"]


def test_cloudfront_refers_only_to_what_it_declares() -> None:
    text = (INFRA / "cloudfront.json").read_text()
    template = json.loads(text)
    declared = set(template["Parameters"]) | set(template["Resources"])
    referred = set(re.findall(r'"Ref": "([^"]+)"', text)) | {
        name.split(".")[0] for name in re.findall(r"\$\{([^}]+)\}", text)
    }
    assert referred - {"AWS::StackName"} == declared


def test_nginx_and_varnish_wait_longer_than_a_reload_is_held() -> None:
    nginx = (INFRA / "nginx.conf").read_text()
    for name in ("proxy_read_timeout", "proxy_cache_lock_timeout", "proxy_cache_lock_age"):
        [seconds] = re.findall(rf"{name} (\d+)s;", nginx)
        assert int(seconds) > LONGEST_HOLD_S, name
    varnish = (INFRA / "varnish.vcl").read_text()
    waits = re.findall(r"\.(?:first_byte|between_bytes)_timeout = (\d+)s;", varnish)
    assert len(waits) == 4 and all(int(seconds) > LONGEST_HOLD_S for seconds in waits)


def test_every_configuration_knows_all_directives() -> None:
    for name in ("nginx.conf", "varnish.vcl", "cloudfront.json"):
        text = (INFRA / name).read_text()
        assert set(re.findall(r"_HLS_[a-z]+", text)) == set(DIRECTIVES), name
