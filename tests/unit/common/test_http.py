"""Every answer of a role is one that a program and a person can use, whatever went wrong."""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientConnectorError, ClientSession, web
from pydantic import BaseModel

from common.errors import NotFound, Unavailable
from common.http import Site, application, read_model, read_up_to


class Body(BaseModel):
    name: str
    count: int = 0


async def _missing(_request: web.Request) -> web.Response:
    raise NotFound(
        "there is no broadcast 'x'", code="broadcast_unknown", hint="list them: GET /api/broadcasts"
    )


async def _busy(_request: web.Request) -> web.Response:
    raise Unavailable("all nodes are full", retry_after_s=3)


async def _broken(_request: web.Request) -> web.Response:
    raise RuntimeError("secret detail")


async def _echo(request: web.Request) -> web.Response:
    return web.json_response((await read_model(request, Body)).model_dump())


@pytest.fixture
async def client() -> AsyncIterator[ClientSession]:
    app = application("test", lambda: {"workers": 2, "ready": False})
    app.router.add_get("/missing", _missing)
    app.router.add_get("/busy", _busy)
    app.router.add_get("/broken", _broken)
    app.router.add_post("/echo", _echo)
    site = Site(app, "127.0.0.1", 0)
    await site.start()
    async with ClientSession(f"http://127.0.0.1:{site.port}") as session:
        yield session
    await site.close()


async def test_a_problem_has_code_detail_and_hint(client: ClientSession) -> None:
    async with client.get("/missing") as answer:
        assert answer.status == 404
        assert answer.content_type == "application/problem+json"
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        document = await answer.json()
    assert document["code"] == "broadcast_unknown"
    assert "GET /api/broadcasts" in document["hint"]


async def test_other_sites_may_call_and_are_told_how(client: ClientSession) -> None:
    asks = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    async with client.options("/echo", headers=asks) as answer:
        assert answer.status == 200
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert answer.headers["Access-Control-Allow-Methods"] == "POST"
        assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
        assert "Access-Control-Allow-Credentials" not in answer.headers
    async with client.options("/nowhere", headers=asks) as answer:
        assert answer.status == 404
    async with client.options("/echo") as answer:
        assert answer.status == 405, "no browser asks without saying what for"


async def test_every_answer_has_its_security_headers(client: ClientSession) -> None:
    for path in ("/missing", "/health", "/nowhere", "/busy"):
        async with client.get(path) as answer:
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            assert answer.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
            assert "RateLimit" in answer.headers["Access-Control-Expose-Headers"]
    async with client.get("/metrics") as answer:
        assert "Content-Security-Policy" not in answer.headers, "it is no data of a script's"


async def test_a_refusal_says_when_to_come_back(client: ClientSession) -> None:
    async with client.get("/busy") as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (503, "3")


async def test_a_fault_of_ours_tells_no_secrets(
    client: ClientSession, capsys: pytest.CaptureFixture[str]
) -> None:
    async with client.get("/broken") as answer:
        assert answer.status == 500
        assert "secret" not in await answer.text()
    capsys.readouterr()


async def test_unknown_paths_and_methods_are_problems_too(client: ClientSession) -> None:
    async with client.get("/nowhere") as answer:
        assert (answer.status, (await answer.json())["code"]) == (404, "not_found")
    async with client.delete("/missing") as answer:
        assert (answer.status, (await answer.json())["code"]) == (405, "method_not_allowed")
        assert "GET" in answer.headers["Allow"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [(b"{", 400, "bad_json"), (b'{"count": 1}', 422, "invalid_body"), (b'{"name": 1}', 422, "invalid_body")],
)
async def test_a_bad_body_is_named(client: ClientSession, body: bytes, status: int, code: str) -> None:
    async with client.post("/echo", data=body) as answer:
        assert (answer.status, (await answer.json())["code"]) == (status, code)


async def test_a_body_that_is_too_large_is_refused(client: ClientSession) -> None:
    async with client.post("/echo", data=b"x" * 400_000) as answer:
        assert (answer.status, (await answer.json())["code"]) == (413, "body_too_large")


async def test_health_ready_and_metrics(client: ClientSession) -> None:
    async with client.get("/health") as answer:
        health = await answer.json()
    assert (health["status"], health["role"], health["workers"]) == ("ok", "test", 2)
    async with client.get("/ready") as answer:
        assert answer.status == 503
    async with client.get("/metrics") as answer:
        assert "http_requests_total" in await answer.text()


async def test_a_body_that_comes_in_pieces_is_read_to_its_end_or_its_limit() -> None:
    first_read = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"the first half, ")
        await first_read.wait()
        await response.write(b"and the second")
        return response

    app = application("test")
    app.router.add_get("/halves", answer)
    site = Site(app, "127.0.0.1", 0)
    await site.start()
    try:
        async with ClientSession(f"http://127.0.0.1:{site.port}") as http:
            for limit, whole in ((1000, b"he first half, and the second"), (20, b"he first half, and t")):
                first_read.clear()
                async with http.get("/halves") as reply:
                    assert await reply.content.readexactly(1) == b"t", "the first half is there"
                    reading = asyncio.create_task(read_up_to(reply.content, limit))
                    await asyncio.sleep(0)
                    first_read.set()
                    assert await reading == whole
    finally:
        await site.close()


async def test_a_site_serves_the_same_at_further_ports_and_ends_at_all() -> None:
    app = application("test")
    app.router.add_post("/echo", _echo)
    site = Site(app, "127.0.0.1", 0, (0, 0))
    await site.start()
    ports = (site.port, *site.further)
    assert len(set(ports)) == 3 and 0 not in ports
    async with ClientSession() as http:
        for port in ports:
            async with http.post(f"http://127.0.0.1:{port}/echo", json={"name": str(port)}) as answer:
                assert (await answer.json())["name"] == str(port)
        await site.close()
        for port in ports:
            with pytest.raises(ClientConnectorError):
                await http.get(f"http://127.0.0.1:{port}/health")


async def test_a_further_port_that_is_taken_is_named_and_the_others_are_let_go() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        site = Site(application("test"), "127.0.0.1", 0, (taken,))
        with pytest.raises(OSError, match=str(taken)) as refused:
            await site.start()
        assert refused.value.errno == errno.EADDRINUSE
        assert site._runner.addresses == []
