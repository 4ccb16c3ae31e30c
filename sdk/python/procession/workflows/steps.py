"""`@step`: a function whose result is kept, so that it is not computed again."""

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from functools import update_wrapper
from typing import (
    Any,
    Concatenate,
    Generic,
    ParamSpec,
    Protocol,
    TypeVar,
    cast,
    get_type_hints,
    overload,
)

from procession.workflows.calls import Work
from procession.workflows.errors import NotJson, Permanent
from procession.workflows.here import program_here
from procession.workflows.values import Decoder, decoder, encode

P = ParamSpec("P")
R = TypeVar("R")
RetryOn = tuple[type[BaseException], ...] | Callable[[BaseException], bool]
Connect = Callable[[], AbstractAsyncContextManager[Any]]
LONGEST_SHOWN = 2_000


@dataclass(frozen=True, slots=True)
class Tries:
    """How often a step is tried: once, and `retries` times more."""

    retries: int = 0
    delay: float = 1.0
    backoff: float = 2.0
    longest: float = 60.0
    timeout: float | None = None
    retry_on: RetryOn = (Exception,)

    def delay_after(self, tries: int, error: BaseException) -> float | None:
        """Seconds until the next try; None if there is none."""
        if tries > self.retries or not self._may_help(error):
            return None
        return min(self.delay * self.backoff ** (tries - 1), self.longest)

    def _may_help(self, error: BaseException) -> bool:
        if isinstance(error, (Permanent, NotJson)):
            return False
        if isinstance(self.retry_on, tuple):
            return isinstance(error, self.retry_on)
        return self.retry_on(error)


class Step(Generic[P, R]):
    """Called in a workflow it is a call that is kept; elsewhere it is just the function."""

    def __init__(
        self, function: Callable[..., Any], name: str, tries: Tries, connect: Connect | None
    ) -> None:
        update_wrapper(self, function)
        self.function = function
        self.name = name
        self.tries = tries
        self.connect = connect
        self.is_async = inspect.iscoroutinefunction(function)
        self._signature = inspect.signature(function)
        self._decoder: Decoder | None = None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        return self._call(args, kwargs)

    async def _call(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> R:
        program = program_here()
        if program is None:
            return cast("R", await self.directly(args, kwargs))
        work = Work(self, args, kwargs, self._shown(args, kwargs))
        return cast("R", self._read(await program.step(self.name, work)))

    async def directly(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        if self.connect is None:
            found = self.function(*args, **kwargs)
            return await found if inspect.isawaitable(found) else found
        async with self.connect() as connection, connection.transaction():
            return await self.function(connection, *args, **kwargs)

    def _read(self, output: Any) -> Any:
        if self._decoder is None:
            self._decoder = decoder(hints(self.function).get("return", Any))
        return self._decoder(output)

    def _shown(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Its input, for whoever looks at the run. Nothing depends on it."""
        try:
            before = () if self.connect is None else (None,)
            bound = self._signature.bind(*before, *args, **kwargs).arguments
            told = dict(list(bound.items())[len(before) :])
            return {name: shown(value) for name, value in told.items()}
        except TypeError:
            return None


def shown(value: Any) -> Any:
    try:
        return encode(value)
    except (NotJson, RecursionError):
        return repr(value)[:LONGEST_SHOWN]


def hints(function: Callable[..., Any]) -> dict[str, Any]:
    """The annotations of a function; none where a name in them cannot be found."""
    try:
        return get_type_hints(function, include_extras=True)
    except (NameError, TypeError, AttributeError):
        return {}


def seconds(length: float | timedelta | None) -> float | None:
    return length.total_seconds() if isinstance(length, timedelta) else length


@overload
def step(function: Callable[P, Awaitable[R]], /) -> Step[P, R]: ...
@overload
def step(function: Callable[P, R], /) -> Step[P, R]: ...
@overload
def step(
    *,
    name: str | None = None,
    retries: int = 0,
    delay: float | timedelta = 1.0,
    backoff: float = 2.0,
    longest: float | timedelta = 60.0,
    timeout: float | timedelta | None = None,
    retry_on: RetryOn = (Exception,),
) -> "Decorator": ...
@overload
def step(
    *,
    transaction: Connect,
    name: str | None = None,
    retries: int = 0,
    delay: float | timedelta = 1.0,
    backoff: float = 2.0,
    longest: float | timedelta = 60.0,
    timeout: float | timedelta | None = None,
    retry_on: RetryOn = (Exception,),
) -> "InTransaction": ...


def step(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    retries: int = 0,
    delay: float | timedelta = 1.0,
    backoff: float = 2.0,
    longest: float | timedelta = 60.0,
    timeout: float | timedelta | None = None,
    retry_on: RetryOn = (Exception,),
    transaction: Connect | None = None,
) -> Any:
    """Keep what the function gives, and do not do it again.

    It is tried `retries` times more after an error of `retry_on`: after `delay` seconds, then
    `backoff` times as many, at most `longest`. A try takes at most `timeout` seconds.

    `transaction` is a function that gives a connection to the server's own database. The step gets
    that connection as its first argument, and its effects are committed together with the record of
    its result: both, or neither.
    """
    tries = Tries(
        retries, seconds(delay) or 0.0, backoff, seconds(longest) or 0.0, seconds(timeout), retry_on
    )

    def decorate(function: Callable[..., Any]) -> Step[Any, Any]:
        return Step(function, name or function.__name__, tries, transaction)

    return decorate if function is None else decorate(function)


class Decorator:
    """Only a type: what `step(…)` with options gives."""

    @overload
    def __call__(self, function: Callable[P, Awaitable[R]], /) -> Step[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Step[P, R]: ...
    def __call__(self, function: Any, /) -> Any: ...


class InTransaction(Protocol):
    """Only a type: what `step(transaction=…)` gives. The connection is no argument of the step."""

    def __call__(self, function: Callable[Concatenate[Any, P], Awaitable[R]], /) -> Step[P, R]: ...
