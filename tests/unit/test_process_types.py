import json
import re
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import scheduler
from scheduler.demo import demo_types
from scheduler.domain import process_types, task_reading, type_reading
from scheduler.domain.commands import Argv, Script, Split
from scheduler.domain.definitions import Limit, OnFailure, ProcessType, ResourceLimits
from scheduler.domain.errors import Invalid, InvalidDefinition
from scheduler.domain.process_types import digest, from_document, parse, to_document
from scheduler.domain.retries import RetryPolicy

SCHEMA = json.loads((Path(scheduler.__file__).parent / "definition.schema.json").read_text())
FOLDER = Path(scheduler.__file__).parents[1] / "examples"
EXAMPLES = sorted(each for each in FOLDER.rglob("*.yaml") if ".test" not in each.suffixes)

GUIDE = Path(scheduler.__file__).parents[1] / "docs" / "definitions.md"
BLOCKS = [
    block
    for page in (GUIDE, GUIDE.with_name("translating.md"))
    for block in re.findall(r"^```yaml\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
]

EVERYTHING = """\
name: everything
description: every key there is
input:
  type: object
  properties: {day: {type: string, format: date}}
vars: {hook: "https://example.org", limits: [1, 2]}
timeout: 2h
priority: 7
queue: reports
max_parallel: 3
labels: {team: data}
tasks:
  - name: extract
    description: gets it
    run: extract --day ${{ input.day }}
    cwd: /srv/${{ vars.hook }}
    env: {LANG: C, DAY: "${{ input.day }}"}
    stdin: "${{ input.day }}"
    timeout: 10m
    grace: 5s
    retries: {max: 3, delay: 2s, backoff: 1.5, max_delay: 1m, jitter: 0.2, exit_codes: [75, 1]}
    queue: heavy
    priority: 9
    on_failure: {handler: clean-up}
    on_lost: wait
    limit: {key: "db-${{ vars.hook }}", max: 2}
    output_cap: 64KiB
    merge_output: true
    resource_limits: {cpu_seconds: 60, memory_bytes: 1GiB, open_files: 64}
    user: nobody
    labels: {tier: one}
  - {name: pause, noop: true, needs: [extract]}
  - name: clean-up
    shell: |
      rm -rf -- "$WHERE"
    env: {WHERE: "/srv/${{ tasks.extract.exit_code }}"}
  - {name: tell, run: [echo, "${{ tasks.extract.output }}"], needs: [pause], on_failure: continue}
"""


def one(text: str) -> ProcessType:
    [process_type] = parse(text)
    return process_type


def faults(text: str) -> list[str]:
    with pytest.raises(InvalidDefinition) as refused:
        parse(text, source="f.yaml")
    return refused.value.faults


def with_tasks(*tasks: str) -> str:
    return "name: t\ntasks:\n" + "".join(f"  - {task}\n" for task in tasks)


def test_every_key_arrives_where_it_belongs() -> None:
    found = one(EVERYTHING)
    extract, pause, clean_up, tell = found.tasks
    assert (found.name, found.priority, found.queue, found.max_parallel) == (
        "everything", 7, "reports", 3,
    )  # fmt: skip
    assert found.timeout == timedelta(hours=2)
    assert found.vars == {"hook": "https://example.org", "limits": [1, 2]}
    assert extract.command == Split("extract --day ${{ input.day }}")
    assert extract.retries == RetryPolicy(
        max=3,
        delay=timedelta(seconds=2),
        backoff=1.5,
        max_delay=timedelta(minutes=1),
        jitter=0.2,
        exit_codes=frozenset({1, 75}),
    )
    assert extract.on_failure == OnFailure("handler", "clean-up")
    assert extract.limit == Limit("db-${{ vars.hook }}", 2)
    assert (extract.output_cap, extract.grace) == (64 << 10, timedelta(seconds=5))
    assert extract.resource_limits == ResourceLimits(
        cpu_seconds=60, memory_bytes=1 << 30, open_files=64
    )
    assert (pause.kind, pause.command, pause.needs) == ("noop", None, ("extract",))
    assert isinstance(clean_up.command, Script)
    assert tell.command == Argv(("echo", "${{ tasks.extract.output }}"))


def test_a_list_without_needs_runs_in_its_order_and_handlers_stand_outside() -> None:
    found = one(
        with_tasks(
            "{name: a, noop: true, on_failure: {handler: h}}",
            "{name: h, noop: true}",
            "{name: b, noop: true}",
        )
    )
    assert [task.needs for task in found.tasks] == [(), (), ("a",)]


def test_one_needs_makes_the_file_a_graph() -> None:
    found = one(
        with_tasks(
            "{name: a, noop: true}", "{name: b, noop: true, needs: []}", "{name: c, noop: true}"
        )
    )
    assert [task.needs for task in found.tasks] == [(), (), ()]


def test_a_file_may_hold_several_types_and_a_stored_one_reads_back() -> None:
    text = "\n---\n".join([EVERYTHING, with_tasks("{name: a, noop: true}")])
    first, second = parse(text)
    for each in (first, second, *demo_types()):
        assert from_document(json.loads(json.dumps(to_document(each)))) == each


def test_json_gives_the_same_type_as_yaml() -> None:
    assert parse(json.dumps(yaml.safe_load(EVERYTHING))) == parse(EVERYTHING)


@pytest.mark.parametrize(
    ("text", "other", "same"),
    [
        ("{name: a, run: x, timeout: 90s}", "{timeout: 1m30s, run: x, name: a}", True),
        ("{name: a, run: x}", "{name: a, run: x, priority: null}", None),
        ("{name: a, run: x}", "{name: a, run: x, on_lost: retry, grace: 10s}", True),
        ("{name: a, run: x, needs: []}", "{name: a, run: x}", True),
        ("{name: a, run: x}", "{name: a, run: [x]}", False),
        ("{name: a, run: x}", "{name: a, run: x, timeout: 1s}", False),
    ],
)
def test_the_digest_is_of_the_content_and_not_of_its_spelling(
    text: str, other: str, same: bool | None
) -> None:
    if same is None:
        assert "not nothing" in faults(with_tasks(other))[0]
    else:
        assert (digest(one(with_tasks(text))) == digest(one(with_tasks(other)))) is same


def test_all_faults_are_told_at_once_each_with_its_place_and_a_remedy() -> None:
    found = faults(
        "name: Report\n"
        "tasks:\n"
        "  - name: load\n"
        "    run: cat x | sort\n"
        "    retires: 3\n"
        "    retries: {max: many, dealy: 1s}\n"
        "  - {name: load, noop: true}\n"
        "schedule: daily\n"
    )
    assert [re.sub(r"(\S+: \S+: .{12}).*", r"\1", line) for line in found] == [
        "f.yaml:1:7: name: the text 'Re",
        "f.yaml:4:16: tasks[0].run: '|' is for a",
        "f.yaml:5:5: tasks[0].retires: there is no ",
        "f.yaml:6:20: tasks[0].retries.max: a whole numb",
        "f.yaml:6:26: tasks[0].retries.dealy: there is no ",
        "f.yaml:7:12: tasks[1].name: 'load' is th",
        "f.yaml:8:1: schedule: there is no ",
    ]
    assert "did you mean 'retries'?" in found[2]
    assert "did you mean 'delay'?" in found[4]


@pytest.mark.parametrize(
    ("task", "where", "what"),
    [
        ("{name: a}", "3:5: tasks[0]", "give one of run, shell"),
        ("{name: a, run: x, noop: true}", "tasks[0]", "twice"),
        ("{run: x}", "tasks[0]", "'name' is missing"),
        ("{name: A, run: x}", "tasks[0].name", "a-z"),
        ("{name: a.b, run: x}", "tasks[0].name", "a-z"),
        ("{name: a, run: ''}", "tasks[0].run", "empty"),
        ("{name: a, run: []}", "tasks[0].run", "must not be empty"),
        ("{name: a, run: {x: 1}}", "tasks[0].run", "a map"),
        ("{name: a, run: [x, [y]]}", "tasks[0].run[1]", "text is expected"),
        ("{name: a, noop: false}", "tasks[0].noop", "noop: true"),
        ("{name: a, noop: true, env: {A: b}}", "tasks[0].env", "no command"),
        ("{name: a, shell: 'rm ${{ input.x }}'}", "3:26: tasks[0].shell", '"$NAME"'),
        ("{name: a, run: x, env: {'A B': c}}", "tasks[0].env.'A B'", "names no variable"),
        ("{name: a, run: x, env: {PATH: '${{ input.p }}'}}", "env.PATH", "no data may"),
        ("{name: a, run: x, env: {LD_PRELOAD: '${{ input.p }}'}}", "env.LD_PRELOAD", "no data"),
        ("{name: a, run: x, env: {pythonpath: '${{ input.p }}'}}", "env.pythonpath", "no data"),
        ("{name: a, run: x, timeout: 0}", "tasks[0].timeout", "above zero"),
        ("{name: a, run: x, timeout: soon}", "tasks[0].timeout", "1h30m"),
        ("{name: a, run: x, retries: {delay: 1s}}", "tasks[0].retries", "'max' is missing"),
        ("{name: a, run: x, retries: {max: 1, exit_codes: []}}", "exit_codes", "leave the key"),
        (
            "{name: a, run: x, retries: {max: 1, max_delay: 1ms}}",
            "tasks[0].retries",
            "shorter than 'delay'",
        ),
        ("{name: a, run: x, priority: 10}", "tasks[0].priority", "from 0 to 9"),
        ("{name: a, run: x, merge_output: no}", "merge_output", "the text 'no'"),
        ("{name: a, run: x, on_failure: stopp}", "on_failure", "did you mean 'stop'"),
        ("{name: a, run: x, on_failure: {handler: b}}", "on_failure.handler", "no task 'b'"),
        ("{name: a, run: x, on_failure: {handler: a}}", "tasks[0]", "a → a"),
        ("{name: a, run: x, needs: [b]}", "3:31: tasks[0].needs[0]", "no task 'b'"),
        ("{name: a, run: x, needs: [a]}", "tasks[0].needs", "a → a"),
        ("{name: a, run: x, limit: {max: 3}}", "tasks[0].limit", "'key' is missing"),
        ("{name: a, run: x, output_cap: 4 MB!}", "output_cap", "4MiB"),
        ("{name: a, run: 'x ${{ inptu.day }}'}", "3:27: tasks[0].run", "did you mean 'input'"),
        ("{name: a, run: 'x ${{ 1 + }}'}", "tasks[0].run", "a value is expected"),
        ("{name: a, run: 'x ${{ tasks.b.output }}'}", "3:33: tasks[0].run", "no task 'b'"),
        ("{name: a, run: 'x ${{ tasks.a.output }}'}", "tasks[0].run", "let 'a' need it"),
        ("{name: a, run: x, cwd: '${{ foo(1) }}'}", "tasks[0].cwd", "no function 'foo'"),
        ("just text", "tasks[0]", "a map is expected"),
        (f"{{name: a, run: [x, {'y' * 140_000}]}}", "3:5: tasks[0]", "run[1]: the value is longer"),
        ("{name: a, run: [x], needs: [[b], 3]}", "tasks[0].needs[0]", "no name"),
    ],
)
def test_a_fault_names_its_place_and_the_way_out(task: str, where: str, what: str) -> None:
    [*found] = faults(with_tasks(task))
    assert any(where in line and what in line for line in found), found


@pytest.mark.parametrize(
    ("tasks", "what"),
    [
        (["{name: a, noop: true, needs: [b]}", "{name: b, noop: true, needs: [a]}"], "wait for"),
        (
            ["{name: a, noop: true, needs: [h]}",
             "{name: b, noop: true, needs: [a], on_failure: {handler: h}}",
             "{name: h, noop: true}"],
            "wait for each other",
        ),
        (
            ["{name: a, noop: true, on_failure: {handler: h}}", "{name: h, noop: true, needs: []}",
             "{name: c, noop: true, needs: [a]}", "{name: h2, noop: true, needs: [c]}"],
            None,
        ),
        (
            ["{name: a, noop: true, on_failure: {handler: h}}",
             "{name: h, noop: true, needs: [a]}"],
            "leave 'needs' out",
        ),
        (
            ["{name: a, noop: true, on_failure: {handler: h}}",
             "{name: b, noop: true, on_failure: {handler: h}}",
             "{name: h, run: 'x ${{ tasks.b.status }}'}"],
            "not sure to be over",
        ),
        (["{name: a, noop: true}", "{name: b, noop: true, needs: [a, a]}"], "there twice"),
    ],
)  # fmt: skip
def test_an_order_that_cannot_be_is_refused(tasks: list[str], what: str | None) -> None:
    if what is None:
        assert len(one(with_tasks(*tasks)).tasks) == len(tasks)
    else:
        assert any(what in line for line in faults(with_tasks(*tasks)))


def test_an_expression_in_a_block_of_text_is_found_in_its_line() -> None:
    text = "name: t\ntasks:\n  - name: a\n    run: >-\n      echo one\n      two ${{ oops }}\n"
    [found] = faults(text)
    assert found.startswith("f.yaml:6:15: tasks[0].run: there is no 'oops'")


def test_a_closed_input_has_no_other_fields() -> None:
    schema = "input: {properties: {day: {}}, additionalProperties: false}\n"
    found = faults(schema + with_tasks("{name: a, run: 'x ${{ input.dya }}'}"))
    assert "did you mean 'day'" in found[0]


@pytest.mark.parametrize(
    "text",
    ["", "# nothing\n", "---\n---\n", "[]", "just text", "3", "name: t", "tasks: []", "a: ["],
)
def test_a_text_without_a_process_type_is_refused(text: str) -> None:
    assert faults(text)[0].startswith("f.yaml")


def test_two_types_of_one_name_in_a_file_are_refused() -> None:
    text = with_tasks("{name: a, noop: true}")
    assert "twice in this file" in faults(f"{text}---\n{text}")[0]


def test_a_stored_document_is_read_as_strictly_as_a_file() -> None:
    document = to_document(one(EVERYTHING)) | {"extra": 1}
    with pytest.raises(InvalidDefinition, match="stored document: extra"):
        from_document(document)


def test_a_thousand_faults_are_not_all_told() -> None:
    found = faults(with_tasks(*["{nmae: a, noop: true}"] * 1000))
    assert len(found) <= 101
    assert "more" in found[-1]


def test_five_thousand_tasks_in_a_row_are_read_in_seconds() -> None:
    found = one(with_tasks(*[f"{{name: t{n}, noop: true}}" for n in range(5000)]))
    assert found.tasks[-1].needs == ("t4998",)


KEYS = st.sampled_from([*type_reading.KEYS, *task_reading.KEYS, "max", "key", "handler", "x"])
LEAVES: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, False, 0, 1, -1, 1.5, "", "a", "b", "10m", "${{ input.x }}", "${{", "a | b",
     "${{ tasks.a.output }}", "stop", "4MiB", [], {}, "\u2028", "x" * 300]
)  # fmt: skip
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=15,
)
TASKS = st.lists(st.dictionaries(st.sampled_from(task_reading.KEYS), TREES, max_size=6), max_size=4)
DOCUMENTS = st.dictionaries(st.sampled_from(type_reading.KEYS), TREES, max_size=6) | st.builds(
    lambda rest, tasks: {"name": "t", **rest, "tasks": tasks},
    st.dictionaries(st.sampled_from(type_reading.KEYS), TREES, max_size=2),
    TASKS,
)


@settings(max_examples=600, deadline=None)
@given(DOCUMENTS)
def test_no_document_does_worse_than_being_refused(document: dict[str, Any]) -> None:
    with suppress(InvalidDefinition):
        for found in parse(json.dumps(document)):
            assert from_document(to_document(found)) == found


@settings(max_examples=300, deadline=None)
@given(
    st.integers(0, len(EVERYTHING)),
    st.integers(0, 30),
    st.text("{}[]:,&*!|'\"#- \n$a1", max_size=6),
)
def test_no_slip_of_the_pen_does_worse_than_being_refused(at: int, cut: int, put: str) -> None:
    with suppress(InvalidDefinition):
        parse(EVERYTHING[:at] + put + EVERYTHING[at + cut :])


def test_the_published_schema_is_one_and_knows_the_same_keys() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert set(SCHEMA["properties"]) == set(type_reading.KEYS)
    assert set(SCHEMA["$defs"]["task"]["properties"]) == set(task_reading.KEYS)
    retries = SCHEMA["$defs"]["retries"]["anyOf"][1]
    assert set(retries["properties"]) == set(task_reading.RETRY_KEYS)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_is_sound(path: Path) -> None:
    assert parse(path.read_text(), source=path.name)


@pytest.mark.parametrize("text", BLOCKS, ids=lambda text: text.split("\n")[0])
def test_what_the_guide_shows_is_sound(text: str) -> None:
    assert parse(text, source=GUIDE.name)


def test_the_guide_speaks_of_every_key() -> None:
    told = GUIDE.read_text()
    missing = [
        key
        for key in (*type_reading.KEYS, *task_reading.KEYS, *task_reading.RETRY_KEYS)
        if f"`{key}`" not in told
    ]
    assert missing == []


class Words(yaml.SafeLoader):
    """Reads `on` as the word that it is, as YAML does since 1.2."""


Words.yaml_implicit_resolvers = {
    first: [each for each in found if first in "tTfF" or each[0] != "tag:yaml.org,2002:bool"]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@pytest.mark.parametrize(
    "document",
    [
        yaml.safe_load(EVERYTHING),
        *(to_document(each) for each in demo_types()),
        *(each for path in EXAMPLES for each in yaml.load_all(path.read_text(), Words)),
    ],
    ids=lambda document: document["name"],
)
def test_the_published_schema_accepts_what_is_sound(document: dict[str, Any]) -> None:
    jsonschema.validate(document, SCHEMA)


@pytest.mark.parametrize(
    "task",
    ["{name: a}", "{name: A, run: x}", "{name: a, run: x, shell: y}", "{name: a, run: x, y: 1}",
     "{name: a, run: x, retries: {delay: 1s}}", "{name: a, run: x, on_failure: never}",
     "{name: a, run: x, priority: 10}", "{name: a, run: []}"],
)  # fmt: skip
def test_the_published_schema_refuses_what_is_not(task: str) -> None:
    text = with_tasks(task)
    assert faults(text)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(text), SCHEMA)


def test_the_demo_types_are_the_ones_people_know_and_start_without_input() -> None:
    found = {each.name: each for each in demo_types()}
    policies = {
        task.name: ((task.timeout or timedelta()).total_seconds() / 60, task.retries.max)
        for each in found.values()
        for task in each.tasks
    }
    assert sorted(found) == [
        "failing-process", "single-task-process", "three-task-process", "two-task-process",
    ]  # fmt: skip
    assert policies == {
        "test-1-1": (30, 2),
        "test-2-1": (45, 2),
        "test-2-2": (60, 3),
        "test-3-1": (30, 2),
        "test-3-2": (60, 3),
        "test-3-3": (45, 2),
        "test-failing": (30, 2),
    }
    for each in found.values():
        process_types.check_input(each, {})


def test_a_refusal_is_one_of_the_family() -> None:
    assert issubclass(InvalidDefinition, Invalid)
