import json
from datetime import timedelta
from typing import Any

import pytest

from scheduler.domain import process_types
from scheduler.domain.definitions import (
    Approval,
    Branch,
    Case,
    ChildCall,
    Concurrency,
    Emit,
    ForEach,
    HttpCall,
    Join,
    Poll,
    PythonCall,
    Rate,
    Repeat,
    Sleep,
    TaskDefinition,
    WaitFor,
)
from scheduler.domain.errors import InvalidDefinition
from scheduler.domain.process_types import ProcessType, digest, from_document, to_document
from tests.unit.test_process_types import EVERYTHING, faults, one, with_tasks

FLOW = """\
name: flow
input:
  type: object
  properties:
    files: {type: array, items: {type: string}}
    customer: {type: string}
    n: {type: integer}
hooks:
  start: {run: "begin ${{ input.customer }}"}
  failure: {http: {url: "https://example.org/failed", method: POST, json: {why: "${{ error }}"}}}
  exit: {noop: true}
concurrency: {key: "${{ input.customer }}", max: 2, on_conflict: replace}
undo_on_stop: true
result: {total: "${{ tasks.last.status }}", all: ["${{ tasks.call.output.body }}", 3, null]}
schedules: [{cron: "0 6 * * *"}]
triggers: [{event: order.paid, input: {n: 1}}]
tasks:
  - name: each
    run: cat -- ${{ item.value }}
    needs: []
    for_each: {in: "${{ input.files }}", max_parallel: 10, min_success: 0.9, stop_rest: true}
    output: lines
    secrets: {DB_PASSWORD: db/password}
    secret_files: {KEYFILE: deploy-key}
    rate: {key: "x-${{ item.index }}", max: 10, per: 1m}
    share: ${{ input.customer }}
    undo: {run: "rm -- ${{ item.value }} ${{ output.join(',') }}", timeout: 1m, retries: 3}
  - name: call
    needs: [each]
    when: {after: always, if: "${{ tasks.each.status == 'COMPLETED' }}"}
    http:
      method: POST
      url: "https://example.org/x/${{ input.customer }}?key=${{ secrets.k }}"
      headers: {Authorization: "Bearer ${{ secrets['api/token'] }}"}
      json: {a: [1, "${{ input.files }}", {b: "x ${{ secrets.b }}"}]}
      expect: [202, 200]
      poll: {every: 2s, until: 10m, url_from: body.next}
      verify: false
      max_response: 1MiB
  - {name: code, needs: [call], python: {call: "a.b:c", args: {n: "${{ input.n }}"}, interpreter: /v/bin/python}}
  - {name: press, needs: [call], action: {name: press, payload: {n: "${{ input.n }}"}}}
  - {name: child, needs: [call], process: {type: other, version: 3, input: {n: "${{ input.n }}"}, wait: false, labels: {l: "${{ input.n }}"}}}
  - {name: nap, needs: [call], sleep: 10m}
  - {name: till, needs: [call], at: "2026-12-01T06:00:00Z"}
  - {name: paid, needs: [call], wait_for: {event: order.paid, key: "${{ input.customer }}", when: "${{ event.data.amount > 0 }}"}, timeout: 1d}
  - {name: ask, needs: [call], approval: {message: "all ${{ input.n }}?", who: [anna, "role:author", "${{ input.customer }}"], form: {type: object}}}
  - {name: say, needs: [call], emit: {event: order.done, key: a, data: {n: "${{ input.n }}"}}}
  - {name: fork, needs: [call], branch: {cases: [{when: "${{ input.n > 1 }}", to: [left]}], default: [right]}}
  - {name: left, noop: true}
  - {name: right, noop: true, needs: []}
  - {name: first, noop: true, join: any, needs: [left, right]}
  - {name: poll, needs: [first], run: poll, output: json, repeat: {until: "${{ output.done && iteration < 3 }}", max: 100, delay: 5s}}
  - {name: clear, needs: [poll], noop: true, when: on_failure}
  - {name: last, needs: [left, poll, right], noop: true, join: {count: 2, stop_rest: true}}
"""  # noqa: E501
DIGESTS = {
    "everything": "51c4efc9d156467f588d6b0e6b11ff2a326aad4839aa51973f75827342ce9120",
    "failing-process": "46f0b86afcd9bac33d944d4280215c5d4ff62ec0e549e5974928d162164b0d99",
    "single-task-process": "42ace4a9176bac2d0959a908268de304c4d495469a5042bb2d9fa537ed2af224",
}


def flow() -> dict[str, TaskDefinition]:
    return {task.name: task for task in one(FLOW).tasks}


def test_what_was_published_before_keeps_its_digest() -> None:
    from scheduler.demo import demo_types

    found = {each.name: digest(each) for each in (one(EVERYTHING), *demo_types())}
    assert {name: found[name] for name in DIGESTS} == DIGESTS


def test_every_kind_of_task_arrives_as_it_was_meant() -> None:
    tasks = flow()
    assert {name: task.work for name, task in tasks.items() if task.work} == {
        "call": HttpCall(
            method="POST",
            url="https://example.org/x/${{ input.customer }}?key=${{ secrets.k }}",
            headers={"Authorization": "Bearer ${{ secrets['api/token'] }}"},
            json={"a": [1, "${{ input.files }}", {"b": "x ${{ secrets.b }}"}]},
            has_json=True,
            expect=(200, 202),
            poll=Poll(
                every=timedelta(seconds=2), until=timedelta(minutes=10), url_from="body.next"
            ),
            verify=False,
            max_response=1 << 20,
        ),
        "code": PythonCall(call="a.b:c", args={"n": "${{ input.n }}"}, interpreter="/v/bin/python"),
        "press": an_action("press", {"n": "${{ input.n }}"}),
        "child": ChildCall(
            type="other",
            version=3,
            input={"n": "${{ input.n }}"},
            wait=False,
            labels={"l": "${{ input.n }}"},
        ),
        "nap": Sleep(length="10m"),
        "till": Sleep(until="2026-12-01T06:00:00+00:00"),
        "paid": WaitFor(
            event="order.paid",
            key="${{ input.customer }}",
            when="${{ event.data.amount > 0 }}",
        ),
        "ask": Approval(
            message="all ${{ input.n }}?",
            who=("anna", "role:author", "${{ input.customer }}"),
            form={"type": "object"},
        ),
        "say": Emit(event="order.done", key="a", data={"n": "${{ input.n }}"}),
        "fork": Branch(cases=(Case(when="${{ input.n > 1 }}", to=("left",)),), default=("right",)),
    }
    assert (tasks["nap"].kind, tasks["till"].kind, tasks["each"].kind) == ("sleep", "sleep", "run")
    assert tasks["press"].queue == "action:press"


def an_action(name: str, payload: Any) -> Any:
    from scheduler.domain.definitions import ActionCall

    return ActionCall(action=name, payload=payload)


def test_keys_that_all_kinds_share_arrive_as_they_were_meant() -> None:
    tasks = flow()
    each, poll, call = tasks["each"], tasks["poll"], tasks["call"]
    assert each.for_each == ForEach(
        items="${{ input.files }}", max_parallel=10, min_success=0.9, stop_rest=True
    )
    assert each.rate == Rate("x-${{ item.index }}", 10, timedelta(minutes=1))
    assert (each.share, each.output) == ("${{ input.customer }}", "lines")
    assert (each.secrets, each.secret_files) == (
        {"DB_PASSWORD": "db/password"},
        {"KEYFILE": "deploy-key"},
    )
    assert each.undo is not None
    assert (each.undo.name, each.undo.retries.max) == ("each", 3)
    assert (call.after, call.when) == ("always", "${{ tasks.each.status == 'COMPLETED' }}")
    assert (tasks["clear"].after, tasks["clear"].when) == ("on_failure", None)
    assert poll.repeat == Repeat(
        until="${{ output.done && iteration < 3 }}", max=100, delay=timedelta(seconds=5)
    )
    assert (tasks["first"].join, tasks["last"].join) == (Join(1), Join(2, stop_rest=True))


def test_what_a_branch_names_needs_it_said_or_not() -> None:
    assert (flow()["left"].needs, flow()["right"].needs) == (("fork",), ("fork",))


def test_keys_of_the_type_arrive_as_they_were_meant() -> None:
    found = one(FLOW)
    assert sorted(found.hooks) == ["exit", "failure", "start"]
    assert found.hooks["start"].name == "hook:start"
    assert found.concurrency == Concurrency("${{ input.customer }}", 2, "replace")
    assert found.undo_on_stop
    assert found.schedules == ({"cron": "0 6 * * *"},)
    assert found.triggers == ({"event": "order.paid", "input": {"n": 1}},)


def test_a_flow_reads_back_from_what_is_stored_of_it() -> None:
    found = one(FLOW)
    stored = json.loads(json.dumps(to_document(found)))
    assert from_document(stored) == found
    assert digest(from_document(stored)) == digest(found)


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("http: https://example.org/", "http: {url: https://example.org/, method: GET}"),
        ("python: a:b", "python: {call: 'a:b', args: {}}"),
        ("action: press", "action: {name: press}"),
        ("process: other", "process: {type: other, wait: true}"),
        ("wait_for: paid", "wait_for: {event: paid}"),
        ("approval: go", "approval: {message: go}"),
        ("emit: done", "emit: {event: done, data: null}"),
        ("sleep: 90", "sleep: 1m30s"),
        ("noop: true, when: always", "noop: true, when: {after: always}"),
        ("noop: true, join: any", "noop: true, join: {count: 1}"),
        (
            "noop: true, for_each: '${{ input.x }}'",
            "noop: true, for_each: {in: '${{ input.x }}', stop_rest: false}",
        ),
        ("at: '2026-12-01T06:00:00Z', name: a", "at: '2026-12-01T06:00:00+00:00', name: a"),
    ],
)
def test_a_short_form_means_the_same_as_the_long_one(short: str, long: str) -> None:
    first, second = (
        one(with_tasks(f"{{{text}}}" if "name: a" in text else f"{{name: a, {text}}}"))
        for text in (short, long)
    )
    assert first == second
    assert digest(first) == digest(second)


def test_in_a_list_what_follows_a_condition_runs_whether_it_held_or_not() -> None:
    found = one(
        with_tasks(
            "{name: a, noop: true}",
            "{name: b, noop: true, when: '${{ input.x }}'}",
            "{name: c, noop: true, when: on_failure}",
            "{name: d, noop: true}",
            "{name: e, noop: true}",
        )
    )
    assert [task.needs for task in found.tasks] == [
        (), ("a",), ("a", "b"), ("a", "b", "c"), ("d",),
    ]  # fmt: skip
    assert all("needs" not in task for task in to_document(found)["tasks"])


def test_in_a_list_what_a_branch_names_stands_outside() -> None:
    branch = "{name: b, branch: {cases: [{when: '${{ input.x }}', to: [x]}], default: [y]}}"
    found = one(
        with_tasks(
            "{name: a, noop: true}", branch, "{name: x, noop: true}", "{name: y, noop: true}",
            "{name: z, noop: true}",
        )
    )  # fmt: skip
    assert [task.needs for task in found.tasks] == [(), ("a",), ("b",), ("b",), ("b",)]


def test_five_thousand_conditions_in_a_row_are_read_in_bounded_memory() -> None:
    found = one(with_tasks(*[f"{{name: t{n}, noop: true, when: always}}" for n in range(5000)]))
    assert max(len(task.needs) for task in found.tasks) <= 101


SCHEMA = """\
input:
  type: object
  properties:
    day: {type: string}
    n: {type: integer}
    files: {type: array, items: {type: object, properties: {name: {type: string}}}}
"""


def with_input(*tasks: str) -> str:
    return SCHEMA + with_tasks(*tasks)


@pytest.mark.parametrize(
    ("task", "where", "what"),
    [
        ("{run: x, when: maybe}", "tasks[1].when", "write always, on_failure, any_failed"),
        ("{run: x, when: input.n > 1}", "tasks[1].when", "${{ … }}"),
        ("{run: x, when: 'a ${{ input.n > 1 }}'}", "tasks[1].when", "only one expression"),
        ("{run: x, when: '${{ input.day }}'}", "tasks[1].when", "a boolean is needed"),
        ("{run: x, when: '${{ item.index > 1 }}', for_each: '${{ input.files }}'}", "when", "item"),
        ("{run: 'x ${{ item.value }}'}", "tasks[1].run", "'for_each'"),
        ("{run: 'x ${{ output }}'}", "tasks[1].run", "tasks.NAME.output"),
        ("{run: 'x ${{ iteration }}'}", "tasks[1].run", "'until'"),
        ("{run: 'x ${{ event.key }}'}", "tasks[1].run", "'wait_for'"),
        ("{run: 'x ${{ failed }}'}", "tasks[1].run", "only hooks"),
        ("{run: 'x ${{ secrets.k }}'}", "tasks[1].run", "'secrets:'"),
        ("{run: 'x ${{ input.day + 1 }}'}", "tasks[1].run", "string(…)"),
        ("{run: 'x ${{ input.files }}'}", "tasks[1].run", ".join(',')"),
        ("{run: 'x ${{ input.day.name }}'}", "tasks[1].run", "text has no fields"),
        ("{run: 'x ${{ item.value.name + 1 }}', for_each: '${{ input.files }}'}", "run", "text +"),
        ("{run: 'x ${{ item.key }}', for_each: '${{ input.n }}'}", "for_each", "a list or a map"),
        ("{run: 'x ${{ item.name }}', for_each: '${{ input.files }}'}", "run", "an item has no"),
        ("{run: x, for_each: [1, 2]}", "for_each", "vars.NAME"),
        ("{run: x, for_each: {in: '${{ input.files }}', min_success: 1.5}}", "min_success", "0.9"),
        ("{run: x, repeat: {until: '${{ output.n }}'}}", "tasks[1].repeat", "'max' is missing"),
        ("{run: x, repeat: {until: '${{ 1 }}', max: 2}}", "repeat.until", "a boolean is needed"),
        ("{run: x, join: {count: 3}}", "tasks[1].join", "lower the count"),
        ("{run: x, join: some}", "tasks[1].join", "known: all, any"),
        ("{run: x, undo: {run: x, needs: [a]}}", "tasks[1].undo.needs", "no key 'needs'"),
        ("{run: x, undo: {run: x, for_each: '${{ input.files }}'}}", "undo", "no key 'for_each'"),
        ("{run: x, undo: {run: 'x ${{ exit_code }}'}}", "tasks[1].undo.run", "exit_code"),
        ("{noop: true, output: json}", "tasks[1].output", "runs no command"),
        ("{sleep: 1m, queue: x}", "tasks[1].queue", "carried out by no worker"),
        ("{action: x, queue: y}", "tasks[1].queue", "those who serve it"),
        ("{action: '${{ input.day }}'}", "tasks[1].action", "plain text"),
        ("{http: {url: 'https://x/', json: 1, body: x}}", "http.body", "either 'json' or 'body'"),
        ("{http: {url: ftp://x/}}", "tasks[1].http.url", "https://"),
        ("{http: {url: 'https://x/', headers: {'A B': x}}}", "headers.'A B'", "names no header"),
        ("{http: {url: 'https://x/', headers: {Host: x}}}", "headers.Host", "leave it out"),
        ("{http: {url: 'https://x/', headers: {X: \"a\\nb\"}}}", "headers.X", "one line"),
        ("{http: {url: 'https://x/', method: SEND}}", "tasks[1].http.method", "known: DELETE"),
        ("{http: {url: 'https://x/${{ secrets.k + input.day }}'}}", "http.url", "stand alone"),
        ("{http: {url: 'https://x/${{ 1 + }}'}}", "tasks[1].http.url", "a value is expected"),
        ("{http: {url: 'https://x/', json: {'${{ a }}': 1}}}", "http.json", "a key is plain text"),
        ("{http: {url: 'https://x/', stdin: x}}", "tasks[1].http.stdin", "no key 'stdin'"),
        ("{python: 'os system'}", "tasks[1].python", "module:function"),
        ("{python: {call: 'a:b', interpreter: python3}}", "interpreter", "the whole path"),
        ("{process: {type: x, version: 0}}", "process.version", "a whole number from 1"),
        ("{sleep: soon}", "tasks[1].sleep", "10m"),
        ("{sleep: '${{ input.files }}'}", "tasks[1].sleep", "a number or text is needed"),
        ("{at: tomorrow}", "tasks[1].at", "with its zone"),
        ("{at: '2026-12-01T06:00:00'}", "tasks[1].at", "with its zone"),
        ("{wait_for: {event: '${{ input.day }}'}}", "wait_for.event", "plain text"),
        ("{wait_for: {event: x, when: '${{ event.dat }}'}}", "wait_for.when", "mean 'data'"),
        ("{approval: {message: x, who: []}}", "approval.who", "leave the key out"),
        ("{approval: {message: x, who: ['a b']}}", "approval.who[0]", "role:"),
        ("{approval: {message: x, form: {type: array}}}", "approval.form", "object"),
        ("{emit: {event: 'a b'}}", "tasks[1].emit.event", "an event's name"),
        ("{branch: {cases: []}}", "tasks[1].branch.cases", "at least one case"),
        ("{branch: {cases: [{when: '${{ input.n }}', to: []}]}}", "cases[0].when", "a boolean"),
        ("{branch: {cases: [{when: '${{ true }}', to: [z]}]}}", "cases[0].to[0]", "no task 'z'"),
        ("{branch: {cases: [{when: '${{ true }}', to: [a]}]}}", "needs", "wait for each other"),
        ("{branch: {cases: [{when: '${{ true }}', to: []}]}, retries: 1}", "retries", "decides"),
        ("{run: x, secrets: {PATH: k}}", "secrets.PATH", "no secret may reach it"),
        ("{run: x, secrets: {K: 'A B'}}", "secrets.K", "a secret's name"),
        ("{run: x, rate: {key: a, max: 1}}", "tasks[1].rate", "'per' is missing"),
        ("{run: x, sleep: 1m}", "tasks[1]", "keep one of run, sleep"),
    ],
)  # fmt: skip
def test_a_fault_in_a_flow_names_its_place_and_the_way_out(
    task: str, where: str, what: str
) -> None:
    text = with_input("{name: a, noop: true, needs: []}", f"{{name: b, needs: [a], {task[1:]}")
    found = faults(text)
    assert any(where in line and what in line for line in found), found


@pytest.mark.parametrize(
    ("head", "where", "what"),
    [
        ("hooks: {begin: {noop: true}}", "hooks.begin", "known: exit, failure, start"),
        ("hooks: {start: {run: 'x ${{ tasks.a.output }}'}}", "hooks.start.run", "has begun"),
        ("hooks: {start: {run: 'x ${{ error }}'}}", "hooks.start.run", "only hooks"),
        ("hooks: {exit: {run: 'x ${{ failed + 1 }}'}}", "hooks.exit.run", "no meaning"),
        ("hooks: {exit: {noop: true, when: always}}", "hooks.exit.when", "no key 'when'"),
        ("hooks: {exit: {branch: {cases: [{when: '${{ true }}', to: [a]}]}}}", "hooks.exit.branch",
         "nothing follows"),
        ("concurrency: {key: '${{ tasks.a.output }}'}", "concurrency.key", "has begun"),
        ("concurrency: {key: x, on_conflict: fight}", "concurrency.on_conflict", "replace"),
        ("concurrency: {max: 2}", "concurrency", "'key' is missing"),
        ("result: {x: '${{ tasks.b.output }}'}", "result.x", "no task 'b'"),
        ("result: '${{ item }}'", "result", "'for_each'"),
        ("schedules: [daily]", "schedules[0]", "a map is expected"),
        ("undo_on_stop: yes please", "undo_on_stop", "true or false"),
    ],
)  # fmt: skip
def test_a_fault_of_the_whole_type_names_its_place_and_the_way_out(
    head: str, where: str, what: str
) -> None:
    found = faults(f"{head}\n" + with_tasks("{name: a, noop: true}"))
    assert any(f" {where}: " in line and what in line for line in found), found


def test_a_task_may_speak_of_one_that_may_be_skipped_and_not_of_one_that_may_still_run() -> None:
    tasks = (
        "{name: a, noop: true, needs: []}",
        "{name: b, noop: true, needs: [a], when: '${{ input.x }}'}",
        "{name: c, noop: true, needs: [a]}",
        "{name: d, run: 'x ${{ tasks.b.status }} ${{ tasks.a.status }}', needs: [b, c]}",
        "{name: e, run: 'x ${{ tasks.b.status }}', needs: [b, c], join: any}",
    )
    assert one(with_tasks(*tasks))
    [found] = faults(with_tasks(*tasks, "{name: f, run: 'x ${{ tasks.b.status }}', needs: [c]}"))
    assert "let 'f' need it" in found
    behind = "{name: f, run: 'x ${{ tasks.c.status }}', needs: [e]}"
    [found] = faults(with_tasks(*tasks, behind))
    assert "'c' is not sure to be over when 'f' begins" in found


def test_what_was_published_before_an_error_of_types_was_known_can_still_be_read() -> None:
    wrong = {
        "name": "t",
        "input": {"type": "object", "properties": {"day": {"type": "string"}}},
        "tasks": [{"name": "a", "run": "x ${{ input.day + 1 }}"}],
    }
    assert isinstance(from_document(wrong), ProcessType)
    with pytest.raises(InvalidDefinition, match=r"string\(…\)"):
        process_types.parse(json.dumps(wrong))
