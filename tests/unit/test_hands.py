"""What a worker hands on for each kind of task."""

from typing import Any
from uuid import UUID

from executor.base import Limits
from scheduler.domain.tasks import Claimed
from scheduler.hands import invocation_of

RUN = UUID(int=7)


def a_task(kind: str, **invocation: Any) -> Claimed:
    return Claimed(
        id=1,
        run_id=RUN,
        name="it",
        kind=kind,
        attempt=2,
        on_lost="retry",
        invocation=invocation,
        queue="default",
        rank=0,
        ready_seq=1,
    )


def test_a_command_knows_its_run_and_its_task() -> None:
    given = invocation_of(a_task("run", argv=["true"], env={"A": "b"}, limits={"processes": 3}))
    assert given.argv == ["true"]
    assert given.env == {"A": "b", "PROCESSION_RUN": str(RUN), "PROCESSION_TASK": "it"}
    assert given.limits == Limits(processes=3)


def test_a_python_call_becomes_a_command_where_it_is_carried_out() -> None:
    rendered = {"call": "reports:make", "args": {"day": 3}, "interpreter": None, "timeout": 5.0}
    given = invocation_of(a_task("python", **rendered, cwd="/srv", env={}, limits=None))
    assert given.argv[0] == "python3"
    assert given.argv[-1] == "reports:make"
    assert (given.stdin, given.output) == ('{"day": 3}', "result")
    assert (given.cwd, given.timeout) == ("/srv", 5.0)
