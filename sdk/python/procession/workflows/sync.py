"""Workflows that are plain functions, in threads.

A thread runs only while the workflow's loop waits for it. So there is one thing going on at a time,
as in a coroutine, and `wait(…)` stands where `await …` would.
"""

import threading
from asyncio import events
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, TypeVar

from procession.workflows.errors import Forgotten, Outside
from procession.workflows.loop import FlowLoop, current

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Wanted:
    """The function waits for this."""

    what: Awaitable[Any]


@dataclass(frozen=True, slots=True)
class Over:
    """The function has come to its end, or its coroutine goes on: a value, or an error."""

    value: Any = None
    error: BaseException | None = None

    def get(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.value


class Baton:
    def __init__(self, loop: FlowLoop, function: Callable[[], Any]) -> None:
        self.loop, self.function = loop, function
        self.is_closed = False
        self.to_thread: SimpleQueue[Over] = SimpleQueue()
        self.to_loop: SimpleQueue[Wanted | Over] = SimpleQueue()
        self.thread = threading.Thread(target=self.run, name="workflow", daemon=True)

    # In the loop

    def begin(self) -> Wanted | Over:
        self.thread.start()
        return self.to_loop.get()

    def go_on(self, over: Over) -> Wanted | Over:
        self.to_thread.put(over)
        return self.to_loop.get()

    def close(self) -> None:
        self.is_closed = True
        self.to_thread.put(Over(error=Forgotten()))
        self.thread.join()

    # In the thread

    def run(self) -> None:
        events._set_running_loop(self.loop)
        BATONS.baton = self
        try:
            over = Over(self.function())
        except BaseException as error:
            over = Over(error=error)
        self.to_loop.put(over)

    def wait(self, what: Awaitable[T]) -> T:
        if self.is_closed:
            raise Forgotten
        self.to_loop.put(Wanted(what))
        value: T = self.to_thread.get().get()
        return value


class Batons(threading.local):
    baton: Baton | None = None


BATONS = Batons()


def wait(what: Awaitable[T]) -> T:
    """`await what`, in a workflow that is a plain function."""
    if BATONS.baton is None:
        raise Outside("wait()")
    return BATONS.baton.wait(what)


async def in_thread(function: Callable[[], Any]) -> Any:
    loop = current()
    assert loop is not None, "only a workflow's loop runs this"
    baton = Baton(loop, function)
    said = baton.begin()
    while isinstance(said, Wanted):
        said = baton.go_on(await answer(said.what, baton))
    return said.get()


async def answer(what: Awaitable[Any], baton: Baton) -> Over:
    try:
        return Over(await what)
    except GeneratorExit:
        baton.close()
        raise
    except BaseException as error:
        return Over(error=error)
