"""Routes at the addresses where the application answers to them.

FastAPI works a router's routes out once for the router and anew for who includes it: half a second
for all of ours, in which nobody is answered, and each request goes by them twice. Where nothing
but the beginning of an address is added, that is a copy.
"""

from collections.abc import Iterable
from copy import copy
from typing import Any

from fastapi.routing import APIRoute
from starlette.routing import BaseRoute, Route, WebSocketRoute, compile_path


def placed(routes: Iterable[BaseRoute], prefix: str, **more: Any) -> list[BaseRoute]:
    """The same routes below `prefix`; what is in `more` is so for all of them."""
    return [place(route, prefix, more) for route in routes]


def place(route: BaseRoute, prefix: str, more: dict[str, Any]) -> BaseRoute:
    assert isinstance(route, Route | WebSocketRoute), route
    there = copy(route)
    there.path = prefix + route.path
    there.path_regex, there.path_format, there.param_convertors = compile_path(there.path)
    if isinstance(there, APIRoute):
        name_operation(there)
    for name, value in more.items():
        setattr(there, name, value)
    return there


def name_operation(route: APIRoute) -> None:
    """After its function: short, and the same for as long as that."""
    route.unique_id = route.name
    if route.response_field:
        route.response_field = copy(route.response_field)
        route.response_field.name = f"Response_{route.unique_id}"
