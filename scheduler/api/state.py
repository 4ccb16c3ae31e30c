"""What every request of one server shares, and what a handler asks for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any, cast

from fastapi import Depends, Request
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from scheduler.api.live import Hub
from scheduler.domain.errors import Unavailable
from scheduler.services.access import Caller
from scheduler.services.catalog import Catalog
from scheduler.settings import ServerSettings

PATIENCE = 1.8  # seconds: whoever asks learns within two that the database is away

Pool = AsyncConnectionPool[AsyncConnection[Any]]


@dataclass(slots=True)
class Server:
    settings: ServerSettings
    hub: Hub
    catalog: Catalog = field(default_factory=Catalog)
    pool: Pool | None = None

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection[Any]]:
        """A connection that has just answered; never held while a request only waits."""
        if self.pool is None:
            raise Unavailable("the server is starting or stopping")
        conn = await within(PATIENCE, self.pool)
        try:
            async with conn:
                yield conn
        finally:
            await self.pool.putconn(conn)


async def within(seconds: float, pool: Pool) -> AsyncConnection[Any]:
    try:
        async with asyncio.timeout(seconds):
            return await pool.getconn()
    except TimeoutError as error:
        raise Unavailable("the database does not answer") from error


def server_of(request: Request) -> Server:
    return cast("Server", request.app.state.server)


def caller_of(request: Request) -> Caller:
    return cast("Caller", request.state.caller)


async def connection_of(request: Request) -> AsyncIterator[AsyncConnection[Any]]:
    async with server_of(request).connection() as conn:
        yield conn


def catalog_of(request: Request) -> Catalog:
    return server_of(request).catalog


def who(request: Request) -> str:
    return caller_of(request).name


TheServer = Annotated[Server, Depends(server_of)]
Conn = Annotated[AsyncConnection[Any], Depends(connection_of, scope="function")]
TheCatalog = Annotated[Catalog, Depends(catalog_of)]
By = Annotated[str, Depends(who)]
