"""The shipped CDN configurations, read: what cannot be run here (CloudFront), and numbers that must fit the edge's."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from common.auth import PathTokens

ROOT = Path(__file__).parents[3]
INFRA = ROOT / "infra/cdn"
TEMPLATE = ROOT / "orchestrator/data/cloudfront.json"
LONGEST_HOLD_S = 8
"""crates/edge/src/reply.rs: LONGEST_HOLD."""
DIRECTIVES = ["_HLS_msn", "_HLS_part", "_HLS_skip"]


def cloudfront() -> dict[str, Any]:
    """The properties of the template's resources by name."""
    template = json.loads(TEMPLATE.read_text())
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
    # Of what is not in the key, only the token reaches the packager, which the function has checked.
    asked = cloudfront()["TokenHeader"]["OriginRequestPolicyConfig"]
    assert behaviour["OriginRequestPolicyId"] == {"Ref": "TokenHeader"}
    assert asked["HeadersConfig"] == {"HeaderBehavior": "whitelist", "Headers": ["X-Avacast-Token"]}
    assert asked["QueryStringsConfig"] == {"QueryStringBehavior": "none"}
    assert asked["CookiesConfig"] == {"CookieBehavior": "none"}
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
    groups = distribution["OriginGroups"]["Items"]
    members = [one["OriginId"] for group in groups for one in group["Members"]["Items"]]
    assert members == [origin["Id"] for origin in distribution["Origins"]]
    for group in groups:
        assert group["Members"]["Quantity"] == len(group["Members"]["Items"]) == 2
        codes = group["FailoverCriteria"]["StatusCodes"]
        assert codes["Quantity"] == len(codes["Items"]) and 404 in codes["Items"]
    [recordings] = distribution["CacheBehaviors"]
    asked = [distribution["DefaultCacheBehavior"]["TargetOriginId"], recordings["TargetOriginId"]]
    assert asked == [group["Id"] for group in groups]
    assert recordings["PathPattern"] == "/recordings/*"
    checked = ("FunctionAssociations", "OriginRequestPolicyId", "CachePolicyId")
    assert {name: recordings[name] for name in checked} == {
        name: distribution["DefaultCacheBehavior"][name] for name in checked
    }, "tokens of recordings are checked as those of HLS"


def test_cloudfront_refers_only_to_what_it_declares() -> None:
    text = TEMPLATE.read_text()
    template = json.loads(text)
    declared = set(template["Parameters"]) | set(template["Resources"])
    referred = set(re.findall(r'"Ref": "([^"]+)"', text)) | {
        name.split(".")[0] for name in re.findall(r"\$\{([^}]+)\}", text)
    }
    referred |= set(re.findall(r'"Fn::GetAtt": \["([^"]+)"', text))
    assert referred - {"AWS::StackName"} == declared


_RUN = """
const cf = { kvs: () => ({ get: async () => process.argv[2] }) };
const handler = eval('(() => {' + process.argv[1].replace("import cf from 'cloudfront';", '') + '; return handler })()');
const uris = JSON.parse(process.argv[3]);
const asked = (uri) => handler({ request: { uri, headers: { 'x-avacast-token': { value: 'mine' } } } });
Promise.all(uris.map(asked)).then((all) => console.log(JSON.stringify(all)));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_cloudfronts_function_lets_in_whom_the_edge_lets_in() -> None:
    """The function as it is shipped, in Node.js, which has what CloudFront's runtime has; only the store of keys is ours."""
    tokens = PathTokens("0123456789abcdef0123456789abcdef")
    good, old = (tokens.until("show", int(time.time()) + after) for after in (600, -1))
    [lines] = cloudfront()["Tokens"]["FunctionCode"]["Fn::Join"][1:]
    uris = [
        f"/hls/t/{good}/show/v0/1.m4s",
        "/hls/show/v0/1.m4s",
        f"/hls/t/{good}/other/v0/1.m4s",
        f"/hls/t/{old}/show/index.m3u8",
        "/hls/t/-/show/v0/1.m4s",
        f"/hls/t/{good}.x/show/v0/1.m4s",
        "/hls/t/v0/index.m3u8",
        f"/recordings/t/{good}/show/id-private/v0/1.m4s",
        f"/recordings/t/{good}/other/id-private/v0/1.m4s",
        f"/recordings/t/{old}/show/id-private/v0/1.m4s",
        "/recordings/t/-/show/id-private/v0/1.m4s",
        "/recordings/t/20261122T062910Z-e9d75e5d3e775496/v0/1.m4s",
    ]
    command = ["node", "-e", _RUN, "\n".join(lines), tokens.key, json.dumps(uris)]
    said = json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout)
    assert said[0] == {"uri": "/hls/t/-/show/v0/1.m4s", "headers": {"x-avacast-token": {"value": good}}}
    assert said[1] == {"uri": uris[1], "headers": {}} and said[6] == {"uri": uris[6], "headers": {}}
    assert [one["statusCode"] for one in said[2:6]] == [403, 401, 403, 403]
    assert json.loads(said[3]["body"])["code"] == "token_expired"
    assert said[7] == {
        "uri": "/recordings/t/-/show/id-private/v0/1.m4s",
        "headers": {"x-avacast-token": {"value": good}},
    }
    assert [one["statusCode"] for one in said[8:11]] == [403, 401, 403]
    assert said[11] == {"uri": uris[11], "headers": {}}, "a public recording of a broadcast that is named t"


def test_nginx_and_varnish_wait_longer_than_a_reload_is_held() -> None:
    nginx = (INFRA / "nginx.conf").read_text()
    for name in ("proxy_read_timeout", "proxy_cache_lock_timeout", "proxy_cache_lock_age"):
        found = re.findall(rf"{name} (\d+)s;", nginx)
        assert found and all(int(seconds) > LONGEST_HOLD_S for seconds in found), name
    varnish = (INFRA / "varnish.vcl").read_text()
    waits = re.findall(r"\.(?:first_byte|between_bytes)_timeout = (\d+)s;", varnish)
    assert len(waits) == 6 and all(int(seconds) > LONGEST_HOLD_S for seconds in waits)


def test_every_configuration_knows_all_directives() -> None:
    for name in ("infra/cdn/nginx.conf", "infra/cdn/varnish.vcl", "orchestrator/data/cloudfront.json"):
        text = (ROOT / name).read_text()
        assert set(re.findall(r"_HLS_[a-z]+", text)) == set(DIRECTIVES), name
