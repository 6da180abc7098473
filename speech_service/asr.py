"""Speech to text for many: `GET /v1/stream/asr`. Start it with `avacast asr`; docs/speech-services.md has the protocol."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import numpy as np

from common.config import AsrConfig
from common.errors import Problem
from speech.hearing.events import RATE
from speech.hearing.vad import Silero
from speech.hearing.whisper import Whisper
from speech.voice import VoiceError
from speech_service.app import Service, threads
from speech_service.listening import LANGUAGES, Listening
from speech_service.scheduler import Scheduler


@dataclass(frozen=True, slots=True)
class Ears:
    """The models of an instance."""

    silero: Silero
    whisper: Whisper


def load(config: AsrConfig) -> Ears:
    """Loads the models and reads a second of silence, so that the first client does not wait. Raises VoiceError."""
    whisper = Whisper(
        config.compute_type, path=config.asr_model, device=config.asr_device, threads=threads(config)
    )
    whisper.transcribe(np.zeros(RATE, np.float32), timed=True)
    return Ears(Silero(), whisper)


async def start(config: AsrConfig) -> Service:
    """Loads the models (2-4 s) and returns the service. Raises Problem when they cannot be had."""
    try:
        ears = await asyncio.to_thread(load, config)
    except VoiceError as error:
        raise Problem(
            str(error),
            code="recogniser_missing",
            hint="see AVACAST_COMPUTE_TYPE, AVACAST_ASR_DEVICE and AVACAST_ASR_MODEL in docs/configuration.md",
        ) from error
    return serve(config, ears)


def serve(config: AsrConfig, ears: Ears) -> Service:
    """The service with models that are loaded. One reading is made at a time, on as many threads as are configured."""
    scheduler, light = Scheduler(1), Scheduler(1)
    return Service(
        "asr",
        config,
        scheduler,
        lambda channel: Listening(channel, ears.silero, ears.whisper, scheduler, light),
        {
            "compute_type": config.compute_type,
            "models": [config.asr_model.name if config.asr_model else "whisper-tiny.en", "silero-vad"],
            "languages": list(LANGUAGES),
            "device": config.asr_device,
            "threads": threads(config),
        },
        also=light.close,
    )
