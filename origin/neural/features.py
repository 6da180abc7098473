"""Sound to what a net hears: the front ends of the contracts, frame by frame, each from the sound round the frame alone.

All are pure functions of `Moment`, so that a film and a live session draw the same. Where a family has an audio encoder with weights of
its own (HuBERT, Whisper, SyncTalk's AVE), the package brings it, and it runs in batches as the net does (artist.py): what comes before it
(resampling, mel bands) and after it (the tokens round the frame, positions) is computed here.

    Moment ──heard()──► (the package's encoder ──► told()) ──► what the net hears
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from origin.avatar.pose import Pose
from origin.clock import FRAME_RATE, FRAME_SAMPLES
from origin.faces import Moment, Reach
from origin.neural.contracts import WENET_FRAMES, Contract, Hearing
from origin.neural.units import MOUTH_INDEX
from speech.marks import SAMPLE_RATE
from speech.voice import Pcm

Floats = NDArray[np.float32]

RATE: Final = 16_000
_STEP: Final = SAMPLE_RATE // RATE
_FRAME: Final = RATE // FRAME_RATE
"""640 samples a video frame."""
_TAPS: Final = 48
"""On each side of the low-pass that goes from 48 to 16 kHz."""

MEL_HOP: Final = 200
_MEL_FFT: Final = 800
_MEL_WIDTH: Final = 16
WHISPER_HOP: Final = 160
_WHISPER_FFT: Final = 400
_TOKEN: Final = 320
"""HuBERT's and Whisper's features: one each 20 ms."""
_FBANK_HOP: Final = 160
_FBANK_WIDTH: Final = 400
_FBANK_FFT: Final = 512
_WENET_STEP: Final = 800
"""WeNet's windows: one each 50 ms."""
_WENET_LEAD: Final = 5120
"""A window begins 320 ms before its own time."""
_WENET_WINDOW: Final = (WENET_FRAMES - 1) * _FBANK_HOP + _FBANK_WIDTH
_WENET_LATE: Final = 320
"""The time of a window is at most 20 ms from its frame's."""


@cache
def _low_pass() -> Floats:
    n = np.arange(-_TAPS, _TAPS + 1)
    taps = np.sinc(n * 0.92 / _STEP) * np.kaiser(2 * _TAPS + 1, 7.0)
    return np.asarray(taps / taps.sum(), np.float32)


def to_16k(pcm: Pcm) -> Floats:
    """48 kHz to 16 kHz. The first sample of the result is the one _TAPS (1 ms) behind the first that is given."""
    if pcm.size <= 2 * _TAPS:
        return np.zeros(0, np.float32)
    rows = np.lib.stride_tricks.sliding_window_view(pcm, 2 * _TAPS + 1)[::_STEP]
    return np.asarray(rows @ _low_pass(), np.float32)


def slaney(bins: int, bands: int, low_hz: float, high_hz: float) -> Floats:
    """Mel filters (bands, bins) as librosa makes them: Slaney's scale, triangles of area one."""

    def mel(hz: NDArray[np.float64] | float) -> NDArray[np.float64]:
        hz = np.asarray(hz, float)
        return np.where(
            hz < 1000, hz / (200 / 3), 15 + np.log(np.maximum(hz, 1e-9) / 1000) / (np.log(6.4) / 27)
        )

    def hertz(m: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(m < 15, m * (200 / 3), 1000 * np.exp((m - 15) * (np.log(6.4) / 27)))

    edges = hertz(np.linspace(float(mel(low_hz)), float(mel(high_hz)), bands + 2))
    at = np.linspace(0, RATE / 2, bins)
    rising = (at - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - at) / (edges[2:] - edges[1:-1])[:, None]
    shape = np.maximum(0, np.minimum(rising, falling))
    return np.asarray(shape * (2 / (edges[2:] - edges[:-2]))[:, None], np.float32)


@cache
def _mel_filters() -> Floats:
    return slaney(_MEL_FFT // 2 + 1, 80, 55.0, 7600.0)


@cache
def _whisper_filters() -> Floats:
    return slaney(_WHISPER_FFT // 2 + 1, 80, 0.0, 8000.0)


@cache
def _hann(size: int) -> Floats:
    """The periodic window."""
    return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size), np.float32)


def mel_frames(sound: Floats) -> Floats:
    """Wav2Lip's mel frames (80, n): `sound` at 16 kHz begins one sample before the first window of 800; hop 200.

    Pre-emphasis 0.97, magnitudes, 80 bands from 55 to 7600 Hz, 20 dB below full scale, -100 dB to 0 as -4 to 4. Reckoned in 64 bits, so
    that a frame is the same to its last bit wherever it stands among others.
    """
    emphasised = sound[1:].astype(np.float64) - 0.97 * sound[:-1]
    rows = np.lib.stride_tricks.sliding_window_view(emphasised, _MEL_FFT)[::MEL_HOP] * _hann(_MEL_FFT)
    bands = np.abs(np.fft.rfft(rows)) @ _mel_filters().T
    level = 20 * np.log10(np.maximum(bands, 1e-5)) - 20
    return np.asarray(np.clip(8 * (level + 100) / 100 - 4, -4, 4).T, np.float32)


def whisper_mel(sound: Floats, frames: int) -> Floats:
    """Whisper's log-mel (80, frames) of `sound` at 16 kHz followed by silence."""
    size = frames * WHISPER_HOP
    padded = np.pad(np.pad(sound[:size], (0, max(0, size - sound.size))), _WHISPER_FFT // 2, "reflect")
    rows = np.lib.stride_tricks.sliding_window_view(padded, _WHISPER_FFT)[::WHISPER_HOP][:frames]
    power = np.square(np.abs(np.fft.rfft(rows * _hann(_WHISPER_FFT)))).astype(np.float32)
    logs = np.log10(np.maximum(power @ _whisper_filters().T, 1e-10)).T
    return np.asarray((np.maximum(logs, logs.max() - 8) + 4) / 4, np.float32)


@cache
def _povey() -> NDArray[np.float64]:
    """Kaldi's window."""
    n = np.arange(_FBANK_WIDTH)
    return np.asarray((0.5 - 0.5 * np.cos(2 * np.pi * n / (_FBANK_WIDTH - 1))) ** 0.85)


@cache
def _fbank_filters() -> NDArray[np.float64]:
    """Kaldi's mel filters (256, 80) from 20 to 8000 Hz: triangles of height one on its own scale."""

    def mel(hz: NDArray[np.floating]) -> NDArray[np.float64]:
        return np.asarray(1127 * np.log1p(hz / 700))

    low, high = mel(np.array([20.0, RATE / 2]))
    edges = np.linspace(low, high, 82)
    at = mel(np.arange(_FBANK_FFT // 2) * (RATE / _FBANK_FFT))[:, None]
    rising = (at - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - at) / (edges[2:] - edges[1:-1])
    return np.asarray(np.maximum(0, np.minimum(rising, falling)))


def fbank(sound: Floats) -> Floats:
    """Kaldi's log-mel (frames, 80) of `sound` at 16 kHz: windows of 400, hop 160, none beyond the end, of 16-bit samples, no dither."""
    samples = np.trunc(sound.astype(np.float64) * 32767)
    rows = np.lib.stride_tricks.sliding_window_view(samples, _FBANK_WIDTH)[::_FBANK_HOP]
    rows = rows - rows.mean(1, keepdims=True)
    rows = rows - 0.97 * np.concatenate([rows[:, :1], rows[:, :-1]], 1)
    power = np.square(np.abs(np.fft.rfft(rows * _povey(), _FBANK_FFT)[:, :-1])) @ _fbank_filters()
    return np.asarray(np.log(np.maximum(power, np.finfo(np.float32).eps)), np.float32)


@cache
def positions(count: int, width: int) -> Floats:
    """Sinusoidal positions (count, width), which MuseTalk adds to what it hears."""
    at = np.arange(count)[:, None] * np.exp(np.arange(0, width, 2) * (-np.log(10000.0) / width))
    out = np.zeros((count, width), np.float32)
    out[:, 0::2], out[:, 1::2] = np.sin(at), np.cos(at)
    return out


class Features:
    """What the net of a contract hears at a moment. `frames` is the length of Whisper's window in mel frames. Raises nothing for any
    sound.
    """

    def __init__(self, contract: Contract, *, offset_ms: int = 0, frames: int = 3000) -> None:
        self._contract, self._frames = contract, frames
        self._around = contract.encoder[0] if contract.encoder else 0
        """Of what the encoder gives, how many are heard round a frame."""
        self._offset = offset_ms * SAMPLE_RATE // 1000 // _STEP * _STEP
        before, after = self._span()
        self._before, self._after = before, after
        self.reach = (
            Reach()
            if contract.hearing is Hearing.UNITS
            else Reach(
                max(0, before * _STEP + _TAPS - self._offset), max(0, after * _STEP + _TAPS + self._offset)
            )
        )

    def _span(self) -> tuple[int, int]:
        """Samples at 16 kHz before and from the frame's beginning that are needed, of sound that is not offset."""
        mel = 1 + _MEL_FFT // 2 + MEL_HOP, (_MEL_WIDTH - 1) * MEL_HOP + _MEL_FFT // 2
        match self._contract.hearing:
            case Hearing.MEL:
                return mel
            case Hearing.AVE:
                return mel[0] + 8 * _FRAME, mel[1] + 7 * _FRAME
            case Hearing.HUBERT:
                half = self._around // 2 * _TOKEN
                return half + RATE // 2, half + _TOKEN
            case Hearing.WENET:
                half = self._around // 2 * _WENET_STEP
                after = half - _WENET_STEP - _WENET_LEAD + _WENET_WINDOW
                return half + _WENET_LEAD + _WENET_LATE, after + _WENET_LATE
            case Hearing.WHISPER:
                return RATE // 2, 6 * _TOKEN + _WHISPER_FFT
        return 0, 0

    def silent(self, moment: Moment) -> bool:
        """Whether nothing moves the mouth: no sound in reach, or lips at rest."""
        if self._contract.hearing is Hearing.UNITS:
            units = moment.pose.weights[MOUTH_INDEX]
            return bool(np.abs(units - _REST).max(initial=0.0, where=_MOVED) < 0.06)
        return not np.abs(moment.sound).max(initial=0.0) > 1e-4

    def heard(self, moment: Moment) -> Floats:
        """What the encoder hears, the batch first: (windows, 1, 80, 16), (windows, 1, 67, 80), (1, samples) or (1, 80, frames), always
        the same; where the contract has none, what the net hears.
        """
        if self._contract.hearing is Hearing.UNITS:
            return np.asarray(moment.pose.weights[MOUTH_INDEX], np.float32)
        return self._front(self._sound(moment), moment.frame)

    def murmur(self, seed: int, frame: int) -> Floats:
        """As `heard`, of a sound that nobody makes: what nets are tried with."""
        if self._contract.hearing is Hearing.UNITS:
            return np.asarray(_REST, np.float32)
        first = frame * FRAME_SAMPLES
        last = first + self.reach.before + self.reach.after
        noise = np.random.default_rng(seed).standard_normal(last, np.float32)
        return self._front(self._sound(Moment(frame, Pose(), np.float32(0.05) * noise[first:])), frame)

    def told(self, encoded: Floats) -> Floats:
        """What the net hears, of the contract's shape, of what the encoder gives for `heard`."""
        match self._contract.hearing:
            case Hearing.HUBERT:
                tokens, width = self._contract.encoder or (0, 0)
                first = self._before // _TOKEN - tokens // 2
                return _window(encoded.reshape(-1, width), first, tokens).reshape(self._contract.audio)
            case Hearing.WHISPER:  # five layers of ten tokens: four before the frame, six from it on
                rows = _window(encoded.reshape(-1, 5, 384), self._before // _TOKEN - 4, 10)
                return np.asarray(
                    rows.reshape(self._contract.audio) + positions(*self._contract.audio), np.float32
                )
        return encoded.reshape(self._contract.audio)

    def _front(self, sound: Floats, frame: int) -> Floats:
        match self._contract.hearing:
            case Hearing.MEL:
                return np.asarray(self._mel(sound, frame, range(1))[0])
            case Hearing.AVE:
                return self._mel(sound, frame, range(-8, 8))
            case Hearing.WENET:
                return self._wenet(sound, frame)
            case Hearing.HUBERT:
                wave = (sound - sound.mean()) / np.sqrt(sound.var() + 1e-7)
                return np.asarray(wave[None], np.float32)
        return whisper_mel(sound, self._frames)[None]

    def _sound(self, moment: Moment) -> Floats:
        """The frame's sound at 16 kHz: `_before` samples before its beginning and `_after` from it on."""
        first = self.reach.before - (self._before * _STEP + _TAPS - self._offset)
        wanted = (self._before + self._after) * _STEP + 2 * _TAPS
        pcm = np.nan_to_num(moment.sound[first : first + wanted].astype(np.float32))
        pcm = np.pad(pcm, (0, wanted - pcm.size))
        return to_16k(pcm)

    def _wenet(self, sound: Floats, frame: int) -> Floats:
        """Windows (n, 1, 67, 80) round the one that is nearest in time to the frame: as many before it, and it the first of the rest."""
        windows = self._around
        nearest = (frame * _FRAME + _WENET_STEP // 2) // _WENET_STEP * _WENET_STEP - frame * _FRAME
        first = self._before + nearest - windows // 2 * _WENET_STEP - _WENET_LEAD
        rows = fbank(sound[first : first + (windows - 1) * _WENET_STEP + _WENET_WINDOW])
        step = _WENET_STEP // _FBANK_HOP
        return np.stack([rows[step * k : step * k + WENET_FRAMES] for k in range(windows)])[:, None]

    def _mel(self, sound: Floats, frame: int, shifts: range) -> Floats:
        """Mel (n, 1, 80, 16) of the frames `shifts` away: each from the mel frame at or before its beginning on."""
        begins = [(frame + shift) * _FRAME // MEL_HOP for shift in shifts]
        first = self._before + begins[0] * MEL_HOP - frame * _FRAME - _MEL_FFT // 2 - 1
        size = (begins[-1] - begins[0] + _MEL_WIDTH - 1) * MEL_HOP + _MEL_FFT
        line = mel_frames(sound[first : first + 1 + size])
        return np.stack([line[None, :, at - begins[0] :][..., :_MEL_WIDTH] for at in begins])


def _window(rows: Floats, first: int, count: int) -> Floats:
    """Rows first..first+count; those that are not there are zero."""
    out = np.zeros((count, *rows.shape[1:]), np.float32)
    low, high = max(first, 0), min(first + count, len(rows))
    if high > low:
        out[low - first : high - first] = rows[low:high]
    return out


def _rest() -> tuple[Floats, NDArray[np.bool_]]:
    from origin.avatar.articulation import REST
    from origin.neural.units import MOUTH_UNITS

    moved = np.array(["Smile" not in name and "cheek" not in name for name in MOUTH_UNITS])
    return REST[MOUTH_INDEX], moved


_REST, _MOVED = _rest()
assert FRAME_SAMPLES == _FRAME * _STEP
