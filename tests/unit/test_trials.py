from pathlib import Path
from typing import Any

import pytest

from scheduler.domain import trials
from scheduler.domain.errors import Invalid, InvalidDefinition
from scheduler.domain.rehearsal import Given, Played, play
from tests.unit.test_planning import ORDER, ended
from tests.unit.test_process_types import one, with_tasks

RESULT = 'result: {n: "${{ tasks.load.output.n }}", each: "${{ tasks.each.output }}"}\n'
LOADED = Given(output={"n": 3, "ok": True, "rows": [1, 2]})
MANY = ORDER.replace("tasks.load.output }", "tasks.load.output.rows }") + RESULT


def played(text: str, input: dict[str, Any] | None = None, **given: Given) -> Played:
    return play(one(text), input or {}, given)


def order(total: int = 50, **given: Given) -> Played:
    return played(MANY, {"id": "7", "total": total}, **{"load": LOADED, **given})


def test_what_is_given_flows_through_the_run() -> None:
    found = order(each=Given(output="o"))
    assert (found.status, found.output) == ("COMPLETED", {"n": 3, "each": ["o", "o"]})
    assert found.asked["later[1]"]["argv"] == ["x", "2"]
    assert {name: found.tasks[name] for name in ("big", "after-big", "maybe")} == {
        "big": "SKIPPED",
        "after-big": "SKIPPED",
        "maybe": "COMPLETED",
    }


def test_a_failure_is_undone_and_what_is_there_for_it_runs() -> None:
    found = order(call=Given(fails=None, exit_code=4))
    assert (found.status, found.compensated) == ("FAILED", "yes")
    assert found.error == "task call failed: exit code 4"
    assert found.asked["undo:load"]["argv"] == ["unload", "3"]
    assert (found.tasks["clean"], found.tasks["hook:failure"]) == ("COMPLETED", "COMPLETED")


def test_an_item_may_be_given_for_itself() -> None:
    found = played(
        with_tasks("{name: a, for_each: '${{ input.x }}', run: 'x ${{ item.value }}'}")
        + "result: ${{ tasks.a.output }}\n",
        {"x": {"k": 1, "l": 2}},
        **{"a[l]": Given(output=7)},
    )
    assert found.output == {"k": None, "l": 7}


def test_time_passes_at_once_and_what_is_waited_for_comes() -> None:
    found = played(
        with_tasks(
            "{name: nap, sleep: 10d}",
            "{name: paid, wait_for: paid, timeout: 1h}",
            "{name: ask, approval: 'go?'}",
            "{name: child, process: other}",
            "{name: flaky, run: 'x ${{ tasks.child.output }}', retries: {max: 3, delay: 1h}}",
            "{name: again, run: x, repeat: {until: '${{ iteration == 3 }}', max: 5, delay: 1d}}",
            "{name: told, emit: done}",
        ),
        child=Given(output="hi"),
        flaky=Given(fails=2),
    )
    assert set(found.tasks.values()) == {"COMPLETED"}
    assert found.asked["flaky"]["argv"] == ["x", "hi"]


def test_a_group_of_runs_lets_this_one_in() -> None:
    group = "concurrency: {key: '${{ input.c }}', on_conflict: skip}\n"
    assert played(group + with_tasks("{name: a, noop: true}"), {"c": 1}).status == "COMPLETED"


def test_a_refused_approval_fails_the_run() -> None:
    found = played(with_tasks("{name: ask, approval: 'go?'}"), ask=Given(fails=None))
    assert (found.status, found.tasks) == ("FAILED", {"ask": "FAILED"})


TESTS = """\
definition: order.yaml
tests:
  - name: a small order
    input: {id: "7"}
    given: {load: {output: {n: 3, ok: true, rows: [1]}}, call: {fails: 1}}
    expect:
      status: FAILED
      error: task call failed
      compensated: yes
      tasks: {small: STOPPED, hook:failure: COMPLETED}
      commands:
        load: load --id 7
        undo:load: [unload, "3"]
  - name: another
    input: {id: "7"}
    given: {load: {output: {n: 3, ok: false, rows: []}}}
    expect:
      status: COMPLETED
      tasks: {maybe: SKIPPED}
      commands: {small: 'echo "$X"', call: {method: POST, json: {n: 3, total: 50}}}
      output: {n: 3, each: [null, null]}
"""


def test_a_file_of_tests_is_compared_with_what_comes_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "order.yaml").write_text(MANY)
    file = tmp_path / "some.yaml"
    file.write_text(TESTS)
    assert ended(["test", str(file)]) == 0, capsys.readouterr()
    assert capsys.readouterr().out.count("as expected") == 2
    wrong = TESTS.replace("SKIPPED", "COMPLETED").replace("load --id 7", "load --id 8")
    (tmp_path / "order.test.yaml").write_text(wrong.replace("definition: order.yaml\n", ""))
    assert ended(["test", str(tmp_path / "order.test.yaml")]) == 1
    said = capsys.readouterr().out
    assert 'commands.load: expected ["load", "--id", "8"], and it was ["load", "--id", "7"]' in said
    assert "tasks.maybe: expected COMPLETED, and it was SKIPPED" in said


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("tests: []", "f.yaml", "no test in it"),
        ("", "f.yaml", "no test in it"),
        ("a: 1\n---\nb: 1", "f.yaml", "one document"),
        ("tests: [{name: a, expect: {}}]", "tests[0].expect", "nothing is expected"),
        ("tests: [{name: a}]", "tests[0]", "'expect' is missing"),
        ("tests: [{name: a, expect: {state: FAILED}}]", "tests[0].expect.state", "mean 'status'"),
        ("tests: [{name: a, expect: {status: DONE}}]", "expect.status", "known: COMPLETED"),
        ("tests: [{name: a, expect: {tasks: {x: DONE}}}]", "expect.tasks.x", "SKIPPED"),
        ("tests: [{name: a, given: {x: {fails: often}}, expect: {status: FAILED}}]",
         "1:38: tests[0].given.x.fails", "how many"),
        ("tests: [{name: a, given: {x: {outputs: 1}}, expect: {}}]", "outputs", "mean 'output'"),
    ],
)  # fmt: skip
def test_a_fault_in_a_file_of_tests_names_its_place(text: str, where: str, what: str) -> None:
    with pytest.raises(InvalidDefinition) as refused:
        trials.read(text, "f.yaml")
    assert any(where in line and what in line for line in refused.value.faults), refused.value


@pytest.mark.parametrize("part", ["given: {lod: {fails: true}}", "expect: {tasks: {lod: FAILED}}"])
def test_a_name_that_is_nobodys_is_refused(part: str) -> None:
    rest = "" if "expect" in part else ", expect: {status: FAILED}"
    [trial] = trials.read(f"tests: [{{name: a, {part}{rest}}}]", "f.yaml").tests
    with pytest.raises(Invalid, match="did you mean 'load'"):
        list(trials.differences(one(ORDER), trial))
