"""Which workflow the running code belongs to, if any."""

from typing import cast

from procession.workflows.errors import Outside
from procession.workflows.loop import current
from procession.workflows.program import Program


def program_here() -> Program | None:
    loop = current()
    return None if loop is None else cast("Program", loop.timers)


def must_be_here(what: str) -> Program:
    program = program_here()
    if program is None:
        raise Outside(what)
    return program
