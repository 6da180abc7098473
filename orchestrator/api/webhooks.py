"""/api/webhooks: addresses that are told what happens, and what was sent to each."""

from __future__ import annotations

from aiohttp import web
from pydantic import BaseModel, Field

from common.errors import NotFound
from common.http import read_model
from orchestrator.api.paging import Page, json_page
from orchestrator.api.route import Access, Route, context, json, read_query
from orchestrator.webhooks.endpoints import Endpoint, EndpointChanges, NewEndpoint
from orchestrator.webhooks.outbox import WebhookDelivery
from orchestrator.webhooks.schedule import SendState

TAG = "Webhooks"
_MOST_NUMBER = 2**31 - 1


class WebhookPage(Page):
    """Which page."""

    limit: int = Field(100, ge=1, le=100, description="Most webhooks of the page.")


class WebhookList(BaseModel):
    """A page of webhooks, by id."""

    webhooks: list[Endpoint]
    next: str | None = Field(description="`after` of the next page, null on the last.")


class MadeWebhook(Endpoint):
    """A webhook with its secret, which is shown only now."""

    secret: str = Field(description="Verify signatures with it: docs/webhooks.md.")


class RenewedSecret(BaseModel):
    """A new secret, which is shown only now. The one before signs too for a day."""

    secret: str


class DeliveryPage(Page):
    """Which page, newest first."""

    limit: int = Field(50, ge=1, le=100, description="Most deliveries of the page.")
    after: str = Field("", pattern="^[0-9]{0,9}$", description="The `next` of the page before.")
    state: SendState | None = Field(None, description="Those in this state only.")


class DeliveryList(BaseModel):
    """A page of deliveries, the newest first."""

    deliveries: list[WebhookDelivery]
    next: str | None = Field(description="`after` of the next page, null on the last.")


async def _create(request: web.Request) -> web.Response:
    at = context(request)
    made, secret = await at.webhooks.endpoints.create(await read_model(request, NewEndpoint))
    location = f"{at.base(request)}/api/webhooks/{made.id}"
    return json(MadeWebhook(**made.model_dump(), secret=secret), status=201, headers={"Location": location})


async def _list(request: web.Request) -> web.Response:
    at, page = context(request), read_query(request, WebhookPage)
    found = await at.webhooks.endpoints.page(page.limit + 1, page.after)
    told = found[: page.limit]
    after = told[-1].id if len(found) > len(told) else None
    return json_page(request, WebhookList(webhooks=told, next=after), after)


async def _read(request: web.Request) -> web.Response:
    at = context(request)
    return json(await at.webhooks.endpoints.read(request.match_info["webhook"]))


async def _change(request: web.Request) -> web.Response:
    at = context(request)
    changes = await read_model(request, EndpointChanges)
    return json(await at.webhooks.endpoints.change(request.match_info["webhook"], changes))


async def _delete(request: web.Request) -> web.Response:
    at = context(request)
    await at.webhooks.endpoints.delete(request.match_info["webhook"])
    return web.Response(status=204)


async def _renew(request: web.Request) -> web.Response:
    at = context(request)
    return json(RenewedSecret(secret=await at.webhooks.endpoints.renew(request.match_info["webhook"])))


async def _test(request: web.Request) -> web.Response:
    at = context(request)
    return json(await at.webhooks.endpoints.test(request.match_info["webhook"]), status=202)


async def _deliveries(request: web.Request) -> web.Response:
    at, page = context(request), read_query(request, DeliveryPage)
    found = await at.webhooks.endpoints.deliveries(
        request.match_info["webhook"], page.limit + 1, int(page.after) if page.after else None, page.state
    )
    told = found[: page.limit]
    after = str(told[-1].id) if len(found) > len(told) else None
    return json_page(request, DeliveryList(deliveries=told, next=after), after)


async def _redeliver(request: web.Request) -> web.Response:
    at = context(request)
    webhook, spelled = request.match_info["webhook"], request.match_info["delivery"]
    number = int(spelled) if spelled.isascii() and spelled.isdecimal() and len(spelled) < 12 else 0
    if not 0 < number <= _MOST_NUMBER:
        raise NotFound(f"there is no delivery {spelled[:20]!r}", code="delivery_unknown")
    return json(await at.webhooks.endpoints.redeliver(webhook, number), status=202)


ALL, ONE = "/api/webhooks", "/api/webhooks/{webhook}"
_HERE = ("webhook_unknown",)

ROUTES = (
    Route(
        "POST", ALL, _create, "Make a webhook; its secret is shown once", TAG, Access.ADMIN,
        body=NewEndpoint, answer=MadeWebhook, status=201, problems=("webhook_url_refused", "webhooks_full"),
    ),
    Route("GET", ALL, _list, "List webhooks", TAG, Access.ADMIN, answer=WebhookList, query=WebhookPage),
    Route("GET", ONE, _read, "A webhook and how it does", TAG, Access.ADMIN, answer=Endpoint, problems=_HERE),
    Route(
        "PATCH", ONE, _change, "Change its URL, its events, turn it off or on", TAG, Access.ADMIN,
        body=EndpointChanges, answer=Endpoint, problems=(*_HERE, "webhook_url_refused"),
    ),
    Route("DELETE", ONE, _delete, "Remove a webhook", TAG, Access.ADMIN, status=204, problems=_HERE),
    Route(
        "POST", f"{ONE}/secret", _renew, "A new secret; the one before signs too for a day", TAG, Access.ADMIN,
        answer=RenewedSecret, problems=_HERE, name="webhooks_renew_secret",
    ),
    Route(
        "POST", f"{ONE}/test", _test, "Send it an event of no meaning", TAG, Access.ADMIN,
        answer=WebhookDelivery, status=202, problems=(*_HERE, "webhook_disabled"),
    ),
    Route(
        "GET", f"{ONE}/deliveries", _deliveries, "What was sent to it, the newest first", TAG, Access.ADMIN,
        answer=DeliveryList, query=DeliveryPage, problems=_HERE,
    ),
    Route(
        "POST", f"{ONE}/deliveries/{{delivery}}/redeliver", _redeliver, "Send one again", TAG, Access.ADMIN,
        answer=WebhookDelivery, status=202, problems=(*_HERE, "delivery_unknown", "webhook_disabled"), name="webhooks_redeliver",
    ),
)  # fmt: skip
