"""Trains the net of lips.py: `python -m speech.data.train_lips` (some ten minutes on one core). Writes lips.npz beside this file.

Our own voices speak sentences of the personas and rows of words; their models say when each phoneme is heard. Held out: a
tenth of the texts, and one voice (bf_emma) altogether. Each text is heard once as it is and twice changed: higher or lower
(with the formants: another throat), darker or brighter, with noise, quieter.
"""

from __future__ import annotations

import argparse
import itertools
import lzma
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from speech import kokoro, lips
from speech.inference import seed
from speech.marks import SAMPLE_RATE, VISEMES, VisemeMark
from speech.piper import Piper
from speech.voice import Pcm, Voice

HELD_OUT_VOICE = "bf_emma"
_HERE = Path(__file__).parent
_PERSONAS = _HERE.parents[1] / "origin" / "dialogue" / "personas"

Floats = NDArray[np.float32]
Labels = NDArray[np.int64]


def texts(count: int, chance: random.Random) -> list[str]:
    """Sentences of the personas, and rows of words of the lexicon."""
    said = re.findall(
        r'"([A-Z][^"{}\\]{30,140}[.!?])"', "\n".join(p.read_text() for p in sorted(_PERSONAS.glob("*.toml")))
    )
    lexicon = lzma.decompress((_HERE / "lexicon.txt.xz").read_bytes()).decode()
    words = re.findall(r"^[a-z]{3,9}(?=\s)", lexicon, re.MULTILINE)
    rows = [" ".join(chance.sample(words, 8)) + "." for _ in range(count)]
    chance.shuffle(said)
    return (said[: count // 2] + rows)[:count]


def labels(marks: list[VisemeMark], frames: int) -> Labels:
    """The viseme at the middle of each frame."""
    out = np.full(frames, VISEMES.index("sil"))
    for mark in marks:
        out[-(-mark.start // lips.HOP) : -(-mark.end // lips.HOP)] = VISEMES.index(mark.viseme)
    return out


def changed(pcm: Pcm, marks: list[VisemeMark], chance: np.random.Generator) -> tuple[Pcm, list[VisemeMark]]:
    """The same words of another throat, microphone and room."""
    rate = float(chance.uniform(0.82, 1.22))
    size = int(pcm.size / rate)
    pcm = np.interp(np.arange(size) * rate, np.arange(pcm.size), pcm).astype(np.float32)
    marks = [VisemeMark(int(m.start / rate), int(m.end / rate), m.viseme, m.weight) for m in marks]
    tilt = float(chance.uniform(-0.6, 0.5))
    pcm = (pcm - tilt * np.concatenate([[0], pcm[:-1]])).astype(np.float32)
    level = float(np.sqrt(np.mean(pcm**2))) + 1e-6
    noise = chance.standard_normal(size).astype(np.float32)
    if chance.random() < 0.5:  # the noise of rooms is dark
        noise = np.convolve(noise, np.ones(24, np.float32) / 5, "same").astype(np.float32)
    pcm = pcm + noise * level * float(10 ** (-chance.uniform(12, 45) / 20))
    return (pcm * float(10 ** (chance.uniform(-24, 3) / 20))).astype(np.float32), marks


def examples(pcm: Pcm, marks: list[VisemeMark]) -> tuple[Floats, Labels]:
    """Features (n, FEATURES) and labels (n,) of one text."""
    frames, _ = lips.Listener().push(np.concatenate([pcm, np.zeros(lips.WINDOW, np.float32)]))
    reach = lips.CONTEXT[-1]
    count = len(frames) - reach
    padded = np.concatenate([np.repeat(frames[:1], reach, 0), frames])
    rows = np.concatenate([padded[reach + o : reach + o + count] for o in lips.CONTEXT], 1)
    return rows, labels(marks, count)


def spoken(voice: Voice, said: list[str], changes: int, start: int) -> Iterator[tuple[Floats, Labels]]:
    chance = np.random.default_rng(start)
    for text in said:
        speech = voice.synthesise(text)
        yield examples(speech.pcm, speech.marks)
        for _ in range(changes):
            yield examples(*changed(speech.pcm, speech.marks, chance))


def gather(pairs: Iterator[tuple[Floats, Labels]]) -> tuple[Floats, Labels]:
    features, named = zip(*pairs, strict=True)
    return np.concatenate(features), np.concatenate(named)


def train(x: Floats, y: Labels, epochs: int, hidden: tuple[int, ...] = (96, 64)) -> lips.Net:
    """Cross-entropy, Adam, rarer shapes weighted up a little."""
    chance = np.random.default_rng(1)
    sizes = (lips.FEATURES, *hidden, len(VISEMES))
    layers = [
        [
            chance.standard_normal((a, b)).astype(np.float32) * np.float32(np.sqrt(2 / a)),
            np.zeros(b, np.float32),
        ]
        for a, b in itertools.pairwise(sizes)
    ]
    moments = [[np.zeros_like(p) for p in layer for _ in (0, 1)] for layer in layers]
    share = np.bincount(y, minlength=len(VISEMES)) / len(y)
    weight = np.sqrt(1 / np.maximum(share, 1e-4)).astype(np.float32)
    weight /= (weight * share).sum()
    step, batch = 0, 512
    total = epochs * (len(y) // batch)
    for _ in range(epochs):
        order = chance.permutation(len(y))
        for first in range(0, len(y) - batch + 1, batch):
            step += 1
            ids = order[first : first + batch]
            inputs = [x[ids]]
            for w, b in layers:
                inputs.append(np.maximum(inputs[-1] @ w + b, 0))
            logits = inputs[-2] @ layers[-1][0] + layers[-1][1]
            odds = np.exp(logits - logits.max(1, keepdims=True))
            odds /= odds.sum(1, keepdims=True)
            odds[np.arange(batch), y[ids]] -= 1
            slope = odds * (weight[y[ids]] / batch)[:, None]
            rate = 2e-3 * (0.5 + 0.5 * np.cos(np.pi * step / total)) + 1e-5
            for k in range(len(layers) - 1, -1, -1):
                down = (slope @ layers[k][0].T) * (inputs[k] > 0) if k else slope
                for p, gradient in enumerate((inputs[k].T @ slope, slope.sum(0))):
                    m, v = moments[k][2 * p], moments[k][2 * p + 1]
                    m += 0.1 * (gradient - m)
                    v += 0.001 * (gradient**2 - v)
                    layers[k][p] -= rate * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-7)
                slope = down
    return lips.Net(tuple((w, b) for w, b in layers))


def accuracy(net: lips.Net, x: Floats, y: Labels) -> str:
    """Share of frames named right; the same without pauses; and by groups of shapes that look alike."""
    found = net.scores(x).argmax(1)
    speech = y != VISEMES.index("sil")
    groups = np.array(
        [0, 1, 2, 3, 3, 3, 4, 4, 3, 4, 5, 6, 6, 7, 7]
    )  # sil, lips, teeth, tongue, hushed, open, spread, round
    closed = y == VISEMES.index("PP")
    return (
        f"{(found == y).mean():.1%} of all frames, {(found == y)[speech].mean():.1%} of speech, "
        f"{(groups[found] == groups[y]).mean():.1%} by look (8 groups), "
        f"closed lips: {(found == y)[closed].mean():.1%} found, "
        f"{(y == found)[found == VISEMES.index('PP')].mean():.1%} right; {len(y) * lips.HOP / SAMPLE_RATE / 60:.0f} min"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m speech.data.train_lips", description=__doc__)
    parser.add_argument("--texts", type=int, default=40, help="texts each voice speaks")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--out", type=Path, default=_HERE / "lips.npz")
    options = parser.parse_args()
    seed(1)
    chance = random.Random(1)
    first = kokoro.Kokoro(kokoro.VOICES[0])
    train_parts, test_parts = [], []
    voices: list[Voice] = [first.sounding(v) for v in kokoro.VOICES if v != HELD_OUT_VOICE] + [Piper()]
    for number, voice in enumerate(voices):
        said = texts(options.texts, chance)
        held = max(1, len(said) // 10)
        test_parts.append(gather(spoken(voice, said[:held], 1, number)))
        train_parts.append(gather(spoken(voice, said[held:], 2, 100 + number)))
        print(voice.name, flush=True)
    other = gather(spoken(first.sounding(HELD_OUT_VOICE), texts(max(2, options.texts // 8), chance), 0, 7))
    x, y = (np.concatenate(part) for part in zip(*train_parts, strict=True))
    net = train(x, y, options.epochs)
    rounded = lips.Net(tuple((w.astype(np.float16).astype(np.float32), b) for w, b in net.layers))
    print("trained on:", accuracy(rounded, x[::10], y[::10]))
    print("held-out texts:", accuracy(rounded, *(np.concatenate(p) for p in zip(*test_parts, strict=True))))
    print(f"held-out voice {HELD_OUT_VOICE}:", accuracy(rounded, *other))
    arrays: dict[str, Any] = {f"w{k}": w.astype(np.float16) for k, (w, _) in enumerate(net.layers)}
    arrays |= {f"b{k}": b for k, (_, b) in enumerate(net.layers)}
    np.savez_compressed(options.out, **arrays)
    print(f"{options.out}: {options.out.stat().st_size // 1024} kB")


if __name__ == "__main__":
    main()
