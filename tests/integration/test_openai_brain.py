"""A language model over HTTP: tokens stream into text; errors, silence and nonsense become one clear error."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pytest
from aiohttp import web

from common.dialogue import Said, Speaker
from common.http import Site
from origin.dialogue.brain import BrainError, Question
from origin.dialogue.openai import MISTRAL_URL, Endpoint, OpenAiBrain, endpoint
from origin.dialogue.persona import load


class Model:
    """A chat endpoint that streams `tokens`."""

    def __init__(self) -> None:
        self.tokens = ["Hel", "lo, ", "I am here."]
        self.status = 200
        self.silent = False
        self.garbage = False
        self.requests: list[dict[str, Any]] = []
        self.authorization: str | None = None
        self.done = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(await request.json())
        self.authorization = request.headers.get("Authorization")
        if self.status != 200:
            return web.Response(status=self.status, text="no such model")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        if self.garbage:
            await response.write(b"data: {not json\n\n")
        for token in self.tokens:
            chunk = {"choices": [{"index": 0, "delta": {"content": token}}]}
            await response.write(f": note\n\ndata: {json.dumps(chunk)}\n\n".encode())
        if self.silent:
            await self.done.wait()
        await response.write(b"data: [DONE]\n\n")
        return response


@pytest.fixture
async def model() -> AsyncIterator[tuple[Model, str]]:
    served = Model()
    app = web.Application()
    app.router.add_post("/v1/chat/completions", served.answer)
    site = Site(app, "127.0.0.1", 0)
    await site.start()
    yield served, f"http://127.0.0.1:{site.port}/v1"
    served.done.set()
    await site.close()


async def ask(url: str, **limits: float) -> list[str]:
    brain = OpenAiBrain(Endpoint(url, "small", "secret", **limits), load("ava"))
    history = (
        Said(speaker=Speaker.VISITOR, text="Hi", asker="Anna"),
        Said(speaker=Speaker.AVATAR, text="Hello Anna"),
    )
    try:
        return [t async for t in brain.reply(Question("And you?", datetime(2026, 1, 1), "Anna", history))]
    finally:
        await brain.close()


async def test_tokens_come_as_they_are_streamed(model: tuple[Model, str]) -> None:
    served, url = model
    assert await ask(url) == served.tokens
    sent = served.requests[0]
    assert served.authorization == "Bearer secret" and sent["model"] == "small" and sent["stream"] is True
    assert [m["role"] for m in sent["messages"]] == ["system", "user", "assistant", "user"]
    assert sent["messages"][-1]["content"] == "And you?" and "Ava" in sent["messages"][0]["content"]


async def test_a_refusal_says_what_was_answered(model: tuple[Model, str]) -> None:
    served, url = model
    served.status = 404
    with pytest.raises(BrainError, match="404: no such model"):
        await ask(url)


async def test_silence_is_an_error_in_time(model: tuple[Model, str]) -> None:
    served, url = model
    served.silent = True
    with pytest.raises(BrainError):
        await ask(url, first_token_s=0.2)


async def test_nonsense_is_an_error(model: tuple[Model, str]) -> None:
    served, url = model
    served.garbage = True
    with pytest.raises(BrainError):
        await ask(url)


async def test_an_empty_answer_is_an_error(model: tuple[Model, str]) -> None:
    served, url = model
    served.tokens = []
    with pytest.raises(BrainError, match="empty"):
        await ask(url)


async def test_nobody_there_is_an_error() -> None:
    with pytest.raises(BrainError):
        await ask("http://127.0.0.1:9/v1", first_token_s=1.0)


def test_where_the_model_is() -> None:
    assert endpoint("", "", "") is None
    assert endpoint("", "key", "") == Endpoint(MISTRAL_URL, "mistral-small-latest", "key")
    own = endpoint("http://127.0.0.1:11434/v1", "", "llama")
    assert own is not None and own.url.endswith("/v1") and own.model == "llama"
