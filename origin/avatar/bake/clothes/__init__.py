"""Clothes of our own, cut from the tights that surround the base mesh."""

from origin.avatar.bake.clothes.cloth import Colour, Outfit
from origin.avatar.bake.clothes.jacket import Jacket
from origin.avatar.bake.clothes.neck import Neck
from origin.avatar.bake.clothes.shirt import Shirt
from origin.avatar.bake.clothes.sweater import Sweater

__all__ = ["Colour", "Jacket", "Neck", "Outfit", "Shirt", "Sweater"]
