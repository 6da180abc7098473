"""What a node tells of its streams: the core's figures and the viewers' roles, as the orchestrator wants them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from common.directory import StreamReport
from common.ids import is_private
from sfu.upstream import Puller
from sfu.viewers import ViewerRole, Viewers
from sfu.worker import Worker


def stream_reports(
    worker: Worker,
    viewers: Viewers,
    puller: Puller | None = None,
    resting: Callable[[str], bool | None] = lambda _stream: None,
) -> list[StreamReport]:
    """One report a stream that is on this node. `resting` says whether the avatar that makes it is silent."""
    figures = worker.sfu.stats()["streams"]
    pulls = {pull["stream"]: pull for pull in puller.figures()} if puller else {}
    return [
        StreamReport(
            stream=name,
            live=one["live"],
            subscribers_interactive=viewers.count(name, ViewerRole.INTERACTIVE),
            subscribers_passive=viewers.count(name, ViewerRole.PASSIVE),
            downstream_nodes=viewers.count(name, ViewerRole.NODE),
            ingest_bps=sum(layer["bitrate_bps"] for layer in one["layers"]),
            egress_bps=one["egress_bps"],
            rtt_ms_p50=one["rtt_ms_p50"] or 0.0,
            loss_ratio=min(1.0, max(0.0, one["loss"])),
            upstream=pulls[name]["upstream"] if name in pulls else None,
            linger_s=pulls[name]["linger_s"] if name in pulls else None,
            resting=resting(name),
        )
        for name, one in figures.items()
        if not is_private(name)
    ]


def node_stats(worker: Worker, viewers: Viewers, puller: Puller | None = None) -> dict[str, Any]:
    """The node's own /api/sfu/stats: workers, transports, streams, pulls."""
    figures = worker.sfu.stats()
    return {
        "workers": figures["workers"],
        "transports": figures["subscribers"]
        + sum(len(one["sources"]) for one in figures["streams"].values()),
        "subscribers": figures["subscribers"],
        "max_subscribers": figures["max_subscribers"],
        "joins": figures["joins"],
        "viewers": len(viewers),
        "first_frame": figures["first_frame"],
        "forward": figures["forward"],
        "sound": figures["sound"],
        "streams": {name: one for name, one in figures["streams"].items() if not is_private(name)},
        "pulls": puller.figures() if puller else [],
    }
