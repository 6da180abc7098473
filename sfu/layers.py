"""Which layers a viewer may choose from, and its choice: WHEP's layer selection, as JSON.

The draft's extension: a session's `layer` resource takes `{"mediaId", "encodingId"}`, and the event `layers` names for each
media section those that come in (`active`) and those that do not (`inactive`). `selected` and `current` are ours: what the
viewer asked for (null: the best that fits) and what it gets now (null: sound only).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from common.errors import BadRequest

if TYPE_CHECKING:
    from common._native import LayerStats

EXTENSION = "urn:ietf:params:whep:ext:core:layer"
MAX_CHOICE_BYTES = 4096
_KNOWN = {
    "mediaId",
    "encodingId",
    "rid",
    "spatialLayerId",
    "temporalLayerId",
    "maxSpatialLayerId",
    "maxTemporalLayerId",
}


def media_id_of(offer: str) -> str:
    """The `mid` of the first video section of an offer; "0" when it has none."""
    _, _, section = offer.partition("m=video")
    for line in section.splitlines()[1:]:
        if line.startswith("m="):
            break
        if line.startswith("a=mid:"):
            return line.removeprefix("a=mid:").strip()
    return "0"


def parse_choice(body: bytes, media_id: str) -> str | None:
    """The encoding that a request names; None for the best that fits. Raises BadRequest."""
    try:
        choice = json.loads(body or b"{}")
    except ValueError:
        choice = None
    if not isinstance(choice, dict) or not choice.keys() <= _KNOWN:
        raise BadRequest(
            "the body must be a JSON object with mediaId and encodingId",
            code="bad_layer",
            hint="{} lets the node choose",
        )
    if choice.get("mediaId") not in (None, media_id):
        raise BadRequest(f"the video of this session is media {media_id!r}", code="bad_layer")
    encoding = choice.get("encodingId", choice.get("rid"))  # drafts before and after 2025
    if encoding is not None and not isinstance(encoding, str):
        raise BadRequest("encodingId and rid must be texts", code="bad_layer")
    return encoding


def video_layers(layers: Sequence[LayerStats]) -> list[LayerStats]:
    """Those of the video, the one with the most bits first."""
    return sorted((one for one in layers if one["kind"] == "video"), key=lambda one: -one["bitrate_bps"])


def layers_event(
    layers: Sequence[LayerStats], media_id: str, selected: str | None, current: int | None
) -> Mapping[str, Any]:
    """The data of a `layers` event."""
    told = []
    for one in video_layers(layers):
        entry: dict[str, Any] = {"id": one["name"], "encodingId": one["name"], "simulcastIdx": one["layer"]}
        if one["alive"]:
            # rounded, so that a steady layer is no news
            entry["bitrate"] = max(50_000, round(one["bitrate_bps"] / 50_000) * 50_000)
        if one["width"] is not None:
            entry |= {"width": one["width"], "height": one["height"]}
        told.append((one["alive"], entry))
    names = {one["layer"]: one["name"] for one in layers if one["kind"] == "video"}
    return {
        media_id: {
            "active": [entry for alive, entry in told if alive],
            "inactive": [entry for alive, entry in told if not alive],
            "layers": [
                {"encodingId": entry["id"], "simulcastIdx": entry["simulcastIdx"]}
                for alive, entry in told
                if alive
            ],
            "selected": selected,
            "current": None if current is None else names.get(current),
        }
    }
