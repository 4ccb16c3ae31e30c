"""Carries out one step: its tries, its timeout, its transaction."""

import asyncio
import contextvars
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from procession.threads import Threads
from procession.workflows.calls import Begin, Done, Outcome, Told
from procession.workflows.errors import Outside, TimedOut
from procession.workflows.faults import fault_of
from procession.workflows.transactions import in_transaction
from procession.workflows.values import keepable


@dataclass(slots=True)
class ThisStep:
    """The step that is being carried out, as its function sees it."""

    told: Told
    seq: int
    name: str
    tries: int = 0
    cancelled: threading.Event = field(default_factory=threading.Event)

    @property
    def run(self) -> str:
        return self.told.run

    @property
    def key(self) -> str:
        """The same whenever this step of this run is tried: for effects that may happen once."""
        return f"{self.told.key}:{self.seq}"

    @property
    def is_cancelled(self) -> bool:
        """Nobody waits for it any more. What runs in a thread has to look by itself."""
        return self.cancelled.is_set()


STEP: ContextVar[ThisStep | None] = ContextVar("step", default=None)


def this_step() -> ThisStep:
    step = STEP.get()
    if step is None:
        raise Outside("this_step()")
    return step


@dataclass(frozen=True, slots=True)
class Means:
    """What steps are carried out with."""

    now: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    threads: Threads | None = None


async def carry_out(begin: Begin, this: ThisStep, means: Means) -> Done:
    STEP.set(this)
    began = means.now()
    outcome = await tried(begin, this, means)
    return Done(
        begin.seq,
        "step",
        begin.name,
        outcome,
        input=begin.work.input,
        tries=this.tries,
        began=began,
        over=means.now(),
    )


async def tried(begin: Begin, this: ThisStep, means: Means) -> Outcome:
    policy = begin.work.step.tries
    while True:
        this.tries += 1
        try:
            output = await limited(begin, this, means)
            return Outcome(keepable(output, f"the output of {begin.name}"))
        except asyncio.CancelledError as error:
            if is_wanted():
                this.cancelled.set()
                raise
            return Outcome(fault=fault_of(error))
        except Exception as error:
            delay = policy.delay_after(this.tries, error)
            if delay is None:
                return Outcome(fault=fault_of(error))
        await means.sleep(delay)


def is_wanted() -> bool:
    """Whether somebody cancels the step, rather than the step itself."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def limited(begin: Begin, this: ThisStep, means: Means) -> Any:
    timeout = begin.work.step.tries.timeout
    if timeout is None:
        return await once(begin, this, means)
    try:
        async with asyncio.timeout(timeout) as limit:
            return await once(begin, this, means)
    except TimeoutError:
        if limit.expired():
            raise TimedOut(f"{begin.name} took longer than {timeout:g} s") from None
        raise


async def once(begin: Begin, this: ThisStep, means: Means) -> Any:
    work = begin.work
    if work.step.connect is not None:
        return await in_transaction(begin, this.told)
    if work.step.is_async:
        return await work.step.function(*work.args, **work.kwargs)
    function = contextvars.copy_context().run
    return await in_a_thread(means.threads, function, work.step.function, work.args, work.kwargs)


async def in_a_thread(
    threads: Threads | None,
    run: Callable[..., Any],
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> Any:
    """A step that nobody waits for any more goes on in its thread, and another takes its place."""
    if threads is None:
        return await asyncio.to_thread(run, function, *args, **kwargs)
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def arrived(value: Any, error: BaseException | None) -> None:
        if future.cancelled():
            threads.returned()
            return
        threads.over()
        future.set_exception(error) if error is not None else future.set_result(value)

    def work() -> None:
        value, error = attempt(run, function, args, kwargs)
        with suppress(RuntimeError):  # the loop is gone, and so is whoever waited
            loop.call_soon_threadsafe(arrived, value, error)

    threads.give(work)
    try:
        return await future
    except asyncio.CancelledError:
        threads.replace()
        raise


def attempt(
    run: Callable[..., Any],
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> tuple[Any, BaseException | None]:
    try:
        return run(function, *args, **kwargs), None
    except StopIteration as error:  # no future may hold it
        return None, RuntimeError(f"the step raised StopIteration: {error}")
    except BaseException as error:
        return None, error
