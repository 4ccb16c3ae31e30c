"""Handlers and how each is called: with the payload, and with the context if it asks for it."""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from procession.context import Context

Handler = (
    Callable[[Any], Any]
    | Callable[[Any, Context], Any]
    | Callable[[Any], Awaitable[Any]]
    | Callable[[Any, Context], Awaitable[Any]]
)


PLACED = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True, slots=True)
class Served:
    function: Callable[..., Any]
    takes_context: bool
    is_async: bool

    def call(self, payload: Any, context: Context) -> Any:
        """A result, or something to await."""
        return self.function(payload, context) if self.takes_context else self.function(payload)


def served(handler: Handler) -> Served:
    return Served(handler, takes_context(handler), is_async(handler))


def is_async(handler: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(
        getattr(handler, "__call__", None)  # noqa: B004 - of an object that is a handler
    )


def takes_context(handler: Callable[..., Any]) -> bool:
    """Whether it has to be called with two values, or with a second one called `context`."""
    try:
        known = inspect.signature(handler).parameters.values()
    except (TypeError, ValueError):
        return False  # of C, which says nothing of itself
    placed = [
        each for each in known if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
    ]
    rest = any(each.kind is each.VAR_POSITIONAL for each in known)
    if not placed and not rest:
        raise TypeError(f"{name_of(handler)} takes no payload: a handler is called with it")
    if len(placed) > 2 and placed[2].default is placed[2].empty:
        raise TypeError(f"{name_of(handler)} wants more than a payload and a context")
    return len(placed) > 1 and (placed[1].default is placed[1].empty or placed[1].name == "context")


def name_of(handler: Callable[..., Any]) -> str:
    return getattr(handler, "__qualname__", type(handler).__name__)
