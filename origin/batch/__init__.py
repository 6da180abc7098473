"""Drawing many avatars on few devices: who is drawn when (Batcher, Stagger), what fits (Budget), what is given up first (Governor),
and the threads that do it (Crew)."""

from origin.batch.budget import Budget
from origin.batch.crew import Crew, Seat, Work
from origin.batch.governor import Measures, Priority

__all__ = ["Budget", "Crew", "Measures", "Priority", "Seat", "Work"]
