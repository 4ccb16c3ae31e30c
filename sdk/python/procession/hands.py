"""Carries out what is offered: handlers that are `async` in the event loop, others in threads.

Whatever a handler does, one end comes of it: a result, a failure, or that it was stopped. What
comes from threads is handed to the loop in bundles.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from procession.context import Cancelled, Context
from procession.handling import Served
from procession.messages import Ended, Log, Offer, Progress
from procession.telling import lost, raised, stopped, succeeded, timed_out
from procession.threads import Threads

log = logging.getLogger(__name__)

GRACE = 10.0  # seconds that a handler has after its timeout to clean up
LEAVING = "the worker is about to leave"
Stop = Literal["", "stopped", "timed out", "given up", "leaving"]


@dataclass(eq=False, slots=True)
class Job:
    offer: Offer
    served: Served
    context: Context
    turn: threading.Lock = field(
        default_factory=threading.Lock
    )  # who has it begins or withdraws it
    stop: Stop = ""
    is_over: bool = False
    task: asyncio.Task[None] | None = None
    clock: asyncio.TimerHandle | None = None  # until its timeout
    left: float | None = None  # seconds of it, while it is held
    timers: list[asyncio.TimerHandle] = field(default_factory=list)

    @property
    def attempt(self) -> str:
        return self.offer.attempt


class Hands:
    """Called in the loop only. `said` gets logs and progress, `ended` each end."""

    def __init__(
        self,
        name: str,
        slots: int,
        said: Callable[[Log | Progress], None],
        ended: Callable[[Ended], None],
        settled: Callable[[], None],
    ) -> None:
        self.name = name
        self.said, self.ended, self.settled = said, ended, settled
        self.loop = asyncio.get_running_loop()
        self.jobs: dict[str, Job] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        self.threads = Threads(slots)
        self.arrived: deque[Context | tuple[Job, Ended | None]] = deque()
        self.is_called = False

    def begin(self, offer: Offer, served: Served) -> None:
        job = Job(offer, served, Context(offer, self.name, self.arrive))
        self.jobs[offer.attempt] = job
        if offer.timeout is not None:
            self.wind(job, offer.timeout)
        if served.is_async:
            job.turn.acquire()
            job.task = self.loop.create_task(self.attend(job), name=offer.attempt)
            self.tasks.add(job.task)
            job.task.add_done_callback(self.tasks.discard)
            job.task.add_done_callback(lambda task: self.missed(job, task))
        else:
            self.threads.give(lambda: self.carry_out(job))

    # In the loop

    async def attend(self, job: Job) -> None:
        end: Ended | None
        try:
            end = succeeded(job.attempt, await job.served.call(job.offer.payload, job.context))
        except asyncio.CancelledError as error:
            end = self.interrupted(job, error)
        except Exception as error:
            end = self.after(job, error)
        self.arrive((job, end))

    def missed(self, job: Job, task: asyncio.Task[None]) -> None:
        """Of what is cancelled before its first step nothing runs, `attend` neither."""
        if task.cancelled() and not job.is_over:
            self.arrive((job, self.interrupted(job, Cancelled(job.context.reason))))

    # In a thread

    def carry_out(self, job: Job) -> None:
        """Unless it was withdrawn before anything of it had begun."""
        is_ours = job.turn.acquire(blocking=False)
        self.arrive((job, self.result(job) if is_ours else None))

    def result(self, job: Job) -> Ended | None:
        try:
            return succeeded(job.attempt, job.served.call(job.offer.payload, job.context))
        except BaseException as error:  # also SystemExit: it ends the handler, and not the worker
            return self.after(job, error)

    # In any

    def after(self, job: Job, error: BaseException) -> Ended | None:
        return (
            self.interrupted(job, error)
            if isinstance(error, Cancelled)
            else raised(job.attempt, error)
        )

    def interrupted(self, job: Job, error: BaseException) -> Ended | None:
        """None: it is not ours any more, and nothing is said of it."""
        if job.stop == "given up":
            return None
        if job.stop == "timed out":
            return timed_out(job.attempt, job.offer.timeout or 0)
        if job.stop in ("stopped", "leaving"):
            return stopped(job.attempt, job.context.reason)
        return raised(job.attempt, error)  # nobody wanted it to

    def arrive(self, what: Context | tuple[Job, Ended | None]) -> None:
        """The loop is called once for all that arrives until it looks."""
        self.arrived.append(what)
        if not self.is_called:
            self.is_called = True
            with suppress(RuntimeError):  # the loop is closed: the worker has left
                self.loop.call_soon_threadsafe(self.collect)

    # In the loop again

    def collect(self) -> None:
        self.is_called = False
        while self.arrived:
            match self.arrived.popleft():
                case Context() as context:
                    self.tell(context)
                case job, end:
                    self.settle(job, end)
        self.settled()

    def tell(self, context: Context) -> None:
        for each in context.take():
            self.said(each)

    def settle(self, job: Job, end: Ended | None) -> None:
        if job.task is None:
            self.threads.returned() if job.is_over else self.threads.over()
        if not job.is_over:
            self.close(job, end)

    def close(self, job: Job, end: Ended | None) -> None:
        self.tell(job.context)
        self.put_down(job)
        if end is None:
            return
        if end.error is not None:
            log.warning("%s %s: %s", job.offer.action, end.ending, end.error.message)
        self.ended(end)

    def put_down(self, job: Job) -> None:
        job.is_over = True
        self.jobs.pop(job.attempt, None)
        for each in (*job.timers, *([job.clock] if job.clock else ())):
            each.cancel()

    # What is wanted of a job

    def order(self, attempt: str, verb: str, reason: str) -> None:
        job = self.jobs.get(attempt)
        if job is None:
            return
        match verb:
            case "hold":
                self.hold(job)
            case "resume":
                self.resume(job)
            case _:
                self.stop(job, "stopped", reason)
        grace = 0.0 if verb == "kill" else job.offer.grace
        if verb in ("stop", "kill") and grace is not None:
            self.abandon_soon(job, grace)

    def hold(self, job: Job) -> None:
        """Its timeout does not go on meanwhile."""
        job.context.hold(True)
        if job.clock is not None:
            job.left = max(0.0, job.clock.when() - self.loop.time())
            job.clock.cancel()
            job.clock = None

    def resume(self, job: Job) -> None:
        job.context.hold(False)
        if job.left is not None:
            self.wind(job, job.left)
            job.left = None

    def wind(self, job: Job, seconds: float) -> None:
        job.clock = self.loop.call_later(seconds, self.time_out, job)
        job.context.deadline = time.monotonic() + seconds

    def time_out(self, job: Job) -> None:
        self.stop(job, "timed out", f"it has not ended within {job.offer.timeout:g} s")
        self.abandon_soon(job, GRACE)

    def stop(self, job: Job, why: Stop, reason: str) -> None:
        """It may end by itself, and say how."""
        if job.stop:
            return
        job.stop = why
        job.context.cancel(reason)
        if job.task is not None:
            job.task.cancel(reason)

    def abandon_soon(self, job: Job, seconds: float) -> None:
        job.timers.append(self.loop.call_later(seconds, self.abandon, job))

    def abandon(self, job: Job) -> None:
        """It does not end, and is not waited for any longer."""
        if not job.is_over:
            self.release(job)
            self.close(job, self.interrupted(job, Cancelled(job.context.reason)))
            self.settled()

    def forget(self, attempt: str, why: str) -> None:
        """It stops, and nothing is said of it."""
        job = self.jobs.get(attempt)
        if job is not None:
            self.stop(job, "given up", why)
            self.release(job)
            self.put_down(job)

    def release(self, job: Job) -> None:
        """Its place is free, whatever its handler still does."""
        if job.task is None:
            self.threads.replace()

    # At the end

    def withdraw(self) -> list[str]:
        """Those of which nothing has begun, and now nothing will."""
        found = [each for each in self.jobs.values() if each.turn.acquire(blocking=False)]
        for each in found:
            self.release(each)
            self.put_down(each)
        return [each.attempt for each in found]

    def interrupt(self) -> None:
        """The worker leaves: what is in hand is told to stop."""
        for each in list(self.jobs.values()):
            self.stop(each, "leaving", LEAVING)

    def give_up(self) -> None:
        """What does not end may go on until the process does: nobody will know how far it came."""
        for each in list(self.jobs.values()):
            self.release(each)
            self.close(each, lost(each.attempt, LEAVING))

    async def end(self) -> None:
        """Handlers that do not let themselves be cancelled are left behind."""
        self.interrupt()
        self.threads.close()
        for task in self.tasks:
            task.cancel()
        if self.tasks:
            await asyncio.wait(self.tasks, timeout=1)
