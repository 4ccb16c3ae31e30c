from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError

from scheduler.domain import graph, planning
from scheduler.domain.errors import InvalidDefinition
from scheduler.domain.placement_reading import KEYS
from scheduler.domain.process_types import digest, from_document, parse, to_document
from scheduler.domain.rehearsal import play
from scheduler.settings import WorkerSettings
from tests.unit.test_process_types import SCHEMA
from ui.pages.process import done_by

EVERYWHERE = "on: {workstation: {all: any}}"


def a_type(*tasks: str, on: str = "") -> Any:
    lines = [f"  - {{name: t{number}, {task}}}" for number, task in enumerate(tasks)]
    [found] = parse("\n".join(["name: a", *([f"on: {on}"] if on else []), "tasks:", *lines, ""]))
    return found


def placed(on: str, *, what: str = "run: x") -> graph.TaskTemplate:
    return graph.templates(a_type(f"{what}, on: {on}"))[0]


def refusal(task: str, *, on: str = "") -> str:
    with pytest.raises(InvalidDefinition) as refused:
        a_type(task, on=on)
    return str(refused.value)


@pytest.mark.parametrize(
    ("on", "queue"),
    [
        ("{workstation: press-2}", "ws:press-2"),
        ('{workstation: {labels: {line: "2", kind: press}}}', "on:kind=press,line=2"),
        ("{workstation: {labels: {line: 2}}}", "on:line=2"),
        ("{workstation: any}", "on:*"),
    ],
)
def test_a_task_waits_in_the_queue_of_its_place(on: str, queue: str) -> None:
    assert placed(on).queue == queue


def test_a_place_that_is_known_beforehand_needs_nobody_to_look_at_it() -> None:
    task = placed("{workstation: press-2, lost_after: 2h}")
    assert not task.settles
    assert task.placement is not None
    assert task.placement["on"] == {"workstation": "press-2"}
    assert task.placement["lost_after"] == 7200.0


@pytest.mark.parametrize(
    "on",
    [
        '{workstation: "${{ input.s }}"}',
        '{workstation: {labels: {line: "${{ input.line }}"}}}',
        "{workstation: any, start_before: 10m}",
        "{workstation: {all: any}}",
    ],
)
def test_a_place_that_a_run_decides_is_looked_at(on: str) -> None:
    assert placed(on).settles


def test_work_of_a_workstation_is_not_done_again_when_it_is_lost() -> None:
    assert placed("{workstation: any}").on_lost == "wait"
    assert placed("{workstation: any}, on_lost: retry").on_lost == "retry"
    assert placed("server").on_lost == "retry"


def test_what_a_type_says_is_meant_for_commands_that_say_nothing_themselves() -> None:
    tasks = ("run: x", "run: x, queue: q", "run: x, on: server", "noop: true", "process: b",
             'python: "m:f"', "run: x, on: {workstation: saw}", "http: 'https://a.b'")  # fmt: skip
    found = a_type(*tasks, on="{workstation: press-2}")
    assert [each.queue for each in graph.templates(found)] == [
        "ws:press-2", "q", "default", "default", "default", "ws:press-2", "ws:saw", "default",
    ]  # fmt: skip


def test_what_is_undone_is_undone_where_it_was_done() -> None:
    [task] = a_type("run: x, on: {workstation: any, lost_after: 1h}, undo: {run: y}").tasks
    assert task.undo.placement.there
    assert task.undo.on_lost == "wait"
    [task] = a_type("run: x, on: {workstation: any}, undo: {run: y, on: server}").tasks
    assert task.undo.placement is None


DOCUMENTS = [
    ("run: x, on: {workstation: press-2}", ""),
    ('run: x, on: {workstation: {labels: {line: "2"}}, sticky: true, replace: true}', ""),
    ("run: x, on: {workstation: any, start_before: 10m, on_disconnect: stop, reconcile: ask}", ""),
    ("run: x, on: {workstation: {all: any}, stagger: 5s, min_success: 80%, max_parallel: 2}", ""),
    ("run: x, on: {workstation: {all: any}, min_success: 3}, undo: {run: y}", ""),
    ("run: x, on: server, on_lost: wait", "{workstation: any}"),
    ("run: x, on_lost: retry", "{workstation: any}"),
    ("run: x", "{workstation: press-2, lost_after: 90s}"),
    ('process: b, on: {workstation: "${{ input.s }}"}', ""),
]


@pytest.mark.parametrize(("task", "on"), DOCUMENTS)
def test_a_place_is_written_as_it_was_read(task: str, on: str) -> None:
    found = a_type(task, on=on)
    document = to_document(found)
    jsonschema.validate(document, SCHEMA)
    again = from_document(document)
    assert again == found
    assert graph.templates(again) == graph.templates(found)
    assert to_document(again) == document


def test_what_says_the_same_has_the_same_digest() -> None:
    said = a_type("run: x, on: {workstation: any, lost_after: 24h, sticky: false}, on_lost: wait")
    assert digest(said) == digest(a_type("run: x, on: {workstation: any}"))
    assert digest(said) != digest(a_type("run: x"))


@pytest.mark.parametrize(
    ("task", "says"),
    [
        ("run: x, on: press-2", "write {workstation: NAME}"),
        ("run: x, on: {sticky: true}", "'workstation' is missing"),
        ("run: x, on: {workstation: Press 2}", "'Press 2' is no workstation's name"),
        ("run: x, on: {workstation: server}", "'server' means something else"),
        ("run: x, on: {workstation: all}", "write {all: any}"),
        ("run: x, on: {workstation: {}}", "either 'labels' or 'all'"),
        ("run: x, on: {workstation: {labels: {}}}", "write workstation: any"),
        ("run: x, on: {workstation: {labels: {line: 'a,b=c'}}}", "letters, digits and . _ / -"),
        ("run: x, on: {workstation: {all: {line: a}}}", "there is no key 'line' here"),
        ("run: x, on: {workstation: a, sticky: true}", "ask for a workstation by labels"),
        ("run: x, on: {workstation: a, replace: true}", "ask for a workstation by labels"),
        ("run: x, on: {workstation: any, stagger: 5s}", "write workstation: {all: …}"),
        ("run: x, on: {workstation: any, min_success: 5}", "write workstation: {all: …}"),
        ("run: x, on: {workstation: any, lost_after: 0}", "a duration above zero"),
        ("run: x, on: {workstation: any, reconcile: both}", "keep_original"),
        ("run: x, on: {workstation: any}, queue: q", "leave it out"),
        ("run: x, queue: 'ws:press-2'", "a name is 1 to 63"),
        ("run: x, queue: 'on:*'", "a name is 1 to 63"),
        ("http: 'https://a.b', on: {workstation: any}", "call with a command"),
        ("action: a, on: {workstation: any}", "goes to those who serve it"),
        ("approval: {message: m}, on: {workstation: any}", "only run, shell, python and process"),
        ("noop: true, on: {workstation: any}", "only run, shell, python and process"),
        (f"run: x, for_each: '${{{{ vars.a }}}}', {EVERYWHERE}", "leave 'all' or 'for_each' out"),
        (f"run: x, undo: {{run: y, {EVERYWHERE}}}", "only what stands among the tasks"),
        ("run: x, on: {workstation: '${{ tasks.b.output }}'}", "there is no task 'b'"),
        ("run: x, on: {workstation: '${{ item.value }}'}", "'for_each'"),
    ],
)
def test_a_place_that_makes_no_sense_is_refused_with_the_remedy(task: str, says: str) -> None:
    assert says in refusal(task)


def test_all_tasks_of_a_type_do_not_go_everywhere() -> None:
    assert "write it there" in refusal("run: x", on="{workstation: {all: any}}")


def test_the_published_schema_knows_the_parts_of_a_place() -> None:
    assert set(SCHEMA["$defs"]["placeParts"]["properties"]) == set(KEYS)


def test_a_plan_says_where() -> None:
    tasks = ('run: x, on: {workstation: "${{ input.s }}"}',
             'run: x, on: {workstation: {labels: {line: "2"}}}, undo: {run: y}',
             "run: x, on: {workstation: {all: any}}", "run: x")  # fmt: skip
    found = planning.plan(a_type(*tasks), {"s": "press-2"})
    assert [(each.name, each.place.get("workstation", "")) for each in found] == [
        ("t0", "press-2"),
        ("t1", "any with line: 2"),
        ("undo:t1", "the one that did it"),
        ("t2[each of all workstations]", "each of all workstations"),
        ("t3", ""),
    ]


def test_a_plan_tells_a_name_that_no_workstation_can_have() -> None:
    [found] = planning.plan(a_type('run: x, on: {workstation: "${{ input.s }}"}'), {"s": "A B"})
    assert found.verdict == "cannot"
    assert "no workstation's name" in found.why


def test_no_worker_serves_the_queue_of_a_workstation() -> None:
    for queue in ("ws:press-2", "on:*"):
        with pytest.raises(ValidationError, match="is that of a workstation"):
            WorkerSettings(queues=("default", queue))


def test_a_task_is_shown_by_what_it_does_and_not_by_where() -> None:
    [written] = to_document(a_type("python: 'm:f', on: {workstation: p}, on_lost: retry"))["tasks"]
    assert done_by(written)["kind"] == "python"


def test_a_rehearsal_finds_two_workstations_wherever_all_are_meant() -> None:
    played = play(a_type("run: x, on: {workstation: {all: {labels: {line: a}}}}", "run: y"), {})
    assert played.status == "COMPLETED"
    assert {"t0[workstation-1]", "t0[workstation-2]"} <= played.tasks.keys()
