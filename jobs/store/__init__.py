"""Durable jobs: one promise (`protocol`), an engine each for SQLite and PostgreSQL."""
