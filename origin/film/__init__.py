"""The same avatar into a file, as fast as the machine can: script (what happens when), parts (kept work), containers, making."""

from origin.film.making import Made, Order, make
from origin.film.parts import FilmError
from origin.film.script import Said, Text, Voiced

__all__ = ["FilmError", "Made", "Order", "Said", "Text", "Voiced", "make"]
