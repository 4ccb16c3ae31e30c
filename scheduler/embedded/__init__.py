"""A PostgreSQL of our own, for one machine: made, started, adopted and stopped in one folder."""

from scheduler.embedded.cluster import Database, EmbeddedPostgres

__all__ = ["Database", "EmbeddedPostgres"]
