"""Alembic migrations: one reversible step in each file, named by its intent."""
