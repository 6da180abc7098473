"""Hair: guides grown on the scalp along a flow field, in layers from a dark inside to thin strands outside."""

from origin.avatar.bake.hair.bob import Bob
from origin.avatar.bake.hair.bun import Bun
from origin.avatar.bake.hair.scalp import HairStyle, Scalp
from origin.avatar.bake.hair.short import Combed, Curls

__all__ = ["Bob", "Bun", "Combed", "Curls", "HairStyle", "Scalp"]
