"""Text to speech for many: `GET /v1/stream/tts`. Start it with `avacast tts`; docs/speech-services.md has the protocol."""

from __future__ import annotations

import asyncio

from common.config import TtsConfig
from common.errors import Problem
from speech.voice import VoiceError
from speech_service.app import Service, threads
from speech_service.scheduler import Scheduler
from speech_service.speakers import Speakers
from speech_service.speaking import Speaking


async def start(config: TtsConfig) -> Service:
    """Loads the voice (1-4 s) and returns the service. Raises Problem when the voice cannot be had."""
    try:
        speakers = await asyncio.to_thread(Speakers, config.voice)
    except VoiceError as error:
        raise Problem(str(error), code="voice_missing", hint="`avacast doctor` lists the voices") from error
    return serve(config, speakers)


def serve(config: TtsConfig, speakers: Speakers) -> Service:
    """The service with voices that are loaded."""
    scheduler = Scheduler(threads(config))
    return Service(
        "tts",
        config,
        scheduler,
        lambda channel: Speaking(channel, speakers, scheduler),
        {
            "compute_type": speakers.compute_type,
            "models": [speakers.names[0]],
            "voices": list(speakers.names),
        },
    )
