"""An event loop that does the same thing every time.

It runs until nothing is left to do, in the order in which things became ready, and knows no clock,
no sockets and no threads. Timers are durable: the server is asked to ring. Tasks and futures are
numbered, and hashed by their number, so that even sets of them are gone through in the same order.
"""

import asyncio
import contextvars
import itertools
import logging
import sys
from asyncio import events, tasks
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, Protocol, cast

from procession.workflows.errors import Forgotten, NotDeterministic

log = logging.getLogger(__name__)


class Timers(Protocol):
    def timer(
        self, seconds: float, ring: Callable[[], None], sleeper: asyncio.Future[Any] | None
    ) -> Callable[[], None]:
        """Ring after so many seconds; what comes back gives the timer up."""


class Numbered(asyncio.Future[Any]):
    def __init__(self, loop: "FlowLoop") -> None:
        self.number = next(loop.numbers)
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self.number


class NumberedTask(asyncio.Task[Any]):
    # Tasks are put into sets by their own constructor, so they have their number before it.
    def __init__(self, coro: Any, loop: "FlowLoop", **more: Any) -> None:
        self.number = next(loop.numbers)
        more["name"] = more.get("name") or f"task-{self.number}"
        super().__init__(coro, loop=loop, **more)

    def __hash__(self) -> int:
        return self.number


class FlowLoop(asyncio.AbstractEventLoop):
    def __init__(self, timers: Timers) -> None:
        self.numbers = itertools.count(1)
        self.timers = timers
        self._ready: deque[asyncio.Handle] = deque()
        self._tasks: dict[int, NumberedTask] = {}
        self._rings: dict[int, Callable[[], None]] = {}
        self._time = 0.0
        self._closed = False
        self.halted = False

    def run_until_quiet(self) -> None:
        with running(self):
            while self._ready and not (self._closed or self.halted):
                handle = self._ready.popleft()
                if not handle.cancelled():
                    handle._run()

    def forget(self) -> None:
        """Close what is under way, innermost first; nothing of it can call anything any more."""
        self._closed = True
        with running(self):
            for task in reversed(self._tasks.values()):
                close(task)
        self._tasks.clear()
        self._ready.clear()
        self._rings.clear()

    # What asyncio's own tasks, futures, gather, timeout and TaskGroup ask of a loop.

    def time(self) -> float:
        return self._time

    def is_running(self) -> bool:
        return not self._closed

    def is_closed(self) -> bool:
        return self._closed

    def get_debug(self) -> bool:
        return False

    def call_soon(  # type: ignore[override]
        self, callback: Any, *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Any, *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._time + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Any, *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        sleeper = next((arg for arg in args if isinstance(arg, asyncio.Future)), None)
        seconds = max(0.0, when - self._time)
        give_up = self.timers.timer(seconds, lambda: self._ring(handle), sleeper)
        self._rings[id(handle)] = give_up
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        return Numbered(self)

    def create_task(self, coro: Any, **more: Any) -> asyncio.Task[Any]:
        task = NumberedTask(coro, self, **more)
        self._tasks[task.number] = task
        task.add_done_callback(self._done)
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self._closed:
            log.warning("%s", context.get("message"), exc_info=context.get("exception"))

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        self.call_exception_handler(context)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        if give_up := self._rings.pop(id(handle), None):
            give_up()

    def _ring(self, handle: asyncio.TimerHandle) -> None:
        # Time goes on by what was slept: the same when it is replayed, whatever clocks say.
        self._time = max(self._time, handle.when())
        if self._rings.pop(id(handle), None):
            self._ready.append(handle)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(hash(task), None)


def refused(name: str) -> Any:
    def refuse(self: FlowLoop, *args: Any, **kwargs: Any) -> NoReturn:
        raise NotDeterministic(f"loop.{name}")

    return refuse


# Everything of a loop that reaches out of the program.
for _name in [
    "run_in_executor",
    "getaddrinfo",
    "getnameinfo",
    "create_connection",
    "create_server",
    "sendfile",
    "start_tls",
    "create_unix_connection",
    "create_unix_server",
    "connect_accepted_socket",
    "create_datagram_endpoint",
    "connect_read_pipe",
    "connect_write_pipe",
    "subprocess_shell",
    "subprocess_exec",
    "add_reader",
    "remove_reader",
    "add_writer",
    "remove_writer",
    "sock_recv",
    "sock_recv_into",
    "sock_recvfrom",
    "sock_recvfrom_into",
    "sock_sendall",
    "sock_sendto",
    "sock_connect",
    "sock_accept",
    "sock_sendfile",
    "add_signal_handler",
    "remove_signal_handler",
    "call_soon_threadsafe",
    "set_default_executor",
    "run_forever",
    "run_until_complete",
]:
    setattr(FlowLoop, _name, refused(_name))
cast("Any", FlowLoop).__abstractmethods__ = frozenset()


@contextmanager
def running(loop: FlowLoop) -> Iterator[None]:
    """Be the running loop of this thread for a moment, whatever loop it belongs to otherwise."""
    outer, generators = events._get_running_loop(), sys.get_asyncgen_hooks()
    task = swap_task(outer, None)
    sys.set_asyncgen_hooks(None, None)
    events._set_running_loop(loop)
    try:
        yield
    finally:
        events._set_running_loop(outer)
        sys.set_asyncgen_hooks(*generators)
        swap_task(outer, task)


def swap_task(loop: asyncio.AbstractEventLoop | None, task: Any) -> Any:
    # Before 3.12 there is one current task for each loop, so none is in the way.
    if loop is None or sys.version_info < (3, 12):
        return None
    return cast("Any", tasks)._swap_current_task(loop, task)


def close(task: asyncio.Task[Any]) -> None:
    cast("Any", task)._log_destroy_pending = False
    coroutine = task.get_coro()
    try:
        if coroutine is not None:
            coroutine.close()
    except (Forgotten, RuntimeError):
        log.debug("a workflow's code held on while it was put away", exc_info=True)
    except Exception:
        log.warning("a workflow's code failed while it was put away", exc_info=True)


def current() -> FlowLoop | None:
    loop = events._get_running_loop()
    return loop if isinstance(loop, FlowLoop) else None
