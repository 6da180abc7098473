"""A publisher of several layers in virtual time: one synthetic source each, key frames when asked, switched off and on at will."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

from hls.grid import Grid
from hls.packager import Packager
from tests.harness.live_source import LiveSource, Unit
from tests.harness.shelf import Shelf


@dataclass
class Layer:
    """`key_delay_ms`: so long after the request its encoder makes the key frame. `sending`: False is a layer that is switched off."""

    source: LiveSource
    key_delay_ms: float = 0
    sending: bool = True
    ahead: int = 0
    """Ticks to add to the source's times."""
    key_due_ms: float | None = None

    def until(self, now_ms: float) -> Iterator[Unit]:
        while self.source.next_ms <= now_ms:
            at_ms = self.source.next_ms
            if self.key_due_ms is not None and at_ms >= self.key_due_ms:
                self.key_due_ms = None
                self.source.ask_key_frame()
            units = list(self.source.until(at_ms))
            if self.sending:
                yield from (dataclasses.replace(unit, time=unit.time + self.ahead) for unit in units)


class Simulcast:
    """Layers of `sizes`, and sound with the first of them, into a packager. `delay_ms` is the way from capture to packager."""

    def __init__(
        self,
        start_ms: float,
        grid: Grid,
        sizes: list[tuple[int, int]],
        *,
        audio: bool = True,
        window_s: float = 60,
        delay_ms: float = 30,
        bitrates_bps: tuple[int, ...] = (800_000, 200_000, 100_000),
    ) -> None:
        self.layers = [
            Layer(
                LiveSource(
                    start_ms, width=width, height=height, audio=False, bitrate_bps=bitrate, seed=index + 1
                )
            )
            for index, ((width, height), bitrate) in enumerate(zip(sizes, bitrates_bps, strict=False))
        ]
        self.sound = LiveSource(start_ms, video=False) if audio else None
        self.shelf = Shelf(start_ms)
        self.now_ms = self._start_ms = start_ms
        self.delay_ms = delay_ms
        self.requests = 0
        self.packager = Packager("demo", grid, window_s, self.shelf, self._ask, start_ms)

    def run(self, seconds: float) -> None:
        """Lets time pass."""
        end_ms = self.now_ms + seconds * 1000
        while self.now_ms < end_ms:
            self.now_ms += 20
            self.shelf.now_ms = self.now_ms
            captured_ms = self.now_ms - self.delay_ms
            for index, layer in enumerate(self.layers):
                for unit in layer.until(captured_ms):
                    self.packager.push(dataclasses.replace(unit, layer=index), self.now_ms)
            for unit in self.sound.until(captured_ms) if self.sound else ():
                self.packager.push(unit, self.now_ms)
            self.packager.tick(self.now_ms)

    def replace(self, index: int, width: int, height: int) -> None:
        """The layer's encoder starts anew with another size; its times go on."""
        source = LiveSource(self.now_ms, width=width, height=height, audio=False)
        ahead = round((self.now_ms - self._start_ms) * 90)
        self.layers[index] = Layer(source, self.layers[index].key_delay_ms, ahead=ahead)

    def _ask(self) -> None:
        self.requests += 1
        due_ms = max(layer.source.next_ms for layer in self.layers)
        for layer in self.layers:
            if layer.key_due_ms is None:
                layer.key_due_ms = due_ms + layer.key_delay_ms
