"""The web application of a test, on the test's own database, spoken to without a socket."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from fastapi import FastAPI

from scheduler.app import create_app
from scheduler.services.access import Role, create_token
from scheduler.settings import ServerSettings
from scheduler.store import connections
from tests.support.waiting import patience

TWO = """
name: two
tasks:
  - {name: first, noop: true}
  - {name: second, noop: true}
"""


@dataclass(frozen=True, slots=True)
class Api:
    app: FastAPI
    url: str
    tokens: Mapping[Role, str]
    clients: dict[Role | None, httpx.AsyncClient] = field(default_factory=dict)

    def as_role(self, role: Role | None) -> httpx.AsyncClient:
        """A client with a token of that role; without a token for None."""
        if role not in self.clients:
            headers = {} if role is None else {"Authorization": f"Bearer {self.tokens[role]}"}
            # What the server answers is looked at even where it is a fault of ours.
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            self.clients[role] = httpx.AsyncClient(
                transport=transport, base_url="http://server/api/v1", headers=headers, timeout=30
            )
        return self.clients[role]

    @property
    def admin(self) -> httpx.AsyncClient:
        return self.as_role(Role.ADMIN)

    async def publish(self, text: str = TWO) -> None:
        answer = await self.admin.post("/process-types", content=text, headers=YAML)
        assert answer.status_code == 200, answer.text

    async def start(self, type: str = "two", **more: Any) -> dict[str, Any]:
        answer = await self.admin.post("/runs", json={"type": type, **more})
        assert answer.status_code == 201, answer.text
        run: dict[str, Any] = answer.json()
        return run


async def becomes(condition: Callable[[], Awaitable[object]], *, within: float = 30.0) -> None:
    """Waits until it holds; a test that waits in vain fails here."""
    async with asyncio.timeout(patience(within)):
        while True:
            if await condition():
                return
            await asyncio.sleep(0.01)


YAML = {"Content-Type": "application/yaml"}


@asynccontextmanager
async def serving(dsn: str, settings: ServerSettings | None = None) -> AsyncIterator[Api]:
    """No workstation comes and no worker: `gateways`, `remote_workers` have servers for them."""
    app = create_app(dsn, settings or ServerSettings(), is_visited=False)
    async with app.router.lifespan_context(app):
        api = Api(app, dsn, await tokens_of(dsn))
        try:
            yield api
        finally:
            for client in api.clients.values():
                await client.aclose()


async def tokens_of(dsn: str) -> dict[Role, str]:
    async with await connections.connect(dsn, name="test") as conn:
        return {role: await create_token(conn, f"the {role}", role) for role in Role}
