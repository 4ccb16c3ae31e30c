"""Published versions of process types, kept in memory: a version never changes."""

from typing import Any

from psycopg import AsyncConnection

from scheduler.domain import process_types as definitions
from scheduler.domain.errors import NotFound
from scheduler.domain.process_types import ProcessType
from scheduler.store import process_types

MOST = 500


class Catalog:
    """One for each process of ours; asks the database once for each version."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], ProcessType] = {}

    async def get(self, conn: AsyncConnection[Any], name: str, version: int) -> ProcessType:
        known = self._known.get((name, version))
        return known or await self._load(conn, name, version)

    async def _load(self, conn: AsyncConnection[Any], name: str, version: int) -> ProcessType:
        row = await process_types.get(conn, name, version)
        if row is None:
            raise NotFound(f"there is no version {version} of process type {name!r}")
        if len(self._known) >= MOST:
            self._known.pop(next(iter(self._known)))
        definition = definitions.from_document(row["document"])
        self._known[name, version] = definition
        return definition
