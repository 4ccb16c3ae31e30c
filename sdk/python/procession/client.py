"""Clients of the whole API: one that blocks, one that awaits, and the same questions for both."""

import asyncio
import functools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Concatenate, ParamSpec, Self, TypeVar

import httpx

from procession.api import (
    calls,
    chains,
    definitions,
    flows,
    happenings,
    operations,
    plans,
    problems,
    records,
    runs,
    schedules,
)
from procession.api.asking import Asking, Following, answer_of, may_pass
from procession.api.plans import Answer, Json, Plan, Request
from procession.api.runs import Run, id_of
from procession.api.streams import Printed, Told

P = ParamSpec("P")
T = TypeVar("T")


def now(plan: Callable[P, Plan[T]]) -> Callable[Concatenate["Client", P], T]:
    """A method that blocks."""

    @functools.wraps(plan)
    def method(self: "Client", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.carry_out(plan(*args, **kwargs))

    return method


def awaited(plan: Callable[P, Plan[T]]) -> Callable[Concatenate["AsyncClient", P], Awaitable[T]]:
    """The same, to be awaited."""

    @functools.wraps(plan)
    async def method(self: "AsyncClient", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.carry_out(plan(*args, **kwargs))

    return method


def path_of_history(run: Run | str) -> str:
    return plans.at("runs", id_of(run), "events")


def path_of_output(run: Run | str, task: str, attempt: int) -> str:
    return plans.at("runs", id_of(run), "tasks", task, "attempts", attempt, "output", "events")


class Client:
    """Asks, and waits for the answer. `with Client() as client:` closes its connections.

    `url` and `token` come from PROCESSION_URL and PROCESSION_TOKEN where they are not given. May be
    used by several threads.
    """

    def __init__(self, url: str | None = None, token: str | Path | None = None) -> None:
        self._asking = Asking(url, token)
        self._http = httpx.Client(**self._asking.options())

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def carry_out(self, plan: Plan[T]) -> T:
        """Any plan of `procession.api`."""
        try:
            request = next(plan)
            while True:
                request = plan.send(self._ask(request))
        except StopIteration as over:
            result: T = over.value
            return result

    def _ask(self, request: Request) -> Answer:
        for pause in self._asking.pauses(request):
            try:
                return self._ask_once(request)
            except problems.ProcessionError as error:
                if not may_pass(error):
                    raise
            time.sleep(pause)
        return self._ask_once(request)

    def _ask_once(self, request: Request) -> Answer:
        try:
            return answer_of(self._http.request(**self._asking.arguments(request)))
        except httpx.HTTPError as error:
            raise self._asking.unreachable(error) from error

    def follow(self, run: Run | str) -> Iterator[Json]:
        """What happens to a run, as it happens, until it has ended."""
        for told in self._follow(path_of_history(run)):
            yield told.json()

    def logs(self, run: Run | str, task: str, attempt: int | None = None) -> Iterator[str]:
        """What a task prints, as it does: in this attempt, or in one after another."""
        number = attempt or self.carry_out(runs.next_attempt(run, task, 0))
        while number:
            printed = Printed()
            told = self._follow(path_of_output(run, task, number))
            yield from filter(None, map(printed.read, told))
            number = 0 if attempt else self.carry_out(runs.next_attempt(run, task, number))

    def _follow(self, path: str) -> Iterator[Told]:
        following = Following(self._asking, path)
        while not following.is_over:
            try:
                with self._http.stream(**following.arguments()) as found:
                    if found.is_error:
                        found.read()
                    following.opened(found)
                    for piece in found.iter_bytes():
                        yield from following.feed(piece)
            except (httpx.HTTPError, problems.Refused) as error:
                time.sleep(following.pause(error))

    define = now(definitions.define)
    validate = now(definitions.validate)
    get_type = now(definitions.get_type)
    list_types = now(definitions.list_types)
    retire = now(definitions.retire)
    reinstate = now(definitions.reinstate)
    start = now(runs.start)
    get_run = now(runs.get_run)
    status = now(runs.status)
    wait = now(runs.wait)
    output = now(runs.output)
    list_runs = now(runs.list_runs)
    hold = now(runs.hold)
    resume = now(runs.resume)
    stop = now(runs.stop)
    undo = now(runs.undo)
    retry = now(runs.retry)
    command = now(runs.command)
    change = now(runs.change)
    why = now(runs.why)
    list_history = now(runs.list_history)
    list_children = now(runs.list_children)
    list_tasks = now(runs.list_tasks)
    get_task = now(runs.get_task)
    list_attempts = now(runs.list_attempts)
    skip_task = now(runs.skip_task)
    complete_task = now(runs.complete_task)
    send_event = now(happenings.send_event)
    send_events = now(happenings.send_events)
    list_events = now(happenings.list_events)
    create_schedule = now(schedules.create_schedule)
    list_schedules = now(schedules.list_schedules)
    get_schedule = now(schedules.get_schedule)
    replace_schedule = now(schedules.replace_schedule)
    delete_schedule = now(schedules.delete_schedule)
    pause_schedule = now(schedules.pause_schedule)
    resume_schedule = now(schedules.resume_schedule)
    trigger_schedule = now(schedules.trigger_schedule)
    list_firings = now(schedules.list_firings)
    create_record = now(records.create_record)
    get_record = now(records.get_record)
    list_records = now(records.list_records)
    start_record = now(records.start_record)
    delete_record = now(records.delete_record)
    list_dead_letters = now(operations.list_dead_letters)
    redrive = now(operations.redrive)
    discard = now(operations.discard)
    list_approvals = now(operations.list_approvals)
    approve = now(operations.approve)
    reject = now(operations.reject)
    list_workers = now(operations.list_workers)
    list_queues = now(operations.list_queues)
    pause_queue = now(operations.pause_queue)
    resume_queue = now(operations.resume_queue)
    set_queue_size = now(operations.set_queue_size)
    send_message = now(flows.send_message)
    list_messages = now(flows.list_messages)
    get_values = now(flows.get_values)
    list_values = now(flows.list_values)
    list_streams = now(flows.list_streams)
    read_stream = now(flows.read_stream)
    list_workflows = now(flows.list_workflows)
    fork = now(flows.fork)
    define_workflow = now(chains.define_workflow)
    trigger_workflow = now(chains.trigger_workflow)
    get_run_status = now(chains.get_run_status)
    call = now(calls.call)
    list_all = now(calls.list_all)


class AsyncClient:
    """The same to be awaited: `async with AsyncClient() as client:`."""

    def __init__(self, url: str | None = None, token: str | Path | None = None) -> None:
        self._asking = Asking(url, token)
        self._http = httpx.AsyncClient(**self._asking.options())

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def carry_out(self, plan: Plan[T]) -> T:
        """Any plan of `procession.api`."""
        try:
            request = next(plan)
            while True:
                request = plan.send(await self._ask(request))
        except StopIteration as over:
            result: T = over.value
            return result

    async def _ask(self, request: Request) -> Answer:
        for pause in self._asking.pauses(request):
            try:
                return await self._ask_once(request)
            except problems.ProcessionError as error:
                if not may_pass(error):
                    raise
            await asyncio.sleep(pause)
        return await self._ask_once(request)

    async def _ask_once(self, request: Request) -> Answer:
        try:
            return answer_of(await self._http.request(**self._asking.arguments(request)))
        except httpx.HTTPError as error:
            raise self._asking.unreachable(error) from error

    async def follow(self, run: Run | str) -> AsyncIterator[Json]:
        """What happens to a run, as it happens, until it has ended."""
        async for told in self._follow(path_of_history(run)):
            yield told.json()

    async def logs(
        self, run: Run | str, task: str, attempt: int | None = None
    ) -> AsyncIterator[str]:
        """What a task prints, as it does: in this attempt, or in one after another."""
        number = attempt or await self.carry_out(runs.next_attempt(run, task, 0))
        while number:
            printed = Printed()
            async for told in self._follow(path_of_output(run, task, number)):
                if text := printed.read(told):
                    yield text
            number = 0 if attempt else await self.carry_out(runs.next_attempt(run, task, number))

    async def _follow(self, path: str) -> AsyncIterator[Told]:
        following = Following(self._asking, path)
        while not following.is_over:
            try:
                async with self._http.stream(**following.arguments()) as found:
                    if found.is_error:
                        await found.aread()
                    following.opened(found)
                    async for piece in found.aiter_bytes():
                        for told in following.feed(piece):
                            yield told
            except (httpx.HTTPError, problems.Refused) as error:
                await asyncio.sleep(following.pause(error))

    define = awaited(definitions.define)
    validate = awaited(definitions.validate)
    get_type = awaited(definitions.get_type)
    list_types = awaited(definitions.list_types)
    retire = awaited(definitions.retire)
    reinstate = awaited(definitions.reinstate)
    start = awaited(runs.start)
    get_run = awaited(runs.get_run)
    status = awaited(runs.status)
    wait = awaited(runs.wait)
    output = awaited(runs.output)
    list_runs = awaited(runs.list_runs)
    hold = awaited(runs.hold)
    resume = awaited(runs.resume)
    stop = awaited(runs.stop)
    undo = awaited(runs.undo)
    retry = awaited(runs.retry)
    command = awaited(runs.command)
    change = awaited(runs.change)
    why = awaited(runs.why)
    list_history = awaited(runs.list_history)
    list_children = awaited(runs.list_children)
    list_tasks = awaited(runs.list_tasks)
    get_task = awaited(runs.get_task)
    list_attempts = awaited(runs.list_attempts)
    skip_task = awaited(runs.skip_task)
    complete_task = awaited(runs.complete_task)
    send_event = awaited(happenings.send_event)
    send_events = awaited(happenings.send_events)
    list_events = awaited(happenings.list_events)
    create_schedule = awaited(schedules.create_schedule)
    list_schedules = awaited(schedules.list_schedules)
    get_schedule = awaited(schedules.get_schedule)
    replace_schedule = awaited(schedules.replace_schedule)
    delete_schedule = awaited(schedules.delete_schedule)
    pause_schedule = awaited(schedules.pause_schedule)
    resume_schedule = awaited(schedules.resume_schedule)
    trigger_schedule = awaited(schedules.trigger_schedule)
    list_firings = awaited(schedules.list_firings)
    create_record = awaited(records.create_record)
    get_record = awaited(records.get_record)
    list_records = awaited(records.list_records)
    start_record = awaited(records.start_record)
    delete_record = awaited(records.delete_record)
    list_dead_letters = awaited(operations.list_dead_letters)
    redrive = awaited(operations.redrive)
    discard = awaited(operations.discard)
    list_approvals = awaited(operations.list_approvals)
    approve = awaited(operations.approve)
    reject = awaited(operations.reject)
    list_workers = awaited(operations.list_workers)
    list_queues = awaited(operations.list_queues)
    pause_queue = awaited(operations.pause_queue)
    resume_queue = awaited(operations.resume_queue)
    set_queue_size = awaited(operations.set_queue_size)
    send_message = awaited(flows.send_message)
    list_messages = awaited(flows.list_messages)
    get_values = awaited(flows.get_values)
    list_values = awaited(flows.list_values)
    list_streams = awaited(flows.list_streams)
    read_stream = awaited(flows.read_stream)
    list_workflows = awaited(flows.list_workflows)
    fork = awaited(flows.fork)
    define_workflow = awaited(chains.define_workflow)
    trigger_workflow = awaited(chains.trigger_workflow)
    get_run_status = awaited(chains.get_run_status)
    call = awaited(calls.call)
    list_all = awaited(calls.list_all)
