"""Alembic migrations of the database: package data, run at start by common.database."""
