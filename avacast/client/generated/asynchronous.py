"""The methods of the client for asyncio, a group for each kind of thing.

Made by `make client` from the OpenAPI document and docs/errors.md: do not edit.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal

from avacast.client.events import Event
from avacast.client.generated import models
from avacast.client.groups import AsyncGroup
from avacast.client.transport import Transport


class AsyncBroadcasts(AsyncGroup):
    """Broadcasts: `broadcasts`."""

    async def list(self, *, limit: int | None = None, after: str | None = None) -> models.BroadcastList:
        """List broadcasts: the public ones, or (operators) all.

        `limit`: Most items of the page.
        `after`: The `next` of the page before.
        `GET /api/broadcasts`.
        """
        return await self._json("broadcasts_list", models.BroadcastList, limit=limit, after=after)

    def list_all(self, *, limit: int | None = None) -> AsyncIterator[models.BroadcastState]:
        """List broadcasts: the public ones, or (operators) all: all, page by page."""
        return self._pages("broadcasts_list", models.BroadcastList, limit=limit)

    async def create(
        self,
        *,
        id: str | None = None,
        title: str | None = None,
        public: bool | None = None,
        avatar: str | None = None,
        persona: str | None = None,
        open_mic: bool | None = None,
        moderated: bool | None = None,
        webrtc_only: bool | None = None,
        idempotency_key: str | None = None,
    ) -> models.CreatedBroadcast:
        """Make a broadcast.

        `id`: Name in URLs, 1 to 64 of a-z 0-9 _ -; made when missing.
        `title`: What people read; the id when empty.
        `public`: Anybody may watch; else a viewer token is needed.
        `avatar`: The avatar that speaks, such as ava; none: a publisher sends.
        `persona`: Who the avatar is, in words or by name.
        `open_mic`: Viewers may talk to the avatar without a token, within a rate limit.
        `moderated`: Questions to the avatar wait on the host's desk until they are approved.
        `webrtc_only`: Never HLS, whatever the audience: so it is neither cached by a CDN nor recorded.
        `POST /api/broadcasts`, with a token: admin or key.
        Refusals of its own: scope_missing, key_limited, request_under_way, broadcast_exists, idempotency_key_reused,
        request_limit, make_limit.
        """
        return await self._json(
            "broadcasts_create",
            models.CreatedBroadcast,
            id=id,
            title=title,
            public=public,
            avatar=avatar,
            persona=persona,
            open_mic=open_mic,
            moderated=moderated,
            webrtc_only=webrtc_only,
            idempotency_key=idempotency_key,
        )

    async def read(self, broadcast: str) -> models.BroadcastState:
        """A broadcast and how it is now.

        `GET /api/broadcasts/{broadcast}`, with a token: admin or key or publisher or viewer.
        Refusals of its own: scope_missing, key_limited, request_limit.
        """
        return await self._json("broadcasts_read", models.BroadcastState, broadcast=broadcast)

    async def change(
        self,
        broadcast: str,
        *,
        title: str | None = None,
        open_mic: bool | None = None,
        moderated: bool | None = None,
    ) -> models.BroadcastState:
        """Change its title, who may talk to its avatar, whether a host moderates.

        `PATCH /api/broadcasts/{broadcast}`, with a token: admin or key or publisher.
        Refusals of its own: scope_missing, key_limited, request_limit.
        """
        return await self._json(
            "broadcasts_change",
            models.BroadcastState,
            broadcast=broadcast,
            title=title,
            open_mic=open_mic,
            moderated=moderated,
        )

    async def end(self, broadcast: str) -> None:
        """End a broadcast for good.

        `DELETE /api/broadcasts/{broadcast}`, with a token: admin or key.
        Refusals of its own: scope_missing, key_limited, request_limit.
        """
        await self._nothing("broadcasts_end", broadcast=broadcast)

    async def create_token(
        self,
        broadcast: str,
        *,
        audience: Literal["viewer", "publisher"] | None = None,
        ttl_s: float | None = None,
        idempotency_key: str | None = None,
    ) -> models.Token:
        """A token to watch it or to publish to it.

        `audience`: What it allows.
        `ttl_s`: Seconds that it is valid.
        `POST /api/broadcasts/{broadcast}/tokens`, with a token: admin or key.
        Refusals of its own: scope_missing, key_limited, request_under_way, idempotency_key_reused, request_limit.
        """
        return await self._json(
            "broadcasts_create_token",
            models.Token,
            broadcast=broadcast,
            audience=audience,
            ttl_s=ttl_s,
            idempotency_key=idempotency_key,
        )

    async def play(
        self,
        broadcast: str,
        *,
        role: Literal["passive", "interactive"] | None = None,
        viewer: str | None = None,
        exclude: str | None = None,
        node: str | None = None,
        rtt: str | None = None,
    ) -> models.Play:
        """How to watch now.

        `role`: Passive viewers may be moved to HLS.
        `viewer`: The id from an earlier answer; made when missing.
        `exclude`: Nodes that just failed this viewer, comma separated.
        `node`: The node that it had: it gets it again while that can take it.
        `rtt`: Round trips that the player measured: NODE:MS, comma separated.
        `GET /api/broadcasts/{broadcast}/play`, with a token: admin or key or publisher or viewer.
        Refusals of its own: scope_missing, key_limited, request_limit, no_node.
        """
        return await self._json(
            "broadcasts_play",
            models.Play,
            broadcast=broadcast,
            role=role,
            viewer=viewer,
            exclude=exclude,
            node=node,
            rtt=rtt,
        )

    async def publish(self, broadcast: str) -> models.Publish:
        """Where to publish now.

        `GET /api/broadcasts/{broadcast}/publish`, with a token: admin or key or publisher.
        Refusals of its own: scope_missing, key_limited, request_limit, no_node.
        """
        return await self._json("broadcasts_publish", models.Publish, broadcast=broadcast)

    async def say(
        self, broadcast: str, text: str, *, now: bool | None = None, idempotency_key: str | None = None
    ) -> models.Taken:
        """The avatar says these words.

        `now`: Said at once: it ends the line that is being spoken, what waits comes after it.
        `POST /api/broadcasts/{broadcast}/say`, with a token: admin or key or publisher or viewer.
        Refusals of its own: scope_missing, key_limited, moderated, request_under_way, no_avatar, idempotency_key_reused,
        request_limit, talk_limit, no_node, origin_unreachable.
        """
        return await self._json(
            "broadcasts_say",
            models.Taken,
            broadcast=broadcast,
            text=text,
            now=now,
            idempotency_key=idempotency_key,
        )

    async def ask(self, broadcast: str, text: str, *, idempotency_key: str | None = None) -> models.Taken:
        """The avatar answers, aloud.

        `POST /api/broadcasts/{broadcast}/ask`, with a token: admin or key or publisher or viewer.
        Refusals of its own: scope_missing, key_limited, request_under_way, no_avatar, idempotency_key_reused, request_limit,
        talk_limit, no_node, origin_unreachable.
        """
        return await self._json(
            "broadcasts_ask", models.Taken, broadcast=broadcast, text=text, idempotency_key=idempotency_key
        )

    async def interrupt(self, broadcast: str) -> models.Taken:
        """The avatar stops talking.

        `POST /api/broadcasts/{broadcast}/interrupt`, with a token: admin or key or publisher or viewer.
        Refusals of its own: scope_missing, key_limited, moderated, no_avatar, request_limit, talk_limit, no_node,
        origin_unreachable.
        """
        return await self._json("broadcasts_interrupt", models.Taken, broadcast=broadcast)

    async def ears(self, broadcast: str, *, viewer: str | None = None) -> models.EarGrant:
        """Where a viewer's microphone goes, so that the avatar hears it.

        `viewer`: The id from the answer of /play; made when missing.
        `POST /api/broadcasts/{broadcast}/ears`, with a token: admin or key or publisher or viewer.
        Refusals of its own: scope_missing, key_limited, no_avatar, request_limit, talk_limit, no_node.
        """
        return await self._json("broadcasts_ears", models.EarGrant, broadcast=broadcast, viewer=viewer)

    async def desk(self, broadcast: str) -> models.Desk:
        """What the avatar says, what waits, and the script.

        `GET /api/broadcasts/{broadcast}/desk`, with a token: admin or key or publisher.
        Refusals of its own: scope_missing, key_limited, no_avatar, request_limit, no_node, origin_unreachable.
        """
        return await self._json("broadcasts_desk", models.Desk, broadcast=broadcast)

    async def approve_line(self, broadcast: str, line: int) -> models.Desk:
        """A held question is answered in its turn.

        `POST /api/broadcasts/{broadcast}/desk/lines/{line}/approve`, with a token: admin or key or publisher.
        Refusals of its own: scope_missing, key_limited, line_unknown, no_avatar, request_limit, avatar_busy, no_node,
        origin_unreachable.
        """
        return await self._json("broadcasts_approve_line", models.Desk, broadcast=broadcast, line=line)

    async def drop_line(self, broadcast: str, line: int) -> models.Desk:
        """A line or a question that waits is dropped.

        `DELETE /api/broadcasts/{broadcast}/desk/lines/{line}`, with a token: admin or key or publisher.
        Refusals of its own: scope_missing, key_limited, line_unknown, no_avatar, request_limit, no_node, origin_unreachable.
        """
        return await self._json("broadcasts_drop_line", models.Desk, broadcast=broadcast, line=line)

    async def play_script(self, broadcast: str, cues: Sequence[models.Cue]) -> models.Desk:
        """A script is played: its lines at their times, questions between them.

        `PUT /api/broadcasts/{broadcast}/desk/script`, with a token: admin or key or publisher.
        Refusals of its own: scope_missing, key_limited, no_avatar, request_limit, no_node, origin_unreachable.
        """
        return await self._json("broadcasts_play_script", models.Desk, broadcast=broadcast, cues=cues)

    async def stop_script(self, broadcast: str) -> models.Desk:
        """The script ends; the line that is being spoken does not.

        `DELETE /api/broadcasts/{broadcast}/desk/script`, with a token: admin or key or publisher.
        Refusals of its own: scope_missing, key_limited, no_avatar, request_limit, no_node, origin_unreachable.
        """
        return await self._json("broadcasts_stop_script", models.Desk, broadcast=broadcast)

    async def delivery(self, broadcast: str) -> models.DeliveryState:
        """How it is delivered, and why.

        `GET /api/broadcasts/{broadcast}/delivery`, with a token: admin or key or publisher or viewer.
        Refusals of its own: scope_missing, key_limited, request_limit.
        """
        return await self._json("broadcasts_delivery", models.DeliveryState, broadcast=broadcast)

    async def activate_cdn(self, broadcast: str) -> models.DeliveryState:
        """Passive viewers go to HLS through the CDN, and stay there.

        `POST /api/broadcasts/{broadcast}/activate-cdn`, with a token: admin or key.
        Refusals of its own: scope_missing, key_limited, hls_disabled, request_limit.
        """
        return await self._json("broadcasts_activate_cdn", models.DeliveryState, broadcast=broadcast)

    async def deactivate_cdn(self, broadcast: str) -> models.DeliveryState:
        """All viewers go back to WebRTC, and stay there.

        `POST /api/broadcasts/{broadcast}/deactivate-cdn`, with a token: admin or key.
        Refusals of its own: scope_missing, key_limited, request_limit.
        """
        return await self._json("broadcasts_deactivate_cdn", models.DeliveryState, broadcast=broadcast)

    async def automatic_cdn(self, broadcast: str) -> models.DeliveryState:
        """The audience decides again.

        `POST /api/broadcasts/{broadcast}/automatic-cdn`, with a token: admin or key.
        Refusals of its own: scope_missing, key_limited, request_limit.
        """
        return await self._json("broadcasts_automatic_cdn", models.DeliveryState, broadcast=broadcast)

    async def stats(self, broadcast: str) -> models.BroadcastStats:
        """Viewers by delivery and region, latency.

        `GET /api/broadcasts/{broadcast}/stats`, with a token: admin or key or publisher or viewer.
        Refusals of its own: scope_missing, key_limited, request_limit.
        """
        return await self._json("broadcasts_stats", models.BroadcastStats, broadcast=broadcast)

    async def analytics(
        self,
        broadcast: str,
        *,
        from_: dt.datetime | None = None,
        to: dt.datetime | None = None,
        step: int | None = None,
    ) -> models.Analytics:
        """Who watched, how long, from where, how well; also of one that is over.

        `from_`: ISO 8601 with a zone; the broadcast's begin when missing.
        `to`: ISO 8601 with a zone; its end, or now, when missing.
        `step`: Seconds; at least an hour for what is older than two days.
        `GET /api/broadcasts/{broadcast}/analytics`, with a token: admin or key or publisher.
        Refusals of its own: scope_missing, key_limited, too_many_points, request_limit.
        """
        return await self._json(
            "broadcasts_analytics", models.Analytics, broadcast=broadcast, from_=from_, to=to, step=step
        )

    async def analytics_csv(
        self,
        broadcast: str,
        *,
        from_: dt.datetime | None = None,
        to: dt.datetime | None = None,
        step: int | None = None,
    ) -> str:
        """The same points as a table.

        `from_`: ISO 8601 with a zone; the broadcast's begin when missing.
        `to`: ISO 8601 with a zone; its end, or now, when missing.
        `step`: Seconds; at least an hour for what is older than two days.
        `GET /api/broadcasts/{broadcast}/analytics.csv`, with a token: admin or key or publisher.
        Refusals of its own: scope_missing, key_limited, too_many_points, request_limit.
        """
        return await self._text(
            "broadcasts_analytics_csv", broadcast=broadcast, from_=from_, to=to, step=step
        )

    def events(self, broadcast: str) -> AsyncIterator[Event]:
        """What happens to a broadcast (server-sent events).

        `GET /api/broadcasts/{broadcast}/events`, with a token: admin or key or publisher or viewer.
        Refusals of its own: scope_missing, key_limited, request_limit.
        """
        return self._events("broadcasts_events", broadcast=broadcast)

    async def placement(
        self,
        broadcast: str,
        *,
        ip: str | None = None,
        node: str | None = None,
        rtt: str | None = None,
        viewer: str | None = None,
        limit: int | None = None,
    ) -> models.PlacementList:
        """Where a viewer would go, and why not elsewhere.

        `ip`: An address as if it asked; the caller's when empty.
        `node`: The node that it had.
        `rtt`: Round trips that the player measured: NODE:MS, comma separated.
        `viewer`: Whose bucket counts while a version is rolled out.
        `limit`: Most nodes that `ranked` and `rejected` have, of each kind.
        `GET /api/broadcasts/{broadcast}/placement`, with a token: admin or key.
        Refusals of its own: scope_missing, key_limited, request_limit.
        """
        return await self._json(
            "broadcasts_placement",
            models.PlacementList,
            broadcast=broadcast,
            ip=ip,
            node=node,
            rtt=rtt,
            viewer=viewer,
            limit=limit,
        )


class AsyncViewers(AsyncGroup):
    """Watching: `viewers`."""

    async def report(
        self,
        viewer: str,
        broadcast: str,
        delivery: models.Delivery,
        *,
        role: models.ViewerRole | None = None,
        latency_ms: float | None = None,
        bitrate_bps: float | None = None,
        freezes: int | None = None,
        node: str | None = None,
        startup_ms: float | None = None,
        watched_s: float | None = None,
    ) -> models.Play:
        """A player reports itself, and learns how to go on.

        `latency_ms`: From capture to picture, if known.
        `freezes`: Since the player started.
        `node`: The node that it watches from, by WebRTC.
        `startup_ms`: From the wish to watch to the first picture.
        `watched_s`: Since the first picture.
        `POST /api/v1/viewers/{viewer}`, with a token: admin or key or publisher or viewer.
        Refusals of its own: scope_missing, key_limited, invalid_id, request_limit, report_limit.
        """
        return await self._json(
            "viewers_report",
            models.Play,
            viewer=viewer,
            broadcast=broadcast,
            delivery=delivery,
            role=role,
            latency_ms=latency_ms,
            bitrate_bps=bitrate_bps,
            freezes=freezes,
            node=node,
            startup_ms=startup_ms,
            watched_s=watched_s,
        )


class AsyncWhep(AsyncGroup):
    """Watching: `whep`."""

    async def watch(self, broadcast: str, offer: str) -> str:
        """Watch by WHEP: redirects to the best node.

        `offer`: The session description (SDP).
        `POST /whep/{broadcast}`.
        Refusals of its own: no_node.
        """
        return await self._location("whep_watch", broadcast=broadcast, offer=offer)

    async def options(self, broadcast: str) -> None:
        """What WHEP allows.

        `OPTIONS /whep/{broadcast}`.
        """
        await self._nothing("whep_options", broadcast=broadcast)


class AsyncWhip(AsyncGroup):
    """Watching: `whip`."""

    async def publish(self, broadcast: str, offer: str) -> str:
        """Publish by WHIP: redirects to the broadcast's origin.

        `offer`: The session description (SDP).
        `POST /whip/{broadcast}`, with a token: admin or key or publisher.
        Refusals of its own: scope_missing, key_limited, request_limit, no_node.
        """
        return await self._location("whip_publish", broadcast=broadcast, offer=offer)

    async def options(self, broadcast: str) -> None:
        """What WHIP allows.

        `OPTIONS /whip/{broadcast}`.
        """
        await self._nothing("whip_options", broadcast=broadcast)


class AsyncSessions(AsyncGroup):
    """Sessions: `sessions`."""

    async def create(
        self,
        *,
        avatar: str | None = None,
        persona: str | None = None,
        user: str | None = None,
        ttl_s: float | None = None,
        idempotency_key: str | None = None,
    ) -> models.MadeSession:
        """Place a session: an avatar for one person, with how to connect.

        `avatar`: Who is talked to.
        `persona`: Who the avatar is, by name.
        `user`: Your name for the person. Whoever has a session gets the same one again, at the same origin, with its dialogue.
        `ttl_s`: Seconds without a viewer or a word after which it ends.
        `POST /api/sessions`, with a token: admin or key.
        Refusals of its own: scope_missing, request_under_way, idempotency_key_reused, request_limit, session_limit, make_limit,
        no_node, avatars_full, database_unavailable.
        """
        return await self._json(
            "sessions_create",
            models.MadeSession,
            avatar=avatar,
            persona=persona,
            user=user,
            ttl_s=ttl_s,
            idempotency_key=idempotency_key,
        )

    async def list(self, *, limit: int | None = None, after: str | None = None) -> models.SessionList:
        """List sessions.

        `limit`: Most items of the page.
        `after`: The `next` of the page before.
        `GET /api/sessions`, with a token: admin or key.
        Refusals of its own: scope_missing, request_limit.
        """
        return await self._json("sessions_list", models.SessionList, limit=limit, after=after)

    def list_all(self, *, limit: int | None = None) -> AsyncIterator[models.SessionState]:
        """List sessions: all, page by page."""
        return self._pages("sessions_list", models.SessionList, limit=limit)

    async def read(self, session: str) -> models.SessionState:
        """A session and how it is now.

        `GET /api/sessions/{session}`, with a token: admin or key or publisher or viewer.
        Refusals of its own: scope_missing, key_limited, session_over, request_limit.
        """
        return await self._json("sessions_read", models.SessionState, session=session)

    async def end(self, session: str) -> None:
        """End a session; what was said is deleted.

        `DELETE /api/sessions/{session}`, with a token: admin or key.
        Refusals of its own: scope_missing, key_limited, session_over, request_limit.
        """
        await self._nothing("sessions_end", session=session)

    async def history(self, session: str) -> models.History:
        """What was said, as far as it was heard.

        `GET /api/sessions/{session}/history`, with a token: admin or key or publisher or viewer.
        Refusals of its own: scope_missing, key_limited, session_over, request_limit.
        """
        return await self._json("sessions_history", models.History, session=session)

    async def say(self, session: str, text: str, *, now: bool | None = None) -> models.Taken:
        """The avatar says these words.

        `now`: Said at once: it ends the line that is being spoken, what waits comes after it.
        `POST /api/sessions/{session}/say`, with a token: admin or key or publisher or viewer.
        Refusals of its own: scope_missing, key_limited, session_over, request_limit, talk_limit, no_node, origin_unreachable.
        """
        return await self._json("sessions_say", models.Taken, session=session, text=text, now=now)

    async def ask(self, session: str, text: str) -> models.Taken:
        """The avatar answers, aloud.

        `POST /api/sessions/{session}/ask`, with a token: admin or key or publisher or viewer.
        Refusals of its own: scope_missing, key_limited, session_over, request_limit, talk_limit, no_node, origin_unreachable.
        """
        return await self._json("sessions_ask", models.Taken, session=session, text=text)

    async def interrupt(self, session: str) -> models.Taken:
        """The avatar stops talking.

        `POST /api/sessions/{session}/interrupt`, with a token: admin or key or publisher or viewer.
        Refusals of its own: scope_missing, key_limited, session_over, request_limit, talk_limit, no_node, origin_unreachable.
        """
        return await self._json("sessions_interrupt", models.Taken, session=session)

    async def ears(self, session: str, *, viewer: str | None = None) -> models.EarGrant:
        """Where the person's microphone goes.

        `viewer`: The id from the answer of /play; made when missing.
        `POST /api/sessions/{session}/ears`, with a token: admin or key or publisher or viewer.
        Refusals of its own: scope_missing, key_limited, session_over, request_limit, talk_limit, no_node, origin_unreachable.
        """
        return await self._json("sessions_ears", models.EarGrant, session=session, viewer=viewer)

    def events(self, session: str) -> AsyncIterator[Event]:
        """What happens to a session (server-sent events).

        `GET /api/sessions/{session}/events`, with a token: admin or key or publisher or viewer.
        Refusals of its own: scope_missing, key_limited, session_over, request_limit.
        """
        return self._events("sessions_events", session=session)


class AsyncCdn(AsyncGroup):
    """Delivery: `cdn`."""

    async def read(self) -> models.CdnState:
        """Which CDN is before the packagers, and how it is.

        `GET /api/cdn`, with a token: admin or key.
        Refusals of its own: scope_missing, request_limit.
        """
        return await self._json(
            "cdn_read",
            models.CdnState,
        )


class AsyncSfu(AsyncGroup):
    """Figures: `sfu`."""

    async def stats(self, *, limit: int | None = None, after: str | None = None) -> models.SfuStats:
        """Workers, transports and rates of all SFUs.

        `limit`: Most nodes of the page.
        `after`: The `next` of the page before.
        `GET /api/sfu/stats`.
        """
        return await self._json("sfu_stats", models.SfuStats, limit=limit, after=after)

    def stats_all(self, *, limit: int | None = None) -> AsyncIterator[models.NodeSfu]:
        """Workers, transports and rates of all SFUs: all, page by page."""
        return self._pages("sfu_stats", models.SfuStats, limit=limit)


class AsyncMediasoup(AsyncGroup):
    """Figures: `mediasoup`."""

    async def stats(self, *, limit: int | None = None, after: str | None = None) -> models.SfuStats:
        """The same as /api/sfu/stats.

        `limit`: Most nodes of the page.
        `after`: The `next` of the page before.
        `GET /api/mediasoup/stats`.
        """
        return await self._json("mediasoup_stats", models.SfuStats, limit=limit, after=after)

    def stats_all(self, *, limit: int | None = None) -> AsyncIterator[models.NodeSfu]:
        """The same as /api/sfu/stats: all, page by page."""
        return self._pages("mediasoup_stats", models.SfuStats, limit=limit)


class AsyncEvents(AsyncGroup):
    """Events: `events`."""

    def follow(self) -> AsyncIterator[Event]:
        """Everything that happens (server-sent events).

        `GET /api/events`, with a token: admin or key.
        Refusals of its own: scope_missing, request_limit.
        """
        return self._events(
            "events_follow",
        )


class AsyncWorker(AsyncGroup):
    """Nodes: `worker`."""

    async def register(
        self,
        id: str,
        role: models.Role,
        url: str,
        epoch: int,
        *,
        region: str | None = None,
        zone: str | None = None,
        version: str | None = None,
        draining: bool | None = None,
        leaving: models.OwnDrain | None = None,
        capacity: int | None = None,
        busiest_ratio: float | None = None,
        refused: int | None = None,
        cpu_ratio: float | None = None,
        memory_bytes: int | None = None,
        memory_ratio: float | None = None,
        gpu_memory_ratio: float | None = None,
        workers: int | None = None,
        avatar: bool | None = None,
        avatars_free: int | None = None,
        avatars_refused: Sequence[str] | None = None,
        packages: Sequence[str] | None = None,
        health: models.Health | None = None,
        streams: Sequence[models.StreamReport] | None = None,
        stats: dict[str, Any] | None = None,
    ) -> models.Directory:
        """A node reports itself, and learns what it must know.

        `POST /api/v1/worker/register`, with a token: key or node.
        Refusals of its own: node_replaced.
        """
        return await self._json(
            "worker_register",
            models.Directory,
            id=id,
            role=role,
            url=url,
            epoch=epoch,
            region=region,
            zone=zone,
            version=version,
            draining=draining,
            leaving=leaving,
            capacity=capacity,
            busiest_ratio=busiest_ratio,
            refused=refused,
            cpu_ratio=cpu_ratio,
            memory_bytes=memory_bytes,
            memory_ratio=memory_ratio,
            gpu_memory_ratio=gpu_memory_ratio,
            workers=workers,
            avatar=avatar,
            avatars_free=avatars_free,
            avatars_refused=avatars_refused,
            packages=packages,
            health=health,
            streams=streams,
            stats=stats,
        )

    async def heartbeat(
        self,
        id: str,
        role: models.Role,
        url: str,
        epoch: int,
        *,
        region: str | None = None,
        zone: str | None = None,
        version: str | None = None,
        draining: bool | None = None,
        leaving: models.OwnDrain | None = None,
        capacity: int | None = None,
        busiest_ratio: float | None = None,
        refused: int | None = None,
        cpu_ratio: float | None = None,
        memory_bytes: int | None = None,
        memory_ratio: float | None = None,
        gpu_memory_ratio: float | None = None,
        workers: int | None = None,
        avatar: bool | None = None,
        avatars_free: int | None = None,
        avatars_refused: Sequence[str] | None = None,
        packages: Sequence[str] | None = None,
        health: models.Health | None = None,
        streams: Sequence[models.StreamReport] | None = None,
        stats: dict[str, Any] | None = None,
    ) -> models.Directory:
        """The same, every 2.5 s: the lease is 10 s.

        `POST /api/v1/worker/heartbeat`, with a token: key or node.
        Refusals of its own: node_replaced.
        """
        return await self._json(
            "worker_heartbeat",
            models.Directory,
            id=id,
            role=role,
            url=url,
            epoch=epoch,
            region=region,
            zone=zone,
            version=version,
            draining=draining,
            leaving=leaving,
            capacity=capacity,
            busiest_ratio=busiest_ratio,
            refused=refused,
            cpu_ratio=cpu_ratio,
            memory_bytes=memory_bytes,
            memory_ratio=memory_ratio,
            gpu_memory_ratio=gpu_memory_ratio,
            workers=workers,
            avatar=avatar,
            avatars_free=avatars_free,
            avatars_refused=avatars_refused,
            packages=packages,
            health=health,
            streams=streams,
            stats=stats,
        )

    async def take_job(self, node: str) -> models.JobChance:
        """An origin with room asks for a job.

        `POST /api/v1/worker/jobs`, with a token: key or node.
        """
        return await self._json("worker_take_job", models.JobChance, node=node)

    async def tell_progress(
        self, job: str, node: str, attempt: int, step: str, share: float
    ) -> models.JobGoing:
        """How far it is; answers whether to go on.

        `share`: Of the step.
        `POST /api/v1/worker/jobs/{job}/progress`, with a token: key or node.
        """
        return await self._json(
            "worker_tell_progress",
            models.JobGoing,
            job=job,
            node=node,
            attempt=attempt,
            step=step,
            share=share,
        )

    async def end_job(
        self, job: str, node: str, attempt: int, outcome: models.JobOutcome, *, why: str | None = None
    ) -> None:
        """There is no film.

        `POST /api/v1/worker/jobs/{job}/end`, with a token: key or node.
        Refusals of its own: job_lost.
        """
        await self._nothing("worker_end_job", job=job, node=node, attempt=attempt, outcome=outcome, why=why)

    async def job_image(self, job: str) -> str:
        """The photo that it is made of.

        `GET /api/v1/worker/jobs/{job}/image`, with a token: key or node.
        Refusals of its own: job_unknown, file_gone.
        """
        return await self._text("worker_job_image", job=job)

    async def job_audio(self, job: str) -> str:
        """The recording that it is made of.

        `GET /api/v1/worker/jobs/{job}/audio`, with a token: key or node.
        Refusals of its own: job_unknown, file_gone.
        """
        return await self._text("worker_job_audio", job=job)

    async def give_film(self, job: str, node: str, attempt: int, file: bytes) -> None:
        """The film.

        `node`: The origin that made it.
        `attempt`: Which attempt this was.
        `file`: The bytes of a file.
        `PUT /api/v1/worker/jobs/{job}/film`, with a token: key or node.
        Refusals of its own: job_lost, body_too_large, store_unavailable.
        """
        await self._nothing("worker_give_film", job=job, node=node, attempt=attempt, file=file)


class AsyncNodes(AsyncGroup):
    """Nodes: `nodes`."""

    async def list(self, *, limit: int | None = None, after: str | None = None) -> models.NodeList:
        """List nodes.

        `limit`: Most nodes of the page.
        `after`: The `next` of the page before.
        `GET /api/nodes`, with a token: admin or key.
        Refusals of its own: scope_missing, request_limit.
        """
        return await self._json("nodes_list", models.NodeList, limit=limit, after=after)

    def list_all(self, *, limit: int | None = None) -> AsyncIterator[models.NodeView]:
        """List nodes: all, page by page."""
        return self._pages("nodes_list", models.NodeList, limit=limit)

    async def read(self, node: str) -> models.NodeView:
        """A node.

        `GET /api/nodes/{node}`, with a token: admin or key.
        Refusals of its own: scope_missing, node_unknown, request_limit.
        """
        return await self._json("nodes_read", models.NodeView, node=node)

    async def drain(
        self, node: str, *, deadline_s: float | None = None, why: str | None = None
    ) -> models.NodeView:
        """The node takes nobody new; viewers and sessions move to others.

        `deadline_s`: Seconds until it is to be empty.
        `why`: For whoever reads it later.
        `POST /api/nodes/{node}/drain`, with a token: admin or key.
        Refusals of its own: scope_missing, node_unknown, request_limit.
        """
        return await self._json("nodes_drain", models.NodeView, node=node, deadline_s=deadline_s, why=why)

    async def undrain(self, node: str) -> models.NodeView:
        """The node takes viewers again.

        `DELETE /api/nodes/{node}/drain`, with a token: admin or key.
        Refusals of its own: scope_missing, node_unknown, node_leaving, node_annotated, request_limit.
        """
        return await self._json("nodes_undrain", models.NodeView, node=node)


class AsyncRollouts(AsyncGroup):
    """Rollouts: `rollouts`."""

    async def list(self, *, limit: int | None = None, after: str | None = None) -> models.RolloutList:
        """All rollouts, newest first.

        `limit`: Most items of the page.
        `after`: The `next` of the page before.
        `GET /api/rollouts`, with a token: admin or key.
        Refusals of its own: scope_missing, request_limit.
        """
        return await self._json("rollouts_list", models.RolloutList, limit=limit, after=after)

    def list_all(self, *, limit: int | None = None) -> AsyncIterator[models.RolloutView]:
        """All rollouts, newest first: all, page by page."""
        return self._pages("rollouts_list", models.RolloutList, limit=limit)

    async def create(
        self,
        stable: str,
        candidate: str,
        *,
        role: Literal["origin", "relay"] | None = None,
        phases: Sequence[models.RolloutPhase] | None = None,
        limits: models.RolloutLimits | None = None,
        move_sessions: bool | None = None,
        idempotency_key: str | None = None,
    ) -> models.RolloutView:
        """Roll a new version out to the users of a pool.

        `stable`: The version that users have now.
        `candidate`: The version that they are to get.
        `role`: The pool: origins (avatars) or relays. Packagers have no users.
        `phases`: 10 % for 3 days, 25 % for 5, 50 % for 7, then all, when missing.
        `move_sessions`: After a rollback what runs on the new version moves, with its dialogue; else it stays.
        `POST /api/rollouts`, with a token: admin or key.
        Refusals of its own: scope_missing, request_under_way, rollout_running, idempotency_key_reused, request_limit,
        database_unavailable.
        """
        return await self._json(
            "rollouts_create",
            models.RolloutView,
            stable=stable,
            candidate=candidate,
            role=role,
            phases=phases,
            limits=limits,
            move_sessions=move_sessions,
            idempotency_key=idempotency_key,
        )

    async def read(self, rollout: str) -> models.RolloutDetail:
        """A rollout, its figures and its history.

        `GET /api/rollouts/{rollout}`, with a token: admin or key.
        Refusals of its own: scope_missing, rollout_unknown, request_limit, database_unavailable.
        """
        return await self._json("rollouts_read", models.RolloutDetail, rollout=rollout)

    async def pause(self, rollout: str, *, why: str | None = None) -> models.RolloutView:
        """Stay at the present part of the users.

        `POST /api/rollouts/{rollout}/pause`, with a token: admin or key.
        Refusals of its own: scope_missing, rollout_unknown, rollout_state, rollout_changed, request_limit, database_unavailable.
        """
        return await self._json("rollouts_pause", models.RolloutView, rollout=rollout, why=why)

    async def resume(self, rollout: str) -> models.RolloutView:
        """Go on.

        `POST /api/rollouts/{rollout}/resume`, with a token: admin or key.
        Refusals of its own: scope_missing, rollout_unknown, rollout_state, rollout_changed, request_limit, database_unavailable.
        """
        return await self._json("rollouts_resume", models.RolloutView, rollout=rollout)

    async def rollback(self, rollout: str, *, why: str | None = None) -> models.RolloutView:
        """Give everybody the stable version again.

        `POST /api/rollouts/{rollout}/rollback`, with a token: admin or key.
        Refusals of its own: scope_missing, rollout_unknown, rollout_state, rollout_changed, request_limit, database_unavailable.
        """
        return await self._json("rollouts_rollback", models.RolloutView, rollout=rollout, why=why)

    async def again(self, rollout: str) -> models.RolloutView:
        """Roll out once more what was taken back.

        `POST /api/rollouts/{rollout}/again`, with a token: admin or key.
        Refusals of its own: scope_missing, rollout_unknown, rollout_state, rollout_changed, request_limit, database_unavailable.
        """
        return await self._json("rollouts_again", models.RolloutView, rollout=rollout)


class AsyncKeys(AsyncGroup):
    """Accounts: `keys`."""

    async def list(self, *, limit: int | None = None, after: str | None = None) -> models.KeyList:
        """API keys, without their secrets.

        `limit`: Most items of the page.
        `after`: The `next` of the page before.
        `GET /api/keys`, with a token: admin or key.
        Refusals of its own: scope_missing, request_limit.
        """
        return await self._json("keys_list", models.KeyList, limit=limit, after=after)

    def list_all(self, *, limit: int | None = None) -> AsyncIterator[models.Key]:
        """API keys, without their secrets: all, page by page."""
        return self._pages("keys_list", models.KeyList, limit=limit)

    async def create(
        self,
        name: str,
        scopes: Sequence[models.Scope],
        *,
        only: Sequence[str] | None = None,
        expires_in_s: int | None = None,
        requests_per_minute: int | None = None,
        makes_per_minute: int | None = None,
        sessions: int | None = None,
    ) -> models.MadeKey:
        """Make an API key; its secret is told once.

        `name`: Whose it is, for you.
        `scopes`: What it allows.
        `only`: Broadcasts that it is limited to, by name or beginning (shop-*); it has the sessions it makes.
        `expires_in_s`: Seconds that it is valid; null: until it is revoked.
        `requests_per_minute`: Its own limit in the place of AVACAST_REQUEST_LIMIT.
        `makes_per_minute`: Its own limit in the place of AVACAST_MAKE_LIMIT.
        `sessions`: Its own limit in the place of AVACAST_ACCOUNT_SESSIONS.
        `POST /api/keys`, with a token: admin or key.
        Refusals of its own: scope_missing, keys_full, request_limit, database_unavailable.
        """
        return await self._json(
            "keys_create",
            models.MadeKey,
            name=name,
            scopes=scopes,
            only=only,
            expires_in_s=expires_in_s,
            requests_per_minute=requests_per_minute,
            makes_per_minute=makes_per_minute,
            sessions=sessions,
        )

    async def read(self, key: str) -> models.Key:
        """An API key.

        `GET /api/keys/{key}`, with a token: admin or key.
        Refusals of its own: scope_missing, key_unknown, request_limit.
        """
        return await self._json("keys_read", models.Key, key=key)

    async def revoke(self, key: str) -> None:
        """Revoke an API key, for good.

        `DELETE /api/keys/{key}`, with a token: admin or key.
        Refusals of its own: scope_missing, key_unknown, request_limit, database_unavailable.
        """
        await self._nothing("keys_revoke", key=key)

    async def rotate(self, key: str, *, grace_s: int | None = None) -> models.MadeKey:
        """A new secret; the old one lives on for a while.

        `grace_s`: Seconds for which the old secret is taken too; 0: none.
        `POST /api/keys/{key}/rotate`, with a token: admin or key.
        Refusals of its own: scope_missing, key_unknown, request_limit, database_unavailable.
        """
        return await self._json("keys_rotate", models.MadeKey, key=key, grace_s=grace_s)


class AsyncSigning(AsyncGroup):
    """Accounts: `signing`."""

    async def list(self) -> models.KeySet:
        """The keys that verify tokens (Ed25519).

        `GET /.well-known/jwks.json`.
        """
        return await self._json(
            "signing_list",
            models.KeySet,
        )

    async def renew(self) -> models.KeySet:
        """Another key signs at once, and all tokens that are out end.

        `POST /api/signing-keys/renew`, with a token: admin or key.
        Refusals of its own: scope_missing, request_limit, database_unavailable.
        """
        return await self._json(
            "signing_renew",
            models.KeySet,
        )


class AsyncAudit(AsyncGroup):
    """Audit: `audit`."""

    async def list(self, *, limit: int | None = None, after: str | None = None) -> models.AuditList:
        """Who did what, newest first.

        `limit`: Most items of the page.
        `after`: The `next` of the page before.
        `GET /api/audit`, with a token: admin or key.
        Refusals of its own: scope_missing, request_limit.
        """
        return await self._json("audit_list", models.AuditList, limit=limit, after=after)

    def list_all(self, *, limit: int | None = None) -> AsyncIterator[models.Entry]:
        """Who did what, newest first: all, page by page."""
        return self._pages("audit_list", models.AuditList, limit=limit)


class AsyncScaling(AsyncGroup):
    """Scaling: `scaling`."""

    async def list(self, *, limit: int | None = None, after: str | None = None) -> models.Scaling:
        """How many nodes each pool should have, and why.

        `limit`: Most pools of the page.
        `after`: The `next` of the page before.
        `GET /api/scaling`, with a token: admin or key.
        Refusals of its own: scope_missing, request_limit.
        """
        return await self._json("scaling_list", models.Scaling, limit=limit, after=after)

    def list_all(self, *, limit: int | None = None) -> AsyncIterator[models.PoolView]:
        """How many nodes each pool should have, and why: all, page by page."""
        return self._pages("scaling_list", models.Scaling, limit=limit)

    async def read(self, role: str, region: str) -> models.PoolView:
        """One pool, as KEDA's metrics-api scaler reads it.

        `GET /api/scaling/{role}/{region}`, with a token: admin or key.
        Refusals of its own: scope_missing, pool_unknown, request_limit.
        """
        return await self._json("scaling_read", models.PoolView, role=role, region=region)


class AsyncCost(AsyncGroup):
    """Cost: `cost`."""

    async def read(
        self,
        *,
        listeners: str | None = None,
        hours: float | None = None,
        interactive: float | None = None,
        kbps: int | None = None,
        demand: str | None = None,
        spot_share: float | None = None,
        minutes: float | None = None,
        seconds: float | None = None,
    ) -> models.Cost:
        """The cheapest machines, and what streams, sessions, broadcasts and films cost.

        `listeners`: Sizes of a broadcast's audience, comma separated.
        `hours`: Length of the broadcast.
        `interactive`: Part of its listeners that takes part.
        `kbps`: Rate that a listener is sent, in kbit/s.
        `demand`: Avatars at once, hour by hour, comma separated; what the pools expect when empty.
        `spot_share`: Most of the avatars on spot machines.
        `minutes`: Length of a session.
        `seconds`: Length of a film.
        `GET /api/cost`, with a token: admin or key.
        Refusals of its own: scope_missing, no_mix, request_limit.
        """
        return await self._json(
            "cost_read",
            models.Cost,
            listeners=listeners,
            hours=hours,
            interactive=interactive,
            kbps=kbps,
            demand=demand,
            spot_share=spot_share,
            minutes=minutes,
            seconds=seconds,
        )


class AsyncRecordings(AsyncGroup):
    """Recordings: `recordings`."""

    async def list(self, *, limit: int | None = None, after: str | None = None) -> models.RecordingPage:
        """Recordings, the newest first.

        `limit`: Most recordings of the page.
        `after`: The `next` of the page before.
        `GET /api/recordings`, with a token: admin or key.
        Refusals of its own: scope_missing, request_limit.
        """
        return await self._json("recordings_list", models.RecordingPage, limit=limit, after=after)

    def list_all(self, *, limit: int | None = None) -> AsyncIterator[models.RecordingView]:
        """Recordings, the newest first: all, page by page."""
        return self._pages("recordings_list", models.RecordingPage, limit=limit)

    async def delete(self, broadcast: str, id: str) -> None:
        """Delete a recording, wherever it is.

        `DELETE /api/recordings/{broadcast}/{id}`, with a token: admin or key.
        Refusals of its own: scope_missing, key_limited, recording_unknown, recording_running, request_limit,
        packager_unreachable.
        """
        await self._nothing("recordings_delete", broadcast=broadcast, id=id)


class AsyncUploads(AsyncGroup):
    """Jobs: `uploads`."""

    async def create(self, file: bytes) -> models.Upload:
        """Keep a photo or a recording for a week.

        `file`: The bytes of a file.
        `POST /api/uploads`, with a token: admin or key.
        Refusals of its own: scope_missing, body_too_large, upload_kind, request_limit, upload_limit, store_unavailable.
        """
        return await self._json("uploads_create", models.Upload, file=file)

    async def delete(self, upload: str) -> None:
        """Delete an upload.

        `DELETE /api/uploads/{upload}`, with a token: admin or key.
        Refusals of its own: scope_missing, upload_unknown, upload_needed, request_limit, store_unavailable.
        """
        await self._nothing("uploads_delete", upload=upload)


class AsyncJobs(AsyncGroup):
    """Jobs: `jobs`."""

    async def create(
        self,
        *,
        avatar: str | None = None,
        image: str | None = None,
        text: str | None = None,
        audio: str | None = None,
        voice: str | None = None,
        size: str | None = None,
        background: str | None = None,
        idempotency_key: str | None = None,
    ) -> models.Job:
        """Order a film of an avatar or a photo that speaks.

        `avatar`: A person or a package of the origins; `ava` when there is no image either.
        `image`: An uploaded photo of one person, which then speaks.
        `text`: What is said.
        `audio`: An uploaded recording of speech, in the place of text.
        `voice`: Voice of a text: auto is the avatar's own.
        `size`: WIDTHxHEIGHT; 512x512 of an image and 854x480 of an avatar when null.
        `background`: What is behind the person: what its avatar or image has (keep), or a colour such as #00ff00.
        `POST /api/jobs`, with a token: admin or key.
        Refusals of its own: scope_missing, upload_unknown, request_under_way, idempotency_key_reused, request_limit, job_limit,
        make_limit, database_unavailable.
        """
        return await self._json(
            "jobs_create",
            models.Job,
            avatar=avatar,
            image=image,
            text=text,
            audio=audio,
            voice=voice,
            size=size,
            background=background,
            idempotency_key=idempotency_key,
        )

    async def list(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        state: Literal["waiting", "running", "done", "failed", "cancelled"] | None = None,
    ) -> models.JobList:
        """Jobs, the newest first.

        `limit`: Most jobs of the page.
        `after`: The `next` of the page before.
        `state`: Only those of this state.
        `GET /api/jobs`, with a token: admin or key.
        Refusals of its own: scope_missing, request_limit.
        """
        return await self._json("jobs_list", models.JobList, limit=limit, after=after, state=state)

    def list_all(
        self,
        *,
        limit: int | None = None,
        state: Literal["waiting", "running", "done", "failed", "cancelled"] | None = None,
    ) -> AsyncIterator[models.Job]:
        """Jobs, the newest first: all, page by page."""
        return self._pages("jobs_list", models.JobList, limit=limit, state=state)

    async def read(self, job: str) -> models.Job:
        """A job, how far it is, and the link to its film.

        `GET /api/jobs/{job}`, with a token: admin or key.
        Refusals of its own: scope_missing, job_unknown, request_limit.
        """
        return await self._json("jobs_read", models.Job, job=job)

    async def delete(self, job: str) -> None:
        """Delete a job and its film.

        `DELETE /api/jobs/{job}`, with a token: admin or key.
        Refusals of its own: scope_missing, job_unknown, request_limit, store_unavailable.
        """
        await self._nothing("jobs_delete", job=job)

    async def cancel(self, job: str) -> models.Job:
        """Do not make it, or not to its end.

        `POST /api/jobs/{job}/cancel`, with a token: admin or key.
        Refusals of its own: scope_missing, job_unknown, job_over, request_limit.
        """
        return await self._json("jobs_cancel", models.Job, job=job)

    async def retry(self, job: str) -> models.Job:
        """Make one that failed or was cancelled once more.

        `POST /api/jobs/{job}/retry`, with a token: admin or key.
        Refusals of its own: scope_missing, job_unknown, job_not_over, upload_expired, request_limit, job_limit.
        """
        return await self._json("jobs_retry", models.Job, job=job)

    async def result(self, job: str, *, until: str | None = None, signature: str | None = None) -> str:
        """The film.

        `until`: When it ends, in seconds since 1970.
        `signature`: That it is ours.
        `GET /api/jobs/{job}/result`, with a token: admin or key.
        Refusals of its own: scope_missing, link_invalid, job_unknown, file_gone, film_not_made, range_not_satisfiable,
        request_limit, store_unavailable.
        """
        return await self._text("jobs_result", job=job, until=until, signature=signature)


class AsyncWebhooks(AsyncGroup):
    """Webhooks: `webhooks`."""

    async def create(
        self, url: str, *, events: Sequence[models.EventType] | None = None, description: str | None = None
    ) -> models.MadeWebhook:
        """Make a webhook; its secret is shown once.

        `events`: Kinds of events that it wants; empty: all, those of later versions too.
        `description`: What people read.
        `POST /api/webhooks`, with a token: admin or key.
        Refusals of its own: scope_missing, webhooks_full, webhook_url_refused, request_limit.
        """
        return await self._json(
            "webhooks_create", models.MadeWebhook, url=url, events=events, description=description
        )

    async def list(self, *, limit: int | None = None, after: str | None = None) -> models.WebhookList:
        """List webhooks.

        `limit`: Most webhooks of the page.
        `after`: The `next` of the page before.
        `GET /api/webhooks`, with a token: admin or key.
        Refusals of its own: scope_missing, request_limit.
        """
        return await self._json("webhooks_list", models.WebhookList, limit=limit, after=after)

    def list_all(self, *, limit: int | None = None) -> AsyncIterator[models.Endpoint]:
        """List webhooks: all, page by page."""
        return self._pages("webhooks_list", models.WebhookList, limit=limit)

    async def read(self, webhook: str) -> models.Endpoint:
        """A webhook and how it does.

        `GET /api/webhooks/{webhook}`, with a token: admin or key.
        Refusals of its own: scope_missing, webhook_unknown, request_limit.
        """
        return await self._json("webhooks_read", models.Endpoint, webhook=webhook)

    async def change(
        self,
        webhook: str,
        *,
        url: str | None = None,
        events: Sequence[models.EventType] | None = None,
        description: str | None = None,
        enabled: bool | None = None,
    ) -> models.Endpoint:
        """Change its URL, its events, turn it off or on.

        `enabled`: False: nothing is sent. True: what happens from now on is, as after too many failures.
        `PATCH /api/webhooks/{webhook}`, with a token: admin or key.
        Refusals of its own: scope_missing, webhook_unknown, webhook_url_refused, request_limit.
        """
        return await self._json(
            "webhooks_change",
            models.Endpoint,
            webhook=webhook,
            url=url,
            events=events,
            description=description,
            enabled=enabled,
        )

    async def delete(self, webhook: str) -> None:
        """Remove a webhook.

        `DELETE /api/webhooks/{webhook}`, with a token: admin or key.
        Refusals of its own: scope_missing, webhook_unknown, request_limit.
        """
        await self._nothing("webhooks_delete", webhook=webhook)

    async def renew_secret(self, webhook: str) -> models.RenewedSecret:
        """A new secret; the one before signs too for a day.

        `POST /api/webhooks/{webhook}/secret`, with a token: admin or key.
        Refusals of its own: scope_missing, webhook_unknown, request_limit.
        """
        return await self._json("webhooks_renew_secret", models.RenewedSecret, webhook=webhook)

    async def test(self, webhook: str) -> models.WebhookDelivery:
        """Send it an event of no meaning.

        `POST /api/webhooks/{webhook}/test`, with a token: admin or key.
        Refusals of its own: scope_missing, webhook_unknown, webhook_disabled, request_limit.
        """
        return await self._json("webhooks_test", models.WebhookDelivery, webhook=webhook)

    async def deliveries(
        self,
        webhook: str,
        *,
        limit: int | None = None,
        after: str | None = None,
        state: Literal["waiting", "delivered", "failed"] | None = None,
    ) -> models.DeliveryList:
        """What was sent to it, the newest first.

        `limit`: Most deliveries of the page.
        `after`: The `next` of the page before.
        `state`: Those in this state only.
        `GET /api/webhooks/{webhook}/deliveries`, with a token: admin or key.
        Refusals of its own: scope_missing, webhook_unknown, request_limit.
        """
        return await self._json(
            "webhooks_deliveries", models.DeliveryList, webhook=webhook, limit=limit, after=after, state=state
        )

    def deliveries_all(
        self,
        webhook: str,
        *,
        limit: int | None = None,
        state: Literal["waiting", "delivered", "failed"] | None = None,
    ) -> AsyncIterator[models.WebhookDelivery]:
        """What was sent to it, the newest first: all, page by page."""
        return self._pages(
            "webhooks_deliveries", models.DeliveryList, webhook=webhook, limit=limit, state=state
        )

    async def redeliver(self, webhook: str, delivery: int) -> models.WebhookDelivery:
        """Send one again.

        `POST /api/webhooks/{webhook}/deliveries/{delivery}/redeliver`, with a token: admin or key.
        Refusals of its own: scope_missing, webhook_unknown, delivery_unknown, webhook_disabled, request_limit.
        """
        return await self._json(
            "webhooks_redeliver", models.WebhookDelivery, webhook=webhook, delivery=delivery
        )


class AsyncAbout(AsyncGroup):
    """About this API: `about`."""

    async def openapi(self) -> str:
        """This document (OpenAPI 3.1).

        `GET /api/openapi.json`.
        """
        return await self._text(
            "about_openapi",
        )

    async def docs(self) -> str:
        """A page to read and try it.

        `GET /docs`.
        """
        return await self._text(
            "about_docs",
        )

    async def docs_file(self, name: str) -> bytes:
        """Files of that page.

        `GET /docs/{name}`.
        """
        return await self._bytes("about_docs_file", name=name)

    async def health(self) -> str:
        """Health, with counts of nodes and workers.

        `GET /health`.
        """
        return await self._text(
            "about_health",
        )

    async def ready(self) -> str:
        """Ready to serve?.

        `GET /ready`.
        """
        return await self._text(
            "about_ready",
        )

    async def metrics(self) -> str:
        """Metrics in Prometheus' text format.

        `GET /metrics`.
        """
        return await self._text(
            "about_metrics",
        )


class AsyncOperations:
    """All groups."""

    def __init__(self, transport: Transport) -> None:
        self.broadcasts = AsyncBroadcasts(transport)
        self.viewers = AsyncViewers(transport)
        self.whep = AsyncWhep(transport)
        self.whip = AsyncWhip(transport)
        self.sessions = AsyncSessions(transport)
        self.cdn = AsyncCdn(transport)
        self.sfu = AsyncSfu(transport)
        self.mediasoup = AsyncMediasoup(transport)
        self.events = AsyncEvents(transport)
        self.worker = AsyncWorker(transport)
        self.nodes = AsyncNodes(transport)
        self.rollouts = AsyncRollouts(transport)
        self.keys = AsyncKeys(transport)
        self.signing = AsyncSigning(transport)
        self.audit = AsyncAudit(transport)
        self.scaling = AsyncScaling(transport)
        self.cost = AsyncCost(transport)
        self.recordings = AsyncRecordings(transport)
        self.uploads = AsyncUploads(transport)
        self.jobs = AsyncJobs(transport)
        self.webhooks = AsyncWebhooks(transport)
        self.about = AsyncAbout(transport)
