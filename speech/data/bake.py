"""Makes the data of this folder from the packages that it comes from; run by hand, its results are committed.

    python speech/data/bake.py MISAKI_DATA KOKORO_VOICES

MISAKI_DATA: folder with us_gold.json and us_silver.json (PyPI misaki 0.9.4, Apache-2.0).
KOKORO_VOICES: folder with af_heart.bin ... (npm kokoro-js 1.2.1, Apache-2.0), float32 [510, 1, 256] each.
"""

from __future__ import annotations

import collections
import json
import lzma
import math
import random
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

from speech.letters import LetterTable, contexts  # noqa: E402

VOICES = ("af_heart", "af_bella", "am_michael", "bf_emma")
PARTS = {"VERB": "v", "NOUN": "n", "ADJ": "a", "VBD": "d", "ADV": "r", "DT": "t", "None": "-"}
LONGEST = 3
"""Most phonemes that one letter stands for ("x" as in "exam": three with the stress)."""


def lexicon(source: Path) -> dict[str, str]:
    """Word -> default phonemes, then variants as `\\tv=...` by part of speech."""
    words: dict[str, str] = dict(json.loads((source / "us_silver.json").read_text()))
    for word, sound in json.loads((source / "us_gold.json").read_text()).items():
        if isinstance(sound, str):
            words[word] = sound
        elif sound["DEFAULT"]:
            variants = [
                f"{PARTS[k]}={v}" for k, v in sound.items() if k in PARTS and v and v != sound["DEFAULT"]
            ]
            words[word] = "\t".join([sound["DEFAULT"], *variants])
    return words


def symbols(phonemes: str) -> list[str]:
    """Phonemes with a stress mark joined to the vowel that it precedes."""
    out: list[str] = []
    mark = ""
    for c in phonemes:
        if c in "ˈˌ":
            mark = c
        else:
            out.append(mark + c)
            mark = ""
    return out


def align(word: str, sounds: list[str], cost: dict[tuple[str, str], float]) -> list[str] | None:
    """The cheapest way to deal `sounds` out to the letters of `word`, 0 to LONGEST each."""
    n, m = len(word), len(sounds)
    best: list[list[float]] = [[math.inf] * (m + 1) for _ in range(n + 1)]
    back = [[0] * (m + 1) for _ in range(n + 1)]
    best[0][0] = 0.0
    for i in range(n):
        letter = word[i]
        for j in range(m + 1):
            here = best[i][j]
            if here == math.inf:
                continue
            for k in range(min(LONGEST, m - j) + 1):
                total = here + cost.get((letter, "".join(sounds[j : j + k])), 14.0 + 4.0 * k)
                if total < best[i + 1][j + k]:
                    best[i + 1][j + k] = total
                    back[i + 1][j + k] = k
    if best[n][m] == math.inf:
        return None
    dealt: list[str] = []
    j = m
    for i in range(n, 0, -1):
        k = back[i][j]
        dealt.append("".join(sounds[j - k : j]))
        j -= k
    return dealt[::-1]


def aligned(words: list[tuple[str, str]]) -> list[tuple[str, list[str]]]:
    """Expectation-maximisation, the best path only, five rounds."""
    cost: dict[tuple[str, str], float] = {}
    for word, sound in words:  # first guess: a letter stands for what is at its place in the word
        sounds = symbols(sound)
        for i, letter in enumerate(word):
            cost[letter, sounds[min(len(sounds) - 1, i * len(sounds) // len(word))]] = 5.0
    for letter in "abcdefghijklmnopqrstuvwxyz'":
        cost[letter, ""] = 4.0
    out: list[tuple[str, list[str]]] = []
    for _ in range(5):
        counts: collections.Counter[tuple[str, str]] = collections.Counter()
        totals: collections.Counter[str] = collections.Counter()
        out = []
        for word, sound in words:
            dealt = align(word, symbols(sound), cost)
            if dealt is None:
                continue
            out.append((word, dealt))
            for letter, part in zip(word, dealt, strict=True):
                counts[letter, part] += 1
                totals[letter] += 1
        cost = {pair: -math.log(n / totals[pair[0]]) for pair, n in counts.items() if n > 2}
    return out


def table(words: list[tuple[str, list[str]]]) -> dict[str, str]:
    """Contexts with their commonest phonemes, without those that say what a shorter one says."""
    seen: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for word, dealt in words:
        for at, part in enumerate(dealt):
            for context in contexts(word, at):
                seen[context][part] += 1
    entries: dict[str, str] = {}
    for context in sorted(seen, key=len):
        (part, n), parent = seen[context].most_common(1)[0], ""
        for shorter in range(len(context) - 1, 0, -1):
            if context[:shorter] in entries:
                parent = entries[context[:shorter]]
                break
        if len(context) == 1 or (part != parent and n >= (2 if len(context) > 4 else 1)):
            entries[context] = part
    return entries


def main() -> None:
    misaki, kokoro = Path(sys.argv[1]), Path(sys.argv[2])
    words = lexicon(misaki)
    text = "\n".join(f"{word}\t{sound}" for word, sound in sorted(words.items()))
    (HERE / "lexicon.txt.xz").write_bytes(lzma.compress(text.encode(), preset=9))
    np.savez_compressed(
        HERE / "kokoro_voices.npz",
        allow_pickle=False,
        **{
            name: np.fromfile(kokoro / f"{name}.bin", np.float32).reshape(-1, 256).astype(np.float16)
            for name in VOICES
        },
    )
    gold = json.loads((misaki / "us_gold.json").read_text())
    known = [
        (w, s)
        for w, s in gold.items()
        if isinstance(s, str) and w.isascii() and w.isalpha() and w.islower() and s
    ]
    random.Random(7).shuffle(known)
    deal = aligned(known)
    held_out = {word for word, _ in known[:3000]}
    trial = LetterTable(table([x for x in deal if x[0] not in held_out]))
    plain = str.maketrans("", "", "ˈˌ")
    right = sum(trial.pronounce(w) == s for w, s in known[:3000])
    right_sounds = sum(trial.pronounce(w).translate(plain) == s.translate(plain) for w, s in known[:3000])
    print(f"held-out words right: {right / 30:.1f} %, without stress: {right_sounds / 30:.1f} %")
    entries = table(deal)
    (HERE / "letters.txt.xz").write_bytes(
        lzma.compress("\n".join(f"{c}\t{s}" for c, s in sorted(entries.items())).encode(), preset=9)
    )
    for name in ("lexicon.txt.xz", "letters.txt.xz", "kokoro_voices.npz"):
        print(name, (HERE / name).stat().st_size)


if __name__ == "__main__":
    main()
