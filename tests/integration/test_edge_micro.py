"""Runs that a workstation carries out alone: as a server would, and whatever dies in the middle."""

from pathlib import Path
from typing import Any

import pytest

from scheduler.domain import process_types, rehearsal
from scheduler.domain.definitions import ProcessType
from scheduler.domain.rehearsal import Given
from tests.support.edge_micro import Bench, a_type

EXAMPLES = sorted(Path("examples").glob("*/*.yaml"))

ALL = """
name: all
input:
  type: object
  properties: {parts: {type: array}}
  required: [parts]
tasks:
  - {name: cut, run: "cut ${{ size(input.parts) }}", output: json, retries: {max: 2, delay: 5s},
     undo: {run: uncut}}
  - {name: each, needs: [cut], for_each: "${{ input.parts }}", run: "drill ${{ item.value }}",
     output: json}
  - {name: which, needs: [each],
     branch: {cases: [{when: "${{ size(input.parts) > 2 }}", to: [many]}], default: [few]}}
  - {name: many, needs: [which], run: pack}
  - {name: few, needs: [which], run: wrap}
  - {name: nap, needs: [many, few], sleep: 1h}
  - {name: ask, needs: [nap], approval: "good?"}
  - {name: again, needs: [ask], run: polish, output: json,
     repeat: {until: "${{ output.ok }}", max: 3, delay: 1m}}
  - {name: told, needs: [again], emit: part.done}
  - {name: heard, needs: [told], wait_for: part.done}
hooks: {exit: {run: sweep}, failure: {run: alarm}}
result: {each: "${{ tasks.each.output }}"}
"""
PARTS: dict[str, Any] = {"parts": ["a", "b", "c"]}
WELL: dict[str, Given] = {"again": Given(output={"ok": True}), "each": Given(output=1)}
COURSES: dict[str, dict[str, Given]] = {
    "well": {},
    "at the second try": {"cut": Given(fails=1)},
    "failing": {"cut": Given(fails=None)},
    "failing late": {"again": Given(fails=None)},
    "never right": {"again": Given(output={"ok": False})},
    "without its hook": {"hook:exit": Given(fails=None)},
    "with one bad part": {"each[1]": Given(fails=None)},
    "rejected": {"ask": Given(fails=None)},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def both(
    folder: Path, definition: ProcessType, input: dict[str, Any], given: dict[str, Given]
) -> tuple[Any, Any]:
    """How the run goes on a server, as it is rehearsed there, and how it goes here."""
    expected = rehearsal.play(definition, input, given)
    bench = Bench(folder, definition, given=given)
    run = bench.start(definition.name, input)
    bench.play()
    case = bench.case(run)
    output = None if case.result is None else process_types.json.loads(case.result)
    found = rehearsal.Played(
        status=case.run.state.value,
        error=case.run.error,
        tasks=bench.states(run),
        asked=bench.asked,
        output=output,
        compensated=case.run.compensated,
    )
    bench.close()
    return expected, found


@pytest.mark.parametrize("course", COURSES)
def test_a_run_goes_here_as_it_would_on_a_server(folder: Path, course: str) -> None:
    expected, found = both(folder, a_type(ALL), PARTS, WELL | COURSES[course])
    assert (found.status, found.tasks, found.error) == (
        expected.status,
        expected.tasks,
        expected.error,
    )
    assert (found.output, found.compensated) == (expected.output, expected.compensated)
