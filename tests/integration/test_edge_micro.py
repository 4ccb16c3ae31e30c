"""Runs that a workstation carries out alone: as a server would, and whatever dies in the middle."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from edge.agent.book import Shut
from edge.agent.micro import timetable
from edge.messages import Lane, RunTold, Ticked
from scheduler.domain import rehearsal
from scheduler.domain.definitions import ProcessType
from scheduler.domain.rehearsal import Given
from tests.support.edge_micro import Bench, Crash, Listener, Mirrored, a_type, deliver

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
    output = None if case.result is None else json.loads(case.result)
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


SHAPES = {
    "first of two": """
name: shape
tasks:
  - {name: a, run: a, needs: []}
  - {name: b, run: b, needs: []}
  - {name: c, run: c, needs: [a, b], join: {count: 1, stop_rest: true}}
""",
    "a handler": """
name: shape
tasks:
  - {name: a, run: a, on_failure: {handler: mend}}
  - {name: b, run: b, needs: [a]}
  - {name: mend, run: mend}
""",
    "on failure": """
name: shape
tasks:
  - {name: a, run: a, needs: []}
  - {name: b, run: b, needs: [], on_failure: continue}
  - {name: sorry, run: sorry, needs: [a], when: {after: on_failure}}
  - {name: last, run: last, needs: [a, b], when: {after: always}}
""",
    "enough of them": """
name: shape
tasks:
  - {name: each, for_each: {in: "${{ [1, 2, 3, 4] }}", min_success: 0.5, max_parallel: 2},
     run: "x ${{ item.value }}", output: json}
  - {name: sum, needs: [each], run: "sum ${{ size(tasks.each.output) }}"}
""",
    "places": """
name: shape
max_parallel: 1
concurrency: {key: "one"}
tasks:
  - {name: a, run: a, needs: [], limit: {key: oven, max: 1}}
  - {name: b, run: b, needs: [], limit: {key: oven, max: 1}}
  - {name: c, run: c, needs: [a, b], rate: {key: slow, max: 1, per: 1m}}
  - {name: d, run: d, needs: [a, b], rate: {key: slow, max: 1, per: 1m}}
""",
}
GIVEN: dict[str, dict[str, Given]] = {
    "well": {},
    "a fails": {"a": Given(fails=None)},
    "b fails": {"b": Given(fails=None)},
    "two of each fail": {"each[0]": Given(fails=None), "each[1]": Given(fails=None)},
    "three of each fail": {f"each[{n}]": Given(fails=None) for n in range(3)},
}


@pytest.mark.parametrize("given", GIVEN)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_comes_to_the_same_end_here_as_on_a_server(
    folder: Path, shape: str, given: str
) -> None:
    expected, found = both(folder, a_type(SHAPES[shape]), {}, GIVEN[given])
    assert (found.status, found.error, found.tasks, found.output) == (
        expected.status,
        expected.error,
        expected.tasks,
        expected.output,
    )


SHORT = """
name: short
tasks:
  - {name: cut, run: cut, retries: {max: 1, delay: 5s}, undo: {run: uncut}}
  - {name: each, needs: [cut], for_each: "${{ ['a', 'b'] }}", run: "drill ${{ item.value }}"}
  - {name: nap, needs: [each], sleep: 1h}
  - {name: ask, needs: [nap], approval: "good?"}
  - {name: child, needs: [ask], process: part}
"""
PART = "name: part\ntasks: [{name: turn, run: turn}]\n"
FATES: dict[str, dict[str, Given]] = {
    "well": {"cut": Given(fails=1)},
    "undone": {"turn": Given(fails=None)},
}


def begun(bench: Bench) -> Any:
    """A run that somebody asked for, and asks for again who had no answer."""
    try:
        return bench.start("short")
    except Crash:
        bench.die()
        known = bench.engine.ledger.one("select id from micro_runs")
        return bench.living()[0] if known else bench.start("short")


def course_of(folder: Path, fate: str, crash_at: int | None) -> Bench:
    folder.mkdir()
    types = (a_type(SHORT), a_type(PART))
    return Bench(folder, *types, given=FATES[fate], slots=2, crash_at=crash_at)


def summary(bench: Bench, run: Any) -> Any:
    told = bench.mirrored(run)
    tasks = {row["name"]: (row["state"], row["attempt"]) for row in told.tasks.values()}
    return bench.states(run), told.row["state"], tasks, sorted(told.attempts), told.events


@pytest.mark.parametrize("fate", FATES)
def test_whenever_the_agent_dies_each_attempt_begins_once_and_is_told_once(
    folder: Path, fate: str
) -> None:
    calm = course_of(folder / "calm", fate, None)
    run = begun(calm)
    calm.play()
    expected, steps, starts = summary(calm, run), calm.steps, calm.runner.starts
    calm.close()
    assert steps > 20
    for crash_at in range(1, steps + 1):
        bench = course_of(folder / str(crash_at), fate, crash_at)
        run = begun(bench)
        bench.play()
        assert bench.crashes == 1
        assert summary(bench, run) == expected, f"after a crash at step {crash_at}"
        assert len(bench.runner.starts) == len(set(bench.runner.starts)) == len(starts)
        bench.close()


MEASURE = """
name: measure
input: {type: object, properties: {at: {type: string}}}
tasks: [{name: read, run: "gauge ${{ input.at }}", output: json}]
"""
WEEK = timedelta(days=7)


def timed(bench: Bench, **spec: Any) -> None:
    """A schedule of the server that is placed here."""
    spec = {"input": {"at": "${{ tick.at }}"}, **spec}
    told = {"spec": spec, "key": "measure/main", "type": "measure"}
    timetable.replace_all(bench.engine.ledger, {7: told}, bench.now)
    bench.book.commit()


def ticks_told(bench: Bench) -> list[dict[str, Any]]:
    found = [body for body in bench.told() if isinstance(body, Ticked)]
    return [json.loads(text) for body in found for text in body.ticks]


def test_a_week_alone_fires_each_tick_once_and_tells_of_each(folder: Path) -> None:
    bench = Bench(folder, a_type(MEASURE), given={"read": Given(output=21)})
    timed(bench, every="1h")
    bench.play(until=bench.now + WEEK)
    runs = bench.engine.ledger.rows("select id, state from micro_runs")
    ticks = ticks_told(bench)
    assert len(runs) == len(ticks) == len({each["tick"] for each in ticks}) == 7 * 24
    assert {state for _, state in runs} == {"COMPLETED"}
    assert {each["run"] for each in ticks} == {id for id, _ in runs}


def test_what_a_machine_slept_through_is_caught_up_as_the_schedule_says(folder: Path) -> None:
    bench = Bench(folder, a_type(MEASURE))
    timed(bench, every="1h", catch_up="last")
    bench.now += timedelta(hours=10, minutes=30)
    bench.turn(lambda: bench.engine.wake(bench.now))
    bench.play(until=bench.now)
    states = [(each["state"], each["until"] is not None) for each in ticks_told(bench)]
    assert states == [("MISSED", True), ("STARTED", False)]


def test_a_tick_that_waits_for_the_run_before_is_started_when_that_has_ended(
    folder: Path,
) -> None:
    bench = Bench(folder, a_type(MEASURE))
    timed(bench, every="1h", overlap="queue_one")
    for _ in range(2):
        bench.now += timedelta(hours=1)
        bench.turn(lambda: bench.engine.wake(bench.now))
    assert [each["state"] for each in ticks_told(bench)] == ["STARTED", "QUEUED"]
    bench.play(until=bench.now)
    assert [each["state"] for each in ticks_told(bench)] == ["STARTED", "QUEUED", "STARTED"]
    assert len(bench.runner.starts) == 2


@pytest.mark.parametrize("overlap", ["replace", "queue_one"])
def test_while_nothing_new_is_taken_ticks_are_skipped_with_the_reason_and_runs_go_on(
    folder: Path, overlap: str
) -> None:
    bench = Bench(folder, a_type(MEASURE))
    timed(bench, every="1h", overlap=overlap)
    drained = Shut(draining=True, why="a new blade")
    for shut, unfit in ((Shut(), ""), (drained, ""), (Shut(), "it is too old")):
        bench.book.put_shut(shut)
        bench.agent.unfit = unfit
        bench.now += timedelta(hours=1)
        bench.turn(lambda: bench.engine.wake(bench.now))
    bench.play(until=bench.now)
    told = [(each["state"], each["reason"]) for each in ticks_told(bench)]
    why = "this workstation takes no new work: it is too old"
    assert (told[0], told[-1]) == (("STARTED", None), ("SKIPPED", why))
    assert [state for state, _ in told].count("STARTED") == len(bench.runner.starts) == 1
    assert bench.engine.ledger.rows("select state from micro_runs") == [("COMPLETED",)]


def test_of_a_schedule_and_a_crash_at_any_step_comes_one_run_for_each_tick(folder: Path) -> None:
    def course(name: str, crash_at: int | None) -> Bench:
        (folder / name).mkdir()
        bench = Bench(folder / name, a_type(MEASURE), crash_at=crash_at)
        timed(bench, every="1h")
        bench.play(until=bench.now + timedelta(hours=3))
        return bench

    calm = course("calm", None)
    for crash_at in range(1, calm.steps + 1):
        bench = course(str(crash_at), crash_at)
        assert bench.crashes == 1
        assert len(bench.runner.starts) == len(ticks_told(bench)) == 3
        bench.close()


@pytest.mark.parametrize("seed", range(2))
def test_what_happened_alone_is_told_once_over_a_line_that_loses_frames(
    folder: Path, seed: int
) -> None:
    bench = Bench(folder, a_type(MEASURE), given={"read": Given(output=21)}, slots=4)
    timed(bench, every="10m")
    bench.play(until=bench.now + timedelta(days=1))
    said = [body for _, body in bench.items(Lane.RESULTS)]
    listener = Listener(seed, loss=0.2)
    deliver(bench, listener)
    heard = [body for body in listener.told if isinstance(body, RunTold | Ticked)]
    assert heard == said
    mirrored: dict[str, Mirrored] = {}
    for body in heard:
        if isinstance(body, RunTold):
            mirrored.setdefault(body.run, Mirrored()).hear(body)
    assert len(mirrored) == 24 * 6
    assert {each.row["state"] for each in mirrored.values()} == {"COMPLETED"}
    assert {tuple(each.attempts) for each in mirrored.values()} == {((0, 1),)}
    assert not bench.book.jobs
