"""Searches for inputs that harm: libFuzzer over each entry point of crates/fuzz, with progress.

    python tests/fuzz.py [--minutes 10 | --runs 10000000] [--target subscriber] [--keep]

Minutes are for all targets together, runs for each. What reaches new code is collected in .build/fuzz; `--keep` makes the smallest
set that reaches every edge into crates/fuzz/corpus, one file a target, which `cargo test` replays. A harmful input is left in
.build/fuzz/harm and named; for sessions, which live for many inputs, `<target>-session` there holds all of them as one.

Rust's stable compiler does it: coverage comes from LLVM's own pass. There is no address sanitizer: the only unsafe code is in the
socket layer, which takes no part, and overflow checks and debug assertions are on."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
CORPUS = ROOT / "crates/fuzz/corpus"
WORK = ROOT / ".build/fuzz"
HOST = next(
    line.removeprefix("host: ")
    for line in subprocess.run(
        ["rustc", "-vV"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    if line.startswith("host: ")
)
PASS = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Ccodegen-units=1",
    "-Cdebug-assertions",
    "-Coverflow-checks",
]
# Of parsers only: in sessions they take half of the time (docs/decisions.md).
COMPARES = ["-Cllvm-args=-sanitizer-coverage-trace-compares"]
LEAST_INPUTS = 3
MOST_BYTES = {"sdp": 8192, "whep_offer": 8192, "whip_offer": 8192}
SESSIONS = {"whep_offer", "whip_offer", "subscriber", "ingest", "subscriber_data", "ingest_data"}


def build(sessions: bool) -> Path:
    """The program that searches: the state machines, or the parsers alone.

    After each input libFuzzer looks at the counters of all edges in the program, which for a parser takes four times as long as
    the parser itself when the state machines (ten times the edges) are in it."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    command = ["cargo", "build", "--locked", "--release", "--package", "fuzz", "--no-default-features"]
    features = "libfuzzer,sessions" if sessions else "libfuzzer"
    flags = PASS if sessions else PASS + COMPARES
    environment = {**os.environ, "RUSTFLAGS": " ".join(flags), "CARGO_PROFILE_RELEASE_LTO": "off"}
    print(
        f"• building the search of {'sessions' if sessions else 'parsers'} (a few minutes the first time)",
        flush=True,
    )
    command += ["--features", features, "--quiet", "--target", HOST]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    WORK.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(target / HOST / "release/fuzz", WORK / ("sessions" if sessions else "parsers")))


def targets() -> list[str]:
    """Names of the entry points: the files of the corpus."""
    return sorted(file.stem for file in CORPUS.glob("*.bin"))


def kept(target: str) -> Iterator[bytes]:
    """The inputs of its corpus, each behind its length (crates/fuzz/src/corpus.rs)."""
    archive = (CORPUS / f"{target}.bin").read_bytes()
    at = 0
    while at < len(archive):
        (length,) = struct.unpack_from(">I", archive, at)
        yield archive[at + 4 : at + 4 + length]
        at += 4 + length


def unpack(target: str) -> Path:
    """Its corpus as libFuzzer wants it: a folder with a file for each input."""
    folder = WORK / "kept" / target
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number, data in enumerate(kept(target)):
        (folder / f"{number:04}").write_bytes(data)
    return folder


def search(program: Path, target: str, limit: str) -> tuple[int, int, bool]:
    """Runs one target within libFuzzer's `limit`. Returns runs, edges reached, and whether it found harm."""
    found, harm = WORK / "found" / target, WORK / "harm"
    found.mkdir(parents=True, exist_ok=True)
    harm.mkdir(parents=True, exist_ok=True)
    command = [
        str(program),
        str(found),
        str(unpack(target)),
        limit,
        f"-max_len={MOST_BYTES.get(target, 1500)}",
        f"-artifact_prefix={harm}/{target}-",
        "-print_final_stats=1",
        "-rss_limit_mb=2048",
        "-timeout=600",  # of the clock; what counts is CPU time, which the program looks at itself
    ]
    if target in SESSIONS:  # its weights of rare edges take half of the time where an input reaches thousands
        command.append("-entropic=0")
    runs = edges = 0
    said: list[str] = []
    began = shown = time.monotonic()
    environment = {
        **os.environ,
        "FUZZ_TARGET": target,
        "FUZZ_HISTORY": str(harm / f"{target}-session"),
        "RUST_BACKTRACE": "0",
    }
    with subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=environment,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "panicked at" in line or said:
                said.append(line.rstrip())
            if progress := re.match(r"#(\d+)\s", line):
                runs = int(progress[1])
            if covered := re.search(r"\bcov: (\d+)", line):
                edges = int(covered[1])
            if line.startswith("stat::number_of_executed_units:"):
                runs = int(line.split()[-1])
            if time.monotonic() - shown > 5:
                shown = time.monotonic()
                print(f"  {target}: {runs:,} runs, {edges:,} edges, {shown - began:.0f} s", flush=True)
    if process.returncode:
        print("\n".join(said[:12]), file=sys.stderr)
    return runs, edges, process.returncode != 0


def keep(program: Path, target: str) -> None:
    """Writes the corpus anew: the smallest set, of the kept and the found, that reaches every edge."""
    smallest = WORK / "smallest" / target
    shutil.rmtree(smallest, ignore_errors=True)
    smallest.mkdir(parents=True)
    command = [str(program), "-set_cover_merge=1", "-use_counters=0", str(smallest), str(unpack(target))]
    subprocess.run(
        [*command, str(WORK / "found" / target)],
        env={**os.environ, "FUZZ_TARGET": target},
        stderr=subprocess.DEVNULL,
        check=True,
    )
    inputs = sorted((file.read_bytes() for file in smallest.iterdir()), key=lambda data: (len(data), data))
    if len(inputs) < LEAST_INPUTS:  # a parser of one line of code: its seeds stay
        inputs = list(kept(target))
    (CORPUS / f"{target}.bin").write_bytes(b"".join(struct.pack(">I", len(data)) + data for data in inputs))


def main() -> None:
    """Searches, prints the counts, exits with 1 if something did harm."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10, help="for all targets together")
    parser.add_argument("--runs", type=int, help="for each target, instead of minutes")
    parser.add_argument("--target", action="append", choices=targets(), help="only this one (repeatable)")
    parser.add_argument("--keep", action="store_true", help="merge what was found into the corpus")
    options = parser.parse_args()
    wanted = options.target or targets()
    programs = {sessions: build(sessions) for sessions in sorted({target in SESSIONS for target in wanted})}
    seconds = max(1, round(options.minutes * 60 / len(wanted)))
    limit = f"-runs={options.runs}" if options.runs else f"-max_total_time={seconds}"
    harmed = []
    for number, target in enumerate(wanted, 1):
        bound = f"{options.runs:,} runs" if options.runs else f"{seconds} s"
        print(f"• {target} ({number} of {len(wanted)}, {bound})", flush=True)
        program = programs[target in SESSIONS]
        runs, edges, harm = search(program, target, limit)
        print(
            f"fuzz {target}: {runs:,} runs ({edges:,} edges reached){': HARM FOUND' if harm else ''}",
            flush=True,
        )
        if harm:
            harmed.append(target)
        elif options.keep:
            keep(program, target)
    if harmed:
        sys.exit(f"harmful inputs in {WORK / 'harm'}: {', '.join(harmed)}")


if __name__ == "__main__":
    main()
