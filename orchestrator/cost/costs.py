"""The costs of a cluster: its prices, spot prices when they are asked for, and mixes that were solved lately."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Sequence

from orchestrator.cost.mix import Mix, cheapest
from orchestrator.cost.prices import Prices
from orchestrator.cost.spot import SpotPrices
from orchestrator.scaling.autoscaler import Pool

_KEPT = 64


class Costs:
    """One solver at a time, in a thread: joins must not wait for a sum."""

    def __init__(self, prices: Prices, spot: SpotPrices | None = None) -> None:
        self.prices = prices
        self._spot = spot
        self._solved: OrderedDict[tuple[object, ...], Mix] = OrderedDict()
        self._solving = asyncio.Lock()

    @property
    def spot_trouble(self) -> str | None:
        """Why there are no spot prices; None when there are, or nobody wants them."""
        return self._spot.trouble if self._spot is not None else None

    async def spot(self) -> dict[str, float]:
        """Type -> spot price an hour; empty when they are not wanted or not known."""
        if self._spot is None:
            return {}
        types = [one.type for one in self.prices.avatars]
        return await asyncio.to_thread(self._spot.of, types)

    async def mix(self, demand: Sequence[int], spot_share: float) -> Mix:
        """The cheapest machines for streams hour by hour. Raises NoMix."""
        async with self._solving:
            spot = await self.spot() if spot_share > 0 else {}
            key = (tuple(demand), spot_share, tuple(sorted(spot.items())))
            found = self._solved.get(key)
            if found is None:
                found = await asyncio.to_thread(
                    cheapest, self.prices.avatars, demand, spot=spot, spot_share=spot_share
                )
                self._solved[key] = found
                if len(self._solved) > _KEPT:
                    self._solved.popitem(last=False)
            return found


def expected_avatars(pools: Iterable[Pool]) -> int:
    """Avatars that the origins will run in five minutes, as their pools expect; one at least."""
    return max(1, round(sum(pool.expected for pool in pools if pool.name.role == "origin")))
