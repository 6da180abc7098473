"""The orchestrator as a role: `start(config)` opens SQL and the registry, builds the application and begins to tick."""

from __future__ import annotations

from collections import Counter
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from aiohttp import web

from common.auth import Believed, Tokens
from common.config import OrchestratorConfig
from common.database import Database
from common.http import application
from common.log import log
from common.registry import Registry
from common.store.opening import open_store
from orchestrator.analytics.ledger import Ledger
from orchestrator.analytics.recorder import Recorder
from orchestrator.api import (
    analytics,
    audit,
    avatar,
    broadcasts,
    cdn,
    cost,
    delivery,
    desk,
    docs,
    events,
    gate,
    jobs,
    keys,
    nodes,
    recordings,
    rollouts,
    scaling,
    sessions,
    stats,
    watching,
    webhooks,
)
from orchestrator.api import (
    signing as signing_api,
)
from orchestrator.api.route import CONTEXT, Context, Route
from orchestrator.audit import Audit
from orchestrator.broadcasts import Broadcasts
from orchestrator.cdn.providers import OwnCloudFront, cdn_of
from orchestrator.cost import prices
from orchestrator.cost.costs import Costs
from orchestrator.cost.spot import SpotPrices
from orchestrator.gauges import NodeGauges
from orchestrator.geo import Geo, parse_networks
from orchestrator.hub import Hub
from orchestrator.idempotency import once
from orchestrator.jobs.links import Links
from orchestrator.jobs.queue import Jobs
from orchestrator.jobs.uploads import Uploads
from orchestrator.keeper import Keeper
from orchestrator.keys import Keys
from orchestrator.limits import Limits
from orchestrator.outreach import Outreach
from orchestrator.rollout.service import Deploying
from orchestrator.rollout.store import Rollouts
from orchestrator.scaling.autoscaler import Autoscaler
from orchestrator.scaling.groups import Groups
from orchestrator.scaling.pools import parse_pool
from orchestrator.sessions import Sessions
from orchestrator.signing import Signing
from orchestrator.webhooks.service import Webhooks

_log = log("orchestrator")

ROUTES: tuple[Route, ...] = (
    *broadcasts.ROUTES,
    *watching.ROUTES,
    *avatar.ROUTES,
    *desk.ROUTES,
    *sessions.ROUTES,
    *delivery.ROUTES,
    *cdn.ROUTES,
    *stats.ROUTES,
    *analytics.ROUTES,
    *events.ROUTES,
    *nodes.ROUTES,
    *rollouts.ROUTES,
    *keys.ROUTES,
    *signing_api.ROUTES,
    *audit.ROUTES,
    *scaling.ROUTES,
    *cost.ROUTES,
    *recordings.ROUTES,
    *jobs.ROUTES,
    *webhooks.ROUTES,
    *docs.ROUTES,
)


class Orchestrator:
    """A running orchestrator: serve `app`, and `close` it."""

    def __init__(self, app: web.Application, hub: Hub, scaler: Autoscaler, closing: AsyncExitStack) -> None:
        self.app = app
        self.hub = hub
        self.scaler = scaler
        self._closing = closing

    @property
    def hls_port(self) -> int:
        """The packager's HLS port, when no URL of it is configured."""
        return self.hub.hls_port

    @hls_port.setter
    def hls_port(self, port: int) -> None:
        self.hub.hls_port = port

    async def close(self) -> None:
        """Ends events, tick, probes and connections, in the reverse order of their start."""
        await self._closing.aclose()


async def start(config: OrchestratorConfig) -> Orchestrator:
    """Starts an orchestrator. Raises ValueError for bad settings, DatabaseDown when SQL does not answer (Redis may come later)."""
    async with AsyncExitStack() as opening:
        tokens, trusted = (
            Tokens(config.secret(), Believed(config.hs256)),
            parse_networks(config.trusted_proxies),
        )
        if config.signing == "hs256" and config.hs256 != "all":
            raise ValueError(
                "AVACAST_SIGNING=hs256 needs AVACAST_HS256=all here and at all nodes, or nobody believes it"
            )
        geo = Geo(config.geoip_db)
        opening.callback(geo.close)
        bounds = dict(parse_pool(one) for one in config.scaling_pools)
        scaler = Autoscaler(bounds, groups=Groups() if config.scaling_apply else None)
        spot = SpotPrices(config.spot_region) if config.spot_region else None
        costs = Costs(prices.load(config.prices), spot)
        limits = Limits(
            config.redis_url,
            talk=config.talk_limit,
            report=config.report_limit,
            request=config.request_limit,
            make=config.make_limit,
        )
        opening.push_async_callback(limits.close)
        database = await Database.open(config.database_url, config.data)
        opening.push_async_callback(database.close)
        noted = Audit(database, days=config.audit_days)
        opening.push_async_callback(noted.close)
        noted.start()
        signing = Signing(
            database, tokens, config.secret(), days=config.signing_days, signs=config.signing == "eddsa"
        )
        opening.push_async_callback(signing.close)
        await signing.start()
        registry = Registry.connect(config.redis_url)
        opening.push_async_callback(registry.close)
        accounts = Keys(database, shared=not registry.embedded)
        opening.push_async_callback(accounts.close)
        await accounts.start()
        hub = Hub(config, registry, Broadcasts(database))
        hub.cdn = network = cdn_of(config)
        opening.push_async_callback(network.close)
        hub.keys = signing.public
        accounts.narrowed = signing.turned = hub.feed.doubt
        outreach = Outreach(hub, tokens)
        opening.push_async_callback(hub.close)
        await hub.start()
        if isinstance(network, OwnCloudFront):
            network.start(lambda: hub.on_duty)
        opening.push_async_callback(outreach.close)
        await outreach.start()
        scaler.start(lambda: hub.nodes, lambda: hub.on_duty)
        opening.push_async_callback(scaler.close)
        held = Sessions(database)
        keeper = Keeper(hub, held, outreach)
        hub.dialogue, hub.user_of = held.dialogue, held.user
        hub.moves.collect = keeper.collect
        hub.moves.give, hub.moves.take = outreach.give_desk, outreach.take_desk
        hub.audited = noted.note_own
        deploying = Deploying(hub, Rollouts(database))
        opening.push_async_callback(deploying.close)
        await deploying.start()
        opening.push_async_callback(keeper.close)
        await keeper.start()
        recorder = Recorder(hub, Ledger(database, days=config.analytics_days))
        hub.leaving = recorder.ended
        opening.push_async_callback(recorder.close)
        recorder.start()
        hooks = Webhooks(
            hub,
            held,
            outreach,
            database,
            secret=config.secret(),
            private=config.webhook_private,
            days=config.webhook_days,
        )
        hub.broadcasts.told, held.told = hooks.broadcast, hooks.session
        deploying.rollouts.told = hooks.rollout
        opening.push_async_callback(hooks.close)
        await hooks.start()
        gauges = NodeGauges(lambda: hub.nodes)
        gauges.start()
        opening.callback(gauges.close)
        films = open_store(config.jobs_store or (config.data / "jobs").absolute().as_uri())
        uploads = Uploads(database, films)
        queue = Jobs(database, films, uploads, days=config.job_days)
        queue.told = hooks.job
        opening.push_async_callback(queue.close)
        queue.start()
        app = application("orchestrator", lambda: _facts(hub))
        app[CONTEXT] = Context(
            config=config,
            hub=hub,
            tokens=tokens,
            admin_token=config.admin(),
            geo=geo,
            outreach=outreach,
            limits=limits,
            audit=noted,
            scaler=scaler,
            sessions=held,
            keeper=keeper,
            keys=accounts,
            signing=signing,
            costs=costs,
            webhooks=hooks,
            recorder=recorder,
            rollouts=deploying,
            jobs=queue,
            uploads=uploads,
            links=Links(config.secret()),
            films=films,
            trusted=trusted,
        )
        docs.describe(app, ROUTES)
        app.on_response_prepare.append(gate.tell_limits)
        app.on_shutdown.append(partial(_end_events, hub))
        for route in ROUTES:
            handler = once(route.handler, registry) if route.once else route.handler
            handler = audit.audited(route, gate.admitted(route, handler), noted)
            app.router.add_route(route.method, route.path, gate.known(route, handler))
        _log.info(
            "orchestrator:started", id=hub.id, broadcasts=len(hub.broadcasts), geo=config.geoip_db is not None
        )
        return Orchestrator(app, hub, scaler, opening.pop_all())


async def _end_events(hub: Hub, _app: web.Application) -> None:
    """Open event streams would hold up the end of the listener."""
    hub.feed.close()


def _facts(hub: Hub) -> dict[str, Any]:
    roles = Counter(str(node.report.role) for node in hub.nodes)
    return {
        "orchestrator": hub.id,
        "workers": sum(node.report.workers for node in hub.nodes),
        "nodes": {"total": len(hub.nodes), **roles},
        "broadcasts": len(hub.broadcasts),
        "viewers": sum(audience.total for audience in hub.audiences.values()),
        "registry": "up" if hub.registry.up else "down",
        "on_duty": hub.on_duty,
    }
