"""Attempts that printed something, as a holder stores it."""

from executor.base import Ending, Outcome
from scheduler.store import output
from scheduler.store.output import Chunk
from tests.support.api import Api
from tests.support.builders import a_holder, claimed, engine, record

PRINTS = "name: prints\ntasks: [{name: says, noop: true}]"
Part = tuple[int, int, bytes]  # offset, stream, bytes


async def printing(api: Api, dsn: str, *parts: Part, over: bool = True) -> tuple[str, int]:
    """A run whose one task printed this: the address of its log, and the task."""
    await api.publish(PRINTS)
    run = (await api.start("prints"))["id"]
    async with await engine(dsn) as conn:
        holder = await a_holder(conn)
        [mine] = await claimed(conn, holder)
        chunks = [
            Chunk(task_id=mine.id, attempt=1, start=start, stream=stream, data=data)
            for start, stream, data in parts
        ]
        await output.append(conn, holder, chunks)
        if over:
            await record(conn, holder, [mine], Outcome(ending=Ending.SUCCEEDED, exit_code=0))
    return f"/ui/runs/{run}/tasks/0/1/log", mine.id


def in_parts(data: bytes, size: int = 65536) -> list[Part]:
    return [(at, 1, data[at : at + size]) for at in range(0, len(data), size)]
