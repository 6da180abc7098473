"""A language model behind any OpenAI-compatible chat endpoint; its tokens are spoken while they come.

Server-sent events of POST {url}/chat/completions with "stream": true. Bounded in time (first token, between tokens) and size.
Mistral's endpoint is the default when MISTRAL_API_KEY is the key that is there.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from common.dialogue import Speaker
from common.http import read_up_to
from origin.dialogue.brain import BrainError, Question
from origin.dialogue.persona import Persona

_HISTORY: Final = 16
"""Messages of the past that go along."""
_MOST_CHARS: Final = 4_000
"""An answer is cut here: four minutes of speech."""
MISTRAL_URL: Final = "https://api.mistral.ai/v1"
MISTRAL_MODEL: Final = "mistral-small-latest"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the model is. `url` ends before /chat/completions."""

    url: str
    model: str
    key: str = ""
    first_token_s: float = 8.0
    between_tokens_s: float = 5.0


class OpenAiBrain:
    """Asks the endpoint. Raises BrainError when it refuses, is too slow or breaks off."""

    def __init__(self, endpoint: Endpoint, persona: Persona) -> None:
        self._endpoint = endpoint
        self._persona = persona
        self._session: aiohttp.ClientSession | None = None

    async def reply(self, question: Question) -> AsyncGenerator[str, None]:
        """The answer as it comes, some characters at a time."""
        endpoint = self._endpoint
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=endpoint.first_token_s, sock_read=endpoint.first_token_s
        )
        body = {
            "model": endpoint.model,
            "stream": True,
            "max_tokens": 400,
            "messages": self._messages(question),
        }
        headers = {"Authorization": f"Bearer {endpoint.key}"} if endpoint.key else {}
        if self._session is None:
            self._session = aiohttp.ClientSession()
        told = 0
        try:
            async with self._session.post(
                f"{endpoint.url.rstrip('/')}/chat/completions", json=body, headers=headers, timeout=timeout
            ) as response:
                if response.status != 200:
                    reason = (await read_up_to(response.content, 300)).decode("utf-8", "replace")
                    raise BrainError(f"{endpoint.url} answered {response.status}: {reason}")
                async for text in _tokens(response):
                    told += len(text)
                    yield text
                    if told > _MOST_CHARS:
                        return
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise BrainError(f"{endpoint.url}: {type(error).__name__} {error}") from error
        if not told:
            raise BrainError(f"{endpoint.url} gave an empty answer")

    async def close(self) -> None:
        """Closes the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _messages(self, question: Question) -> list[dict[str, str]]:
        messages = [{"role": "system", "content": self._persona.system_prompt()}]
        for message in list(question.history)[-_HISTORY:]:
            by_name = f"{message.asker}: " if message.asker and message.speaker is Speaker.VISITOR else ""
            messages.append({"role": message.speaker.value, "content": by_name + message.text})
        messages.append({"role": Speaker.VISITOR.value, "content": question.text})
        return messages


async def _tokens(response: aiohttp.ClientResponse) -> AsyncGenerator[str, None]:
    """The text deltas of a stream of chat completion chunks."""
    async for line in response.content:
        if not line.startswith(b"data:"):
            continue
        data = line[5:].strip()
        if data == b"[DONE]":
            return
        chunk: Any = json.loads(data)
        choices = chunk.get("choices") if isinstance(chunk, dict) else None
        if choices and isinstance(choices[0], dict):
            text = (choices[0].get("delta") or {}).get("content")
            if isinstance(text, str) and text:
                yield text


def endpoint(url: str, key: str, model: str) -> Endpoint | None:
    """The endpoint of a configuration; None when none is configured (then the script answers)."""
    if url:
        return Endpoint(url, model or "default", key)
    if key:
        return Endpoint(MISTRAL_URL, model or MISTRAL_MODEL, key)
    return None
