"""Data that ships with the orchestrator: places of countries and of cloud regions."""
