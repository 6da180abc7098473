"""Drawing many avatars on few devices: who is drawn when (Batcher, Stagger), what fits (Budget), what is given up first (Governor),
what several share
(SharedNet), and the threads that do it (Crew)."""

from origin.batch.budget import Budget
from origin.batch.crew import Crew, Seat, Work
from origin.batch.governor import Measures, Priority
from origin.batch.shared import Asked, SharedNet

__all__ = ["Asked", "Budget", "Crew", "Measures", "Priority", "Seat", "SharedNet", "Work"]
