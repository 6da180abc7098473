"""What nets hear is what their authors' programs compute of the whole sound, though each frame here knows only its own reach."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from origin.avatar.articulation import SHAPES
from origin.avatar.pose import Pose
from origin.clock import FRAME_SAMPLES
from origin.faces import Moment, Reach
from origin.neural.contracts import CONTRACTS
from origin.neural.features import Features, fbank, slaney, to_16k, whisper_mel
from origin.neural.units import MOUTH_INDEX
from origin.performer import Performer
from speech.voice import Pcm, Speech

Floats = NDArray[np.float32]


def sound(seconds: float, seed: int = 1) -> Pcm:
    """Something like a voice at 48 kHz: tones that glide, in syllables, and a little noise."""
    t = np.arange(int(48_000 * seconds)) / 48_000
    pitch = 2 * np.pi * np.cumsum(120 + 40 * np.sin(2 * np.pi * 0.7 * t)) / 48_000
    tone = sum(np.sin(k * pitch) / k for k in range(1, 30))
    loud = np.clip(np.sin(2 * np.pi * 3.1 * t), 0, 1)
    noise = np.random.default_rng(seed).standard_normal(t.size)
    return np.asarray(0.1 * tone * loud + 0.003 * noise, np.float32)


def moment(pcm: Pcm, frame: int, reach: Reach) -> Moment:
    first, last = frame * FRAME_SAMPLES - reach.before, frame * FRAME_SAMPLES + reach.after
    cut = pcm[max(first, 0) : max(0, last)]
    return Moment(frame, Pose(), np.pad(cut, (max(0, -first), max(0, last - max(len(pcm), 0)))))


def whole_mel(pcm: Pcm) -> Floats:
    """As Wav2Lip's `audio.melspectrogram` does it with the whole file: (80, frames)."""
    at_16k = to_16k(np.pad(pcm, 48))
    emphasised = np.append(at_16k[0], at_16k[1:] - 0.97 * at_16k[:-1])
    padded = np.pad(emphasised, 400, "reflect")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(800) / 800)
    count = (padded.size - 800) // 200 + 1
    power = np.array([np.abs(np.fft.rfft(padded[k * 200 : k * 200 + 800] * window)) for k in range(count)])
    mel = slaney(401, 80, 55.0, 7600.0) @ power.T
    level = 20 * np.log10(np.maximum(10 ** (-100 / 20), mel)) - 20
    return np.asarray(np.clip(8 * ((level + 100) / 100) - 4, -4, 4), np.float32)


@pytest.mark.parametrize("frame", [3, 4, 5, 6, 7, 20])
def test_mel_of_a_frame_is_that_of_the_whole_file(frame: int) -> None:
    pcm = sound(2.0)
    features = Features(CONTRACTS["wav2lip"])
    first = int(80 / 25 * frame)
    wanted = whole_mel(pcm)[:, first : first + 16]
    got = features.heard(moment(pcm, frame, features.reach))
    assert got.shape == (1, 80, 16)
    assert np.abs(got[0] - wanted).max() < 2e-3
    assert wanted.max() - wanted.min() > 2, "the sound has highs and lows"


def test_mel_is_right_at_the_beginning_and_with_an_offset() -> None:
    pcm = sound(1.5)
    plain = Features(CONTRACTS["wav2lip"])
    for offset, frames in ((200, 5), (-200, -5)):
        features = Features(CONTRACTS["wav2lip"], offset_ms=offset)
        moved = features.heard(moment(pcm, 10, features.reach))
        assert np.abs(moved - plain.heard(moment(pcm, 10 + frames, plain.reach))).max() < 2e-3
    silent = Features(CONTRACTS["wav2lip"])
    assert np.all(silent.heard(moment(np.zeros(48_000, np.float32), 0, silent.reach)) == -4)


def test_mel_bands_lie_where_slaney_put_them() -> None:
    filters = slaney(401, 80, 55.0, 7600.0)
    hertz = np.arange(401) * 20
    peaks = hertz[filters.argmax(1)]
    assert np.all(np.diff(peaks) >= 0)
    below = peaks[peaks < 900]
    assert np.abs(np.diff(below).astype(float) - np.diff(below).mean()).max() <= 20, "linear below 1 kHz"
    high = peaks[peaks > 1500]
    assert np.ptp(np.diff(np.log(high.astype(float)))) < 0.03, "logarithmic above"


def test_resampling_keeps_what_is_below_7_khz_and_drops_what_is_above_9() -> None:
    t = np.arange(48_000) / 48_000
    for hertz, least, most in ((300, 0.98, 1.02), (6500, 0.9, 1.02), (9500, 0, 0.01), (15_000, 0, 0.01)):
        out = to_16k(np.sin(2 * np.pi * hertz * t).astype(np.float32))
        assert least <= np.sqrt(2) * out[200:-200].std() <= most, hertz


def test_whisper_mel_is_bounded_and_80_bands() -> None:
    found = whisper_mel(to_16k(sound(1.0)), 200)
    assert found.shape == (80, 200) and found.max() - found.min() <= 2.0001
    assert np.ptp(found[:, 120:]) < 0.5, "silence after the sound"


def test_kaldis_mel_is_kaldis() -> None:
    """Its figures are those of kaldi-native-fbank 1.22: 16 kHz, 80 bands, no dither, whole windows only."""
    t = np.arange(16_000) / 16_000
    glide = 0.3 * np.sin(2 * np.pi * (200 * t + 1500 * t * t)) + 0.05 * np.sin(2 * np.pi * 3333 * t)
    found = fbank(glide.astype(np.float32))
    assert found.shape == (98, 80)
    theirs = [
        [11.531, 22.858, 10.452, 5.805, 3.339, 3.726, 6.766, 22.584, 4.921, 6.045],
        [10.224, 4.163, 4.733, 7.919, 11.759, 23.819, 8.999, 22.584, 6.163, 6.038],
        [7.739, 2.204, 2.516, 3.867, 4.671, 6.970, 11.346, 22.606, 6.978, 6.276],
    ]
    assert np.abs(found[[0, 50, 97], ::8] - theirs).max() < 0.02
    assert np.ptp(fbank(np.zeros(1000, np.float32))) == 0


@pytest.mark.parametrize(
    ("name", "new"), [("synctalk2d", 10), ("ultralight-wenet", 8), ("synctalk2d-wenet", 8)]
)
def test_windows_that_frames_share_are_the_same_to_the_last_bit(name: str, new: int) -> None:
    features = Features(CONTRACTS[name])
    voice = sound(3.0)
    before = {row.tobytes() for row in features.heard(moment(voice, 20, features.reach))}
    for frame in range(21, 31):
        before |= {row.tobytes() for row in features.heard(moment(voice, frame, features.reach))}
    windows = (CONTRACTS[name].encoder or (0,))[0]
    assert len(before) == windows + new


def test_units_are_those_of_the_mouth() -> None:
    features = Features(CONTRACTS["units"])
    told = features.heard(Moment(0, Pose(SHAPES["aa"]), np.zeros(0, np.float32)))
    assert told.shape == (31,) and np.array_equal(told, SHAPES["aa"][MOUTH_INDEX])
    assert features.reach == Reach()
    assert features.silent(Moment(0, Pose(SHAPES["sil"]), np.zeros(0, np.float32)))
    assert not features.silent(Moment(0, Pose(SHAPES["PP"]), np.zeros(0, np.float32)))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["ultralight", "ultralight-wenet", "synctalk2d", "synctalk2d-hubert", "synctalk2d-wenet", "musetalk"],
)
def test_features_of_an_encoder_have_the_contracts_shape_and_their_place_in_time(name: str) -> None:
    contract = CONTRACTS[name]
    heard: list[Floats] = []

    def encode(given: Floats) -> Floats:
        heard.append(given)
        if name == "synctalk2d":
            return np.repeat(given.mean((1, 2, 3))[:, None], 512, 1)
        if name == "musetalk":
            return np.repeat(given[0, :, ::2].mean(0)[:, None], 5 * 384, 1).reshape(1, -1, 5, 384)
        if name.endswith("wenet"):  # of each window its own 50 ms
            return np.repeat(np.exp(given[:, 0, 32:37]).mean((1, 2))[:, None], 16 * 512, 1)
        rows = np.abs(given[0, : given.shape[1] // 320 * 320]).reshape(-1, 320).mean(1)
        return np.repeat(rows[:, None], 1024, 1)[None]

    features = Features(contract, frames=200)
    click = np.zeros(96_000, np.float32)
    click[46_080:47_040] = 0.5 * np.sin(np.arange(960))  # the first half of frame 24
    shapes = {"ultralight": (16, 32, 32), "synctalk2d-hubert": (32, 32, 32)}
    tokens, frame_at = (contract.encoder or (0,))[0], {}
    for frame in range(15, 34):
        hears = features.heard(moment(click, frame, features.reach))
        assert hears.shape == features.murmur(1, frame).shape
        got = features.told(encode(hears))
        assert got.shape == shapes.get(name, contract.audio)
        if name in shapes:
            rows = got.reshape(tokens, 1024)[:, 0]
            if rows.max() > 0.1:
                frame_at[frame] = int(rows.argmax())
        if name.endswith("wenet"):
            loud = got.reshape(tokens, -1)[:, 0]
            if loud.max() > 1e3:
                frame_at[frame] = int(loud.argmax())
    if name.endswith("wenet"):
        assert frame_at[24] == tokens // 2, "what is heard in a frame is in the middle of its window"
        assert (frame_at[23], frame_at[25], frame_at[29]) == tuple(tokens // 2 + k for k in (1, -1, -4))
    if name in shapes:
        assert frame_at[24] == tokens // 2, "what is heard in a frame is in the middle of its window"
        assert frame_at[23] == tokens // 2 + 2, "two tokens a frame"
    assert heard


def test_a_performer_hands_each_frame_the_sound_round_it() -> None:
    pcm = sound(1.0)
    reach = Reach(1800, 10_000)
    performer = Performer(1, reach=reach)
    performer.begin(1)
    performer.push(Speech("", pcm, [], []), 1)
    performer.end(1)
    ticks = [performer.tick() for _ in range(40)]
    at = next(tick.placed[0].at for tick in ticks if tick.placed)
    line = np.zeros(120_000, np.float32)
    line[at : at + pcm.size] = pcm
    began = next(tick.frame for tick in ticks if tick.placed)
    for tick in ticks[began:]:
        wanted = moment(line, tick.frame, reach).sound
        assert np.array_equal(tick.sound, wanted), tick.frame
    assert Performer(1).tick().sound.size == 0
