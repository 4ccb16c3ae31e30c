"""What every request of one server shares, and what a handler asks for."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar, cast

from fastapi import Depends, Request
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from scheduler.api.intake import Intake
from scheduler.api.live import Hub
from scheduler.api.measures import Requests
from scheduler.api.once import HELD
from scheduler.api.shelf import Shelf
from scheduler.api.together import Together
from scheduler.domain.errors import Unavailable
from scheduler.services import access, events, starts
from scheduler.services.access import Caller
from scheduler.services.catalog import Catalog
from scheduler.services.events import Sent
from scheduler.services.runs import Begun
from scheduler.services.starts import Wish
from scheduler.settings import ServerSettings
from scheduler.store import audit
from scheduler.store.audit import Actor

PATIENCE = 1.5  # seconds: whoever asks learns within two that the database is away
STARTED_WITHIN = 10.0
STORED_WITHIN = 30.0
MOST = 100  # that are answered together

# Who makes the changes of this request; nobody for one that only looks.
ACTOR: ContextVar[Actor | None] = ContextVar("actor", default=None)

Pool = AsyncConnectionPool[AsyncConnection[Any]]
T = TypeVar("T")


@dataclass(slots=True)
class Server:
    settings: ServerSettings
    hub: Hub
    catalog: Catalog = field(default_factory=Catalog)
    requests: Requests = field(default_factory=Requests)
    pool: Pool | None = None
    group: asyncio.TaskGroup | None = None
    callers: Together[str, Caller] = field(init=False)
    starts: Together[Wish, Begun] = field(init=False)
    shelf: Shelf = field(init=False)
    intake: Intake = field(init=False)

    def __post_init__(self) -> None:
        self.callers = Together(self._authenticate, most=MOST)
        self.starts = Together(self._start, most=MOST)
        bounds = self.settings.starts
        self.shelf = Shelf(self._start, most=bounds.in_memory, bytes=bounds.bytes_in_memory)
        self.intake = Intake(self.settings.events, self.connection, self._receive)

    async def _authenticate(self, tokens: Sequence[str]) -> Sequence[Caller | Exception]:
        """Asked anew for every request, so that a token which is revoked is refused at once."""

        async def look_up() -> Sequence[Caller | Exception]:
            async with self.connection() as conn:
                return await access.authenticate_all(conn, tokens)

        return await self.within(PATIENCE, look_up())

    async def _start(self, wishes: Sequence[Wish]) -> Sequence[Begun | Exception]:
        async def start() -> Sequence[Begun | Exception]:
            async with self.connection() as conn:
                return await starts.start_all(conn, self.catalog, wishes)

        return await self.within(STARTED_WITHIN, start())

    async def _receive(self, all: Sequence[Sent]) -> Sequence[int | Exception]:
        async def receive() -> Sequence[int | Exception]:
            async with self.connection() as conn:
                return await events.receive_all(conn, all)

        return await self.within(STORED_WITHIN, receive())

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection[Any]]:
        """A connection that has just answered; never held while a request only waits.

        A request with an idempotency key has one, in a transaction, for all that it does.
        """
        if (held := HELD.get()) is not None:
            yield held
            return
        pool = self.pool
        if pool is None:
            raise Unavailable("the server is starting or stopping")
        conn = await self.within(PATIENCE, pool.getconn(), pool.putconn)
        try:
            async with conn:
                await name_actor(conn)
                yield conn
        finally:
            await pool.putconn(conn)

    async def within(
        self,
        seconds: float,
        work: Coroutine[Any, Any, T],
        too_late: Callable[[T], Awaitable[object]] | None = None,
    ) -> T:
        """What `work` answers, if it does so in time.

        A statement on a database that hangs cannot even be cancelled: psycopg waits for the
        server to confirm it. So work that is late is left to itself, not cancelled and waited
        for, and what it answers after all goes to `too_late`.
        """
        if self.group is None:
            work.close()
            raise Unavailable("the server is starting or stopping")
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.group.create_task(carry_out(work, answer, too_late))
        try:
            return await asyncio.wait_for(answer, seconds)
        except TimeoutError as error:
            raise Unavailable("the database does not answer in time") from error


async def name_actor(conn: AsyncConnection[Any]) -> None:
    """Whoever changes something is named first. A name that was left by the request before does
    no harm to those who only look: nothing is written for them."""
    actor = ACTOR.get()
    if actor is not None:
        await audit.act_as(conn, actor)


async def carry_out(
    work: Awaitable[T],
    answer: asyncio.Future[T],
    too_late: Callable[[T], Awaitable[object]] | None,
) -> None:
    try:
        result = await work
    except Exception as error:
        if not answer.done():
            answer.set_exception(error)
        return
    if not answer.done():
        answer.set_result(result)
    elif too_late is not None:
        await too_late(result)


def server_of(request: Request) -> Server:
    return cast("Server", request.app.state.server)


def caller_of(request: Request) -> Caller:
    return cast("Caller", request.state.caller)


async def connection_of(request: Request) -> AsyncIterator[AsyncConnection[Any]]:
    async with server_of(request).connection() as conn:
        yield conn


# What handlers ask for is given by coroutines: FastAPI takes plain functions to a thread and back,
# which costs more than all that they do.


async def the_server(request: Request) -> Server:
    return server_of(request)


async def catalog_of(request: Request) -> Catalog:
    return server_of(request).catalog


async def who(request: Request) -> str:
    return caller_of(request).name


async def the_caller(request: Request) -> Caller:
    return caller_of(request)


TheServer = Annotated[Server, Depends(the_server)]
TheCaller = Annotated[Caller, Depends(the_caller)]
Conn = Annotated[AsyncConnection[Any], Depends(connection_of, scope="function")]
TheCatalog = Annotated[Catalog, Depends(catalog_of)]
By = Annotated[str, Depends(who)]
