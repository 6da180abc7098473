"""The voices as they are: what they say is understood, and their marks are where the sound is."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
import pytest

from speech import voices
from speech.hearing.whisper import Whisper
from speech.inference import resampled
from speech.kokoro import Kokoro
from speech.marks import SAMPLE_RATE
from speech.piper import Piper
from speech.voice import MILLISECOND, Pcm, Speech, Voice, VoiceError
from speech.voices import Cached, Voices, available, load

pytestmark = pytest.mark.slow

SENTENCE = "The quick brown fox costs $5.20, and jumps over the lazy dog at 25 frames per second."
WRITTEN = SENTENCE.split()
HEARD = "the quick brown fox costs 5 20 and jumps over the lazy dog at 25 frames per second"
SIBILANTS = (
    "She sells sea shells by the sea shore, and sometimes she says so.",
    "This session starts soon, so please set your speakers to a sensible size.",
    "Please pass the sixty-six small pieces of chess.",
)


@pytest.fixture(scope="module", params=["kokoro", "piper"])
def voice(request: pytest.FixtureRequest) -> Iterator[Voice]:
    yield Kokoro() if request.param == "kokoro" else Piper()


@pytest.fixture(scope="module")
def sentence(voice: Voice) -> Speech:
    return voice.synthesise(SENTENCE)


def transcript(pcm: Pcm) -> str:
    """What a recogniser hears (Whisper tiny.en), in plain lower-case words."""
    sixteen = resampled(pcm, 3 * SAMPLE_RATE)  # a third of the samples: 16 kHz, what the recogniser wants
    text = Whisper().transcribe(sixteen).text.lower()
    return " ".join(re.findall(r"[a-z0-9']+", text))


def band_energy(pcm: Pcm, low_hz: int, high_hz: int, hop: int) -> np.ndarray:
    """Log energy of a band, every `hop` samples."""
    size = 2048
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(pcm, size // 2), size)[::hop] * np.hanning(size)
    spectrum = np.abs(np.fft.rfft(windows, axis=1)) ** 2
    at = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    energy = spectrum[:, (at >= low_hz) & (at < high_hz)].sum(axis=1)
    return np.asarray(np.log(energy + energy.max() * 1e-3))


def test_a_recogniser_understands_all_but_a_word_at_most(sentence: Speech) -> None:
    """One of 18: "costs five" is "cost five" to a small recogniser on some processors, whose sums differ in their last digits."""
    heard, said = transcript(sentence.pcm).split(), HEARD.split()
    same = sum(block.size for block in SequenceMatcher(a=heard, b=said, autojunk=False).get_matching_blocks())
    assert same >= len(said) - 1 and len(heard) <= len(said) + 1, heard


def test_level_is_that_of_speech_and_nothing_clips(sentence: Speech) -> None:
    assert 0.03 < float(np.sqrt(np.mean(sentence.pcm**2))) < 0.2
    assert 0.2 < float(np.abs(sentence.pcm).max()) <= 1.0


def test_speech_begins_at_once_and_ends_with_a_pause(sentence: Speech) -> None:
    loud = np.flatnonzero(np.abs(sentence.pcm) > 0.02 * np.abs(sentence.pcm).max())
    assert loud[0] < 120 * MILLISECOND
    assert 200 * MILLISECOND < sentence.pcm.size - loud[-1] < 450 * MILLISECOND


def test_words_are_as_written_and_in_order(sentence: Speech) -> None:
    assert [w.text for w in sentence.words] == WRITTEN
    starts = [w.start for w in sentence.words]
    assert starts == sorted(starts) and sentence.words[-1].end <= sentence.pcm.size


def test_marks_are_in_order_and_inside_the_speech(sentence: Speech) -> None:
    assert all(a.end <= b.start for a, b in zip(sentence.marks, sentence.marks[1:], strict=False))
    assert sentence.marks[0].start >= 0 and sentence.marks[-1].end <= sentence.pcm.size
    assert {"PP", "FF", "aa", "O", "sil"} <= {m.viseme for m in sentence.marks}


def test_marks_are_where_the_sound_is_within_20_ms(voice: Voice) -> None:
    hop = 5 * MILLISECOND
    reach = 30
    fit = np.zeros(2 * reach + 1)
    for text in SIBILANTS:
        speech = voice.synthesise(text)
        energy = band_energy(speech.pcm, 4500, 9000, hop)
        hissing = np.zeros(energy.size)
        for mark in speech.marks:
            if mark.viseme in ("SS", "CH"):
                hissing[mark.start // hop : mark.end // hop] = 1
        inner = slice(reach, -reach)
        fit += [
            np.corrcoef(energy[inner], np.roll(hissing, shift)[inner])[0, 1]
            for shift in range(-reach, reach + 1)
        ]
    best_ms = (int(np.argmax(fit)) - reach) * 5
    assert abs(best_ms) <= 20, f"marks are {-best_ms} ms from the sound"


def test_text_without_words_is_silence_of_no_length(voice: Voice) -> None:
    assert voice.synthesise(" … 😀 ").pcm.size == 0


@pytest.mark.parametrize(("enough", "chosen"), [(0.0, Piper), (math.inf, Kokoro)])
def test_the_voice_of_a_machine_is_the_best_that_it_is_quick_enough_for(
    enough: float, chosen: type[Kokoro] | type[Piper], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(voices, "FAST_ENOUGH", enough)
    assert isinstance(load("auto").inner, chosen)

    def spoken(*_: object) -> float:
        raise AssertionError("it is known how fast it is here")

    monkeypatch.setattr(voices, "speed", spoken)
    assert isinstance(load("auto").inner, chosen)


def test_a_phrase_beyond_the_model_is_refused() -> None:
    with pytest.raises(VoiceError, match="phonemes in one phrase"):
        Kokoro().synthesise("incomprehensibilities " * 60)


def test_what_was_said_lately_is_not_made_again(voice: Voice) -> None:
    cached = Cached(voice)
    assert cached.synthesise("Hello there.") is cached.synthesise("Hello there.")


def pitch_hz(pcm: Pcm) -> float:
    """Median pitch of what is voiced, by autocorrelation of 40 ms windows."""
    size, low, high = SAMPLE_RATE // 25, SAMPLE_RATE // 320, SAMPLE_RATE // 70
    found = []
    for at in range(0, len(pcm) - size - high, size):
        part = pcm[at : at + size]
        if np.abs(part).max() < 0.05:
            continue
        scores = [float(part @ pcm[at + lag : at + lag + size]) for lag in range(low, high, 4)]
        found.append(SAMPLE_RATE / (low + 4 * int(np.argmax(scores))))
    return float(np.median(found))


def test_personas_have_voices_of_their_own_and_share_one_model() -> None:
    voices = Voices("kokoro")
    woman, man = voices.voice("af_heart"), voices.voice("am_michael")
    assert (woman.name, man.name) == ("kokoro:af_heart", "kokoro:am_michael")
    assert voices.voice("am_michael") is man
    text = "Good evening, and welcome."
    assert pitch_hz(man.synthesise(text).pcm) < 0.8 * pitch_hz(woman.synthesise(text).pcm)
    assert Voices("piper").voice("am_michael").name == Voices("piper").voice("af_heart").name
    with pytest.raises(VoiceError, match="no Kokoro voice"):
        voices.voice("af_nobody")


def test_a_voice_that_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(VoiceError, match="say auto, kokoro"):
        load("nonsense")
    with pytest.raises(VoiceError, match="cannot read"):
        load(str(tmp_path / "none.onnx"))
    with pytest.raises(VoiceError, match="no Kokoro voice"):
        load("kokoro:nobody")
    (tmp_path / "bad.onnx").write_bytes(b"not a model")
    (tmp_path / "bad.onnx.json").write_text(
        '{"phoneme_id_map": {"_": [0]}, "audio": {"sample_rate": 22050},'
        ' "inference": {"noise_scale": 1, "length_scale": 1, "noise_w": 1}}'
    )
    with pytest.raises(VoiceError, match="not a voice model"):
        load(str(tmp_path / "bad.onnx"))
    assert any(v.installed for v in available())


def test_a_stressed_word_is_louder_than_without_stress_and_the_person_shows_it(voice: Voice) -> None:
    def share(speech: Speech) -> float:
        """The energy of "not" against that of the whole."""
        word = next(w for w in speech.words if w.text.startswith("not"))
        return float(np.square(speech.pcm[word.start : word.end]).mean() / np.square(speech.pcm).mean())

    times = 6 if voice.name.startswith("piper") else 1  # that one says nothing twice in the same way
    pairs = [
        (voice.synthesise("I do not want another one."), voice.synthesise("I do *not* want another one."))
        for _ in range(times)
    ]
    assert np.mean([share(stressed) / share(flat) for flat, stressed in pairs]) > 1.2
    flat, stressed = pairs[0]
    assert [w.text for w in stressed.words] == [w.text for w in flat.words]
    (beat,) = stressed.weight
    word = next(w for w in stressed.words if w.text == "not")
    assert not flat.weight and word.start <= beat < word.end


def test_a_pause_is_silence_of_its_length_and_the_words_after_it_come_later(voice: Voice) -> None:
    speech = voice.synthesise("Ready? <800ms> Go on!")
    ready, go = speech.words[0], speech.words[1]
    assert [w.text for w in speech.words] == ["Ready?", "Go", "on!"] and speech.text == "Ready? Go on!"
    assert go.start - ready.end >= 800 * MILLISECOND
    loud = np.abs(speech.pcm) > 0.02
    assert not loud[go.start - 500 * MILLISECOND : go.start - 60 * MILLISECOND].any()
    assert all(a.end <= b.start for a, b in zip(speech.marks, speech.marks[1:], strict=False))
