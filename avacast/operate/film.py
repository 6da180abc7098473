"""`avacast jobs make`: a film in one command: what it is made of is uploaded, the job ordered and watched, the film fetched."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from avacast.client.clients import SERVER, AsyncAvacast
from avacast.client.errors import AvacastError
from avacast.client.generated.models import Job
from avacast.operate.run import Asked, explained, token_of

_ASK_S = 1.0
_SILENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class FilmWish:
    """What is asked for."""

    out: Path
    text: str | None
    audio: Path | None
    avatar: str | None
    image: Path | None
    voice: str | None
    size: str | None
    background: str | None


class NoFilm(Exception):
    """The job has ended without one; the message says why."""


def make_film(wish: FilmWish, asked: Asked) -> int:
    """The status of the command: 0 the film is there, 1 there is none, 2 it cannot be asked like this, 130 interrupted (the job is
    cancelled)."""
    console, errors = Console(), Console(stderr=True, highlight=False)
    if (wish.text is None) == (wish.audio is None):
        errors.print("[red]say what is spoken, in one way: --text or --audio[/red]")
        return 2
    if wish.avatar is not None and wish.image is not None:
        errors.print("[red]say who speaks, in one way: --avatar or --image[/red]")
        return 2
    try:
        job = asyncio.run(_made(wish, asked, console))
    except KeyboardInterrupt:
        errors.print("Interrupted: the job is cancelled.")
        return 130
    except (AvacastError, ValueError) as error:
        return explained(error, asked, errors)
    except (NoFilm, OSError) as error:
        errors.print(f"[red]{escape(str(error))}[/red]")
        return 1
    if asked.as_json:
        print(job.model_dump_json(indent=2))
    else:
        console.print(f"{wish.out}: {wish.out.stat().st_size / 1e6:.1f} MB")
    return 0


async def _made(wish: FilmWish, asked: Asked, console: Console) -> Job:
    bars = Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"), TimeElapsedColumn(),
        console=console, transient=True,
    )  # fmt: skip
    async with AsyncAvacast(asked.server or SERVER, token_of(asked.token, asked.data)) as client:
        with bars:
            task = bars.add_task("uploading", total=1.0)
            facts: dict[str, Any] = {
                "text": wish.text, "avatar": wish.avatar, "voice": wish.voice, "size": wish.size, "background": wish.background,
            }  # fmt: skip
            for name, file in (("image", wish.image), ("audio", wish.audio)):
                if file is not None:
                    body = await asyncio.to_thread(file.read_bytes)
                    facts[name] = (await client.uploads.create(body)).id
            job = await client.jobs.create(**{name: one for name, one in facts.items() if one is not None})
            try:
                job = await _watched(client, job, bars, task)
            except asyncio.CancelledError:
                await client.jobs.cancel(job.id)
                raise
            bars.update(task, description="fetching", completed=0.0)
            assert job.result is not None, "a job that is done has a link"
            await _fetched(job.result, wish.out, lambda share: bars.update(task, completed=share))
    return job


async def _watched(client: AsyncAvacast, job: Job, bars: Progress, task: TaskID) -> Job:
    """The job, once it is done. Raises NoFilm."""
    while job.state in ("waiting", "running"):
        waits = f"waiting, {job.ahead} ahead of it" if job.ahead else "waiting for an origin with room"
        running = job.state == "running"
        bars.update(task, description=job.step or "beginning" if running else waits, completed=job.share)
        await asyncio.sleep(_ASK_S)
        job = await client.jobs.read(job.id)
    if job.state != "done":
        raise NoFilm(f"the job {job.id} is {job.state}: {job.error or 'somebody else ended it'}")
    return job


async def _fetched(link: str, out: Path, report: Any) -> None:
    """The film, into a file that is there when it is whole."""
    part = out.with_name(out.name + ".part")
    limits = aiohttp.ClientTimeout(total=None, sock_read=_SILENCE_S)
    try:
        async with aiohttp.ClientSession(timeout=limits) as http, http.get(link) as answer:
            if answer.status != 200:
                raise NoFilm(f"the film could not be fetched: the answer is {answer.status}")
            size, had = answer.content_length or 0, 0
            with part.open("wb") as file:
                async for chunk in answer.content.iter_chunked(1 << 16):
                    file.write(chunk)
                    had += len(chunk)
                    report(had / size if size else 0.0)
        part.replace(out)
    except (aiohttp.ClientError, TimeoutError) as error:
        raise NoFilm(f"the film could not be fetched: {error or type(error).__name__}") from None
    finally:
        part.unlink(missing_ok=True)
