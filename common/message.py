"""What all messages between our programs have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Message(BaseModel):
    """Whoever reads it passes over what it does not know: orchestrators and nodes of two versions run side by side in a rollout."""

    model_config = ConfigDict(extra="ignore")
