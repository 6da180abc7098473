"""The messages of both services, as they travel: JSON in text frames; sound travels in binary ones. docs/asyncapi.yaml is made from here.

Times are whole milliseconds: of an utterance's own sound (TTS), or of the connection's sound from its first sample (ASR).
A field that is not here is refused, so that a misspelt one is not taken for a default.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from speech_service.endings import Broken

MOST_MESSAGE_BYTES: Final = 64 * 1024
"""Largest text frame, and largest binary one: two seconds of sound at 16 kHz."""

Milliseconds = Annotated[int, Field(ge=0)]
UtteranceId = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.:-]+$")]


class Message(BaseModel):
    """One JSON message; `type` says which."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Ping(Message):
    """Asks for a `pong`: for pages, which cannot send WebSocket pings."""

    type: Literal["ping"] = "ping"


class Pong(Message):
    """The answer to `ping`."""

    type: Literal["pong"] = "pong"


class Failure(Message):
    """Something went wrong. `code` is one of docs/errors.md; when `fatal`, the connection is closed next, with the code as reason."""

    type: Literal["error"] = "error"
    code: str
    detail: str
    hint: str = ""
    fatal: bool
    utterance: str | None = Field(
        None, description="The utterance that it is about, where it is about one (TTS)."
    )


# --- text to speech: what clients send -----------------------------------------------------------------


class StartSpeaking(Message):
    """The first message: which voice, and the form of its sound. Answered by `ready`."""

    type: Literal["start"] = "start"
    voice: str = Field("", max_length=64, description="One of the `voices` of /health; empty for the first.")
    sample_rate: Literal[16000, 24000, 48000] = Field(24000, description="Samples a second of the sound.")
    format: Literal["s16le"] = Field("s16le", description="Mono, signed 16 bit, little endian, no header.")
    marks: bool = Field(True, description="Tell words, phonemes and visemes with each clause.")


class Text(Message):
    """The next piece of an utterance's text, cut anywhere, as a language model gives it. The first one begins the utterance."""

    type: Literal["text"] = "text"
    utterance: UtteranceId
    text: str = Field(max_length=16_384)


class Flush(Message):
    """Speak what there is of this utterance's text now, although no clause has ended; more may follow."""

    type: Literal["flush"] = "flush"
    utterance: UtteranceId


class EndText(Message):
    """The text of this utterance is complete. `done` follows its last sound."""

    type: Literal["end"] = "end"
    utterance: UtteranceId


class Cancel(Message):
    """Be silent at once: what is left of the utterance (of all, when none is named) is dropped. Answered by `cancelled`."""

    type: Literal["cancel"] = "cancel"
    utterance: UtteranceId | None = None


class Finish(Message):
    """No more will come. The service says what it still has to say, answers `finished` and closes."""

    type: Literal["finish"] = "finish"


SpeakingRequest = Annotated[
    StartSpeaking | Text | Flush | EndText | Cancel | Finish | Ping, Field(discriminator="type")
]

# --- text to speech: what the service sends ------------------------------------------------------------


class ReadyToSpeak(Message):
    """The connection is set up."""

    type: Literal["ready"] = "ready"
    connection: str = Field(description="Id of this connection, as in the service's log.")
    voice: str
    sample_rate: int
    format: Literal["s16le"] = "s16le"


class WordTime(Message):
    """One word as it was written."""

    text: str
    start_ms: Milliseconds
    end_ms: Milliseconds


class PhonemeTime(Message):
    """One phoneme of the voice's alphabet (docs/speech.md)."""

    phoneme: str
    start_ms: Milliseconds
    end_ms: Milliseconds
    stressed: bool = False


class VisemeTime(Message):
    """One mouth shape of the Oculus set."""

    viseme: str
    start_ms: Milliseconds
    end_ms: Milliseconds
    weight: float = Field(ge=0, le=1)


class Clause(Message):
    """What is heard next. Binary frames up to the next `clause` are its sound, `sound_bytes` in all unless it is cancelled."""

    type: Literal["clause"] = "clause"
    utterance: str
    index: int = Field(ge=0, description="0 for an utterance's first.")
    text: str
    start_ms: Milliseconds = Field(description="Where it begins in the utterance's sound.")
    duration_ms: Milliseconds
    sound_bytes: int = Field(ge=0)
    words: list[WordTime] = []
    phonemes: list[PhonemeTime] = []
    visemes: list[VisemeTime] = []


class Done(Message):
    """All of an utterance has been sent."""

    type: Literal["done"] = "done"
    utterance: str
    clauses: int = Field(ge=0)
    duration_ms: Milliseconds


class Cancelled(Message):
    """Nothing more of this utterance follows. What came before may be thrown away, or played up to a word of one's own choice."""

    type: Literal["cancelled"] = "cancelled"
    utterance: str
    sent_ms: Milliseconds = Field(description="How much of its sound was sent.")


class FinishedSpeaking(Message):
    """The answer to `finish`; the connection is closed next."""

    type: Literal["finished"] = "finished"


SpeakingAnswer = ReadyToSpeak | Clause | Done | Cancelled | FinishedSpeaking | Failure | Pong

# --- speech to text: what clients send -----------------------------------------------------------------


class StartHearing(Message):
    """The first message: the form of the sound that follows in binary frames (mono s16le). Answered by `ready`."""

    type: Literal["start"] = "start"
    sample_rate: Literal[8000, 16000, 24000, 44100, 48000] = Field(
        16000, description="Samples a second of the sound."
    )
    format: Literal["s16le"] = Field("s16le", description="Mono, signed 16 bit, little endian, no header.")
    language: str = Field("en", max_length=16, description="Language that is spoken; /health names them.")
    partials: bool = Field(True, description="Tell `partial` results while somebody speaks.")


HearingRequest = Annotated[StartHearing | Finish | Ping, Field(discriminator="type")]

# --- speech to text: what the service sends ------------------------------------------------------------


class ReadyToHear(Message):
    """The connection is set up: sound may come."""

    type: Literal["ready"] = "ready"
    connection: str = Field(description="Id of this connection, as in the service's log.")
    sample_rate: int
    language: str
    format: Literal["s16le"] = "s16le"


class SpeechBegan(Message):
    """Somebody has begun to speak: what interrupts an avatar."""

    type: Literal["started"] = "started"
    turn: int = Field(ge=1)
    at_ms: Milliseconds


class PartialResult(Message):
    """What has been said so far in this turn. A later one replaces it; left out when the service is busy."""

    type: Literal["partial"] = "partial"
    turn: int = Field(ge=1)
    text: str
    stable_words: int = Field(ge=0, description="So many words at the start will hardly change any more.")


class SpeechEnded(Message):
    """The turn is over; its words follow as `final` or `unclear`."""

    type: Literal["ended"] = "ended"
    turn: int = Field(ge=1)
    voiced_until_ms: Milliseconds
    decided_ms: Milliseconds = Field(
        description="How far the sound had come when it was clear that this was the end."
    )
    reason: Literal["silence", "limit", "gone"]


class HeardWord(Message):
    """One word as it was heard."""

    text: str
    start_ms: Milliseconds
    end_ms: Milliseconds
    probability: float = Field(ge=0, le=1)


class FinalResult(Message):
    """What was said in a turn."""

    type: Literal["final"] = "final"
    turn: int = Field(ge=1)
    text: str
    start_ms: Milliseconds
    end_ms: Milliseconds
    words: list[HeardWord]


class UnclearResult(Message):
    """A turn without words that can be believed."""

    type: Literal["unclear"] = "unclear"
    turn: int = Field(ge=1)
    reason: str


class FinishedHearing(Message):
    """The answer to `finish`, after the last result; the connection is closed next."""

    type: Literal["finished"] = "finished"
    sound_ms: Milliseconds = Field(description="How much sound was heard.")


HearingAnswer = (
    ReadyToHear
    | SpeechBegan
    | PartialResult
    | SpeechEnded
    | FinalResult
    | UnclearResult
    | FinishedHearing
    | Failure
    | Pong
)

SPEAKING: Final[TypeAdapter[SpeakingRequest]] = TypeAdapter(SpeakingRequest)
HEARING: Final[TypeAdapter[HearingRequest]] = TypeAdapter(HearingRequest)

_Request = TypeVar("_Request")


def read(adapter: TypeAdapter[_Request], frame: str) -> _Request:
    """A text frame as a message. Raises Broken, naming the fields, when it is none."""
    try:
        return adapter.validate_json(frame)
    except (ValidationError, UnicodeError) as error:
        told = "it is not valid Unicode"
        if isinstance(error, ValidationError):
            problems = error.errors(include_url=False, include_context=False, include_input=False)
            told = "; ".join(
                f"{'.'.join(map(str, one['loc'])) or 'message'}: {one['msg']}" for one in problems[:4]
            )
        raise Broken(
            f"a message could not be read: {told[:600]}",
            code="bad_message",
            hint="docs/speech-services.md lists the messages",
        ) from None
