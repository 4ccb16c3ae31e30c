"""Serves a workflow of ten steps that do nothing: `workflows.py SLOTS`."""

import sys

from procession import Worker
from procession.workflows import step, workflow

STEPS = 10


@step
async def add_one(number: int) -> int:
    return number + 1


@workflow
async def ten() -> int:
    number = 0
    for _ in range(STEPS):
        number = await add_one(number)
    return number


if __name__ == "__main__":
    Worker(name="noops-workflows", slots=int(sys.argv[1])).serve(ten).start()
