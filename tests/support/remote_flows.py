"""A program that carries out workflows as a test says, over the protocol of workers."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from edge.remote.messages import (
    Call,
    CallKind,
    DoneCall,
    Error,
    History,
    KnownCall,
    Offer,
    Park,
    Parked,
    Program,
    Record,
    Recorded,
    Resolved,
)
from tests.support.builders import a_promoter, engine
from tests.support.gateways import Served
from tests.support.remote_workers import Mate, a_token, start
from tests.support.waiting import until


def definition(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "tasks": [{"name": "flow", "workflow": name}], **more}


async def a_program(served: Served, name: str, *, version: str | None = None, **more: Any) -> Mate:
    """Publishes its workflow when it says hello."""
    program = Program(definition(name, **more), version)
    return Mate(served, await a_token(served), [], name=name, workflows=[program])


async def order(mate: Mate, **given: Any) -> str:
    return await start(mate.served, mate.name, input=given)


@asynccontextmanager
async def promoted(served: Served) -> AsyncIterator[None]:
    """With the loop that sees to what is due and to errands."""
    promoter = a_promoter()
    promoter._say = served.office.say

    async def work() -> None:
        async with await engine(served.dsn) as conn:
            while True:
                if not await promoter.tick(conn):
                    await asyncio.sleep(0.02)

    working = asyncio.create_task(work())
    try:
        yield
    finally:
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working


def step(seq: int, output: Any = None, name: str = "step", **more: Any) -> DoneCall:
    return DoneCall(seq, CallKind.STEP, name, True, output, **more)


def failed(seq: int, kind: str, message: str) -> DoneCall:
    return DoneCall(seq, CallKind.STEP, "step", False, error=Error(kind, message))


def told(seq: int, kind: CallKind, **effect: Any) -> DoneCall:
    return DoneCall(seq, kind, kind.value, True, effect=effect)


async def keep(mate: Mate, offer: Offer, *calls: DoneCall) -> dict[int, int]:
    """Record and wait until it is; the orders."""
    await mate.say(Record(offer.attempt, calls))
    seqs = {call.seq for call in calls}
    await until(lambda: seqs <= recorded(mate, offer).keys())
    return recorded(mate, offer)


def recorded(mate: Mate, offer: Offer) -> dict[int, int]:
    return {
        call.seq: call.order
        for each in mate.of(Recorded)
        if each.attempt == offer.attempt
        for call in each.calls
    }


async def call(mate: Mate, offer: Offer, seq: int, **task: Any) -> None:
    await mate.say(Call(offer.attempt, seq, f"call-{seq}", task))


async def resolved(mate: Mate, offer: Offer, seq: int) -> Resolved:
    def found() -> Resolved | None:
        mine = [r for r in mate.of(Resolved) if (r.attempt, r.seq) == (offer.attempt, seq)]
        return mine[0] if mine else None

    return await until(found)


async def park(mate: Mate, offer: Offer, *seqs: int) -> None:
    await mate.say(Park(offer.attempt, seqs))
    await until(lambda: any(each.attempt == offer.attempt for each in mate.of(Parked)))
    mate.running.pop(offer.attempt, None)


async def next_offer(mate: Mate, after: Sequence[Offer] = ()) -> Offer:
    known = {each.attempt for each in after}

    def found() -> Offer | None:
        fresh = [each for each in mate.of(Offer) if each.attempt not in known]
        return fresh[0] if fresh else None

    return await until(found)


async def known(mate: Mate, offer: Offer) -> list[KnownCall]:
    """The history of an offer, when all of it is there."""
    assert offer.workflow is not None
    count = offer.workflow["calls"]

    def found() -> list[KnownCall] | None:
        mine = [c for h in mate.of(History) if h.attempt == offer.attempt for c in h.calls]
        return mine if len(mine) >= count else None

    return await until(found) if count else []
