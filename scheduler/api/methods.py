"""HTTP methods that no handler of ours has to think of: HEAD, OPTIONS, and what a 405 says."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import cast

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send


@dataclass(frozen=True, slots=True)
class Address:
    """A path that this server knows, with one of its methods or several."""

    path: str
    pattern: re.Pattern[str]
    methods: frozenset[str]


def addresses(routes: Iterable[BaseRoute]) -> Iterator[Address]:
    for route in routes:
        if isinstance(route, APIRoute):
            yield Address(route.path_format, route.path_regex, frozenset(route.methods or ()))


def allowed(app: FastAPI, scope: Scope) -> set[str]:
    """The methods that the address of this request knows.

    An address that is spelled out is meant before one with a parameter in its place.
    """
    known = cast("list[Address]", app.state.addresses)
    fitting = [each for each in known if each.pattern.match(scope["path"])]
    path = min((each.path for each in fitting), key=parameters, default="")
    found = {method for each in fitting if each.path == path for method in each.methods}
    return found | {"OPTIONS"} | ({"HEAD"} if "GET" in found else set())


def parameters(path: str) -> int:
    return path.count("{")


class Head:
    """HEAD is answered as GET would be, without the body."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
            elif not message.get("more_body", False):
                await send({"type": "http.response.body", "body": b""})

        asked = {**scope, "method": "GET", "procession.head": True}
        await self.app(asked, receive, send_head)


def is_head(scope: Scope) -> bool:
    """Whether nobody waits for a body: what would stream for long ends at once."""
    return bool(scope.get("procession.head"))
