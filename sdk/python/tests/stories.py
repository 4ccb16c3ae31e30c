"""Workflows that tests and stored histories share: a change of their code needs `patch`."""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from procession.workflows import (
    Permanent,
    StepFailed,
    Stopped,
    child,
    get_event,
    now,
    patch,
    progress,
    random,
    recv,
    recv_command,
    result,
    send,
    set_event,
    sleep,
    start_child,
    step,
    task,
    this_run,
    this_step,
    uuid4,
    wait,
    wait_for,
    workflow,
    write,
)

CALLED: list[str] = []


class OutOfStock(Exception):
    """An error of the author's, which needs more than a message."""

    def __init__(self, item: str, left: int) -> None:
        super().__init__(f"{item}: {left} left")
        self.item, self.left = item, left


@dataclass(frozen=True)
class Receipt:
    id: UUID
    total: Decimal
    at: datetime
    lines: tuple[str, ...] = ()


@step
async def add(left: int, right: int) -> int:
    CALLED.append(f"add {left} {right}")
    return left + right


@step
def double(value: int) -> int:
    CALLED.append(f"double {value}")
    return 2 * value


@step
def take(item: str) -> int:
    raise OutOfStock(item, 0)


@step
def refuse() -> None:
    raise KeyError("no such thing")


@step(retries=4, delay=2.0, backoff=3.0, longest=10.0, retry_on=(ConnectionError,))
def connect(until: int) -> int:
    tries = this_step().tries
    CALLED.append(f"connect {tries}")
    if tries < until:
        raise ConnectionError(f"try {tries}")
    return tries


@step(retries=5)
def give_up() -> None:
    CALLED.append("give up")
    raise Permanent("no use")


@step
def receipt(total: Decimal) -> Receipt:
    return Receipt(UUID(int=7), total, datetime(2026, 3, 1), ("one", "two"))


@step
def key() -> str:
    return this_step().key


@step
async def undo(what: str) -> str:
    CALLED.append(f"undo {what}")
    return what


@workflow
async def sums(first: int, second: int = 2) -> int:
    """Adds and doubles."""
    return await double(await add(first, second))


@workflow
async def side_by_side(many: int = 4) -> list[int]:
    return list(await asyncio.gather(*(add(at, at) for at in range(many))))


@workflow
async def grouped() -> list[int]:
    found: list[int] = []

    async def chain(begin: int) -> None:
        found.append(await double(await add(begin, 1)))

    async with asyncio.TaskGroup() as group:
        for begin in (10, 20, 30):
            group.create_task(chain(begin))
    return found


@workflow
async def sleeper(days: int = 3) -> float:
    before = now()
    await sleep(timedelta(days=days))
    await asyncio.sleep(60)
    return (now() - before).total_seconds()


@workflow
async def deadline() -> str:
    try:
        async with asyncio.timeout(30):
            return str(await recv("never"))
    except TimeoutError:
        return "late"


@workflow
async def failing(item: str = "bolt") -> str:
    try:
        await take(item)
    except OutOfStock as error:
        return str(error)
    return "in stock"


@workflow
async def broken() -> None:
    await refuse()


@workflow
async def tried(until: int = 3) -> int:
    return await connect(until)


@workflow
async def typed(total: Decimal) -> Receipt:
    found = await receipt(total)
    assert isinstance(found, Receipt)
    return found


@workflow
async def drawn() -> list[str]:
    return [str(uuid4()), f"{random():.6f}", now().isoformat(), str(await add(1, 1))]


@workflow
async def letters() -> list[object]:
    first = await recv("orders")
    second = await recv("orders", timeout=60, default="none")
    third = await recv("orders", timeout=60, default="none")
    return [first, second, third]


@workflow
async def courier(to: str) -> None:
    await send(to, "orders", {"from": this_run()}, key="once")
    await send(to, "orders", {"from": this_run()}, key="once")


@workflow
async def shower() -> str:
    for at in range(3):
        await set_event("state", at)
        await write("lines", f"line {at}")
        progress(at * 50, f"at {at}")
    return "shown"


@workflow
async def looker(run: str) -> object:
    return await get_event(run, "state", timeout=60, default="nothing")


@workflow
async def family() -> list[object]:
    started = await start_child(sums, {"first": 5})
    waited = await child(sums, {"first": 1, "second": 1})
    found: list[object] = [waited, await result(started)]
    try:
        await child(broken)
    except StepFailed as error:
        found.append(error.message)
    return found


@workflow
async def events() -> object:
    paid = await wait_for("order.paid", "17", timeout=timedelta(days=2))
    return paid["data"]


@workflow
async def any_task() -> list[object]:
    answer = await task({"http": {"url": "https://example.org", "method": "POST"}})
    said = await task({"approval": {"message": "Ship it?"}}, timeout=86_400)
    return [answer["status"], said["approved"]]


@workflow
async def careful() -> str:
    try:
        await add(1, 1)
        await sleep(3_600)
        return "slept"
    except Stopped as stopped:
        await undo(stopped.reason)
        await sleep(5)
        raise


@workflow
async def patched() -> list[int]:
    found = [await add(1, 1)]
    if patch("with-two"):
        found.append(await add(2, 2))
    found.append(await add(3, 3))
    return found


@workflow
async def machine() -> list[str]:
    """Answers its operators itself."""
    state, seen = "RUNNING", []
    while state != "STOPPED":
        command = await recv_command(state, timeout=60)
        if command is None:
            seen.append(f"{state} idle")
            continue
        state = {"HOLD": "HELD", "RESUME": "RUNNING", "STOP": "STOPPED"}[command.cmd]
        seen.append(f"{state} {command.reason}")
    return seen


@workflow
def plain(first: int) -> int:
    one = wait(add(first, 1))
    wait(sleep(60))
    return sum(wait(asyncio.gather(double(one), double(one + 1))))


@workflow
async def keys() -> list[str]:
    return [await key(), await key()]
