from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from executor.base import Invocation, Limits
from scheduler.domain.process_types import ProcessType, parse
from scheduler.domain.rendering import LONGEST_ARGUMENT, RenderFault, limit_keys, render

NASTY = [
    "; rm -rf /", "$(id)", "`id`", "| cat", "&& true", "> /x", "a b", "'", '"', "\\", "*", "~", "",
    "-rf", "--help", "\n", "$HOME", "${{ input.v }}", "${IFS}", "#", "!!", "\u202e", "é",
]  # fmt: skip


def a_type(task: str, head: str = "") -> ProcessType:
    [found] = parse(f"name: t\n{head}tasks: [{{name: a, {task}}}]")
    return found


def rendered(task: str, **values: Any) -> dict[str, Any]:
    return render(a_type(task).tasks[0], {"input": values})


def test_an_invocation_is_what_executors_take() -> None:
    found = rendered("run: x, resource_limits: {open_files: 9}, timeout: 2m, on_lost: wait")
    assert set(found) <= {field.name for field in fields(Invocation)}
    assert Invocation(**found | {"limits": Limits(**found["limits"])}).timeout == 120.0
    assert rendered("noop: true") == {}


@pytest.mark.parametrize("value", NASTY)
def test_a_nasty_value_is_one_argument_and_no_more(value: str) -> None:
    found = rendered("run: 'echo ${{ input.v }} x${{ input.v }}'", v=value)
    assert found["argv"] == ["echo", value, f"x{value}"]


@settings(max_examples=2000, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_every_value_arrives_exactly(value: str) -> None:
    found = rendered(
        "run: [echo, '${{ input.v }}', 'x${{ input.v }}'], env: {V: '${{ input.v }}'}, "
        "stdin: '${{ input.v }}'",
        v=value,
    )
    assert (found["argv"], found["env"], found["stdin"]) == (
        ["echo", value, f"x{value}"],
        {"V": value},
        value,
    )


def test_a_script_is_handed_to_the_shell_as_it_stands_and_values_come_as_variables() -> None:
    found = rendered("shell: 'echo \"$V\"', env: {V: '${{ input.v }}'}", v="$(id)")
    assert found["argv"] == ["/bin/sh", "-c", 'echo "$V"']
    assert found["env"] == {"V": "$(id)"}


def test_numbers_booleans_and_maps_read_as_json() -> None:
    found = rendered("run: 'x ${{ input.n }} ${{ input.f }} ${{ input.b }} ${{ input.m }}'",
                     n=7, f=1.5, b=True, m={"a": [1, None]})  # fmt: skip
    assert found["argv"] == ["x", "7", "1.5", "true", '{"a":[1,null]}']


@pytest.mark.parametrize(
    ("task", "value", "why"),
    [
        ("run: 'x ${{ input.v }}'", None, r"run\[1\]: \$\{\{ input.v \}\} is null"),
        ("run: 'x ${{ input.v }}'", [1], r"run\[1\]: .*is a list"),
        ("run: 'x ${{ input.v }}'", "a\0b", r"run\[1\]: .*NUL"),
        ("run: 'x ${{ input.v }}'", "é" * LONGEST_ARGUMENT, "longer than"),
        ("run: '${{ input.v }} x'", "", r"run\[0\]: the program's name is empty"),
        ("run: 'x ${{ input.gone }}'", 1, r"run\[1\]: there is no 'gone'"),
        ("run: x, env: {A: '${{ input.v }}'}", None, "env.A"),
        ("run: x, cwd: '/x/${{ input.v }}'", "\0", "cwd"),
        ("run: x, stdin: '${{ input.v }}'", None, "stdin"),
    ],
)
def test_what_cannot_be_rendered_names_its_field(task: str, value: Any, why: str) -> None:
    with pytest.raises(RenderFault, match=why):
        rendered(task, v=value)


def test_limits_are_keys_with_their_sizes() -> None:
    found = a_type("run: x, limit: {key: 'c-${{ input.c }}', max: 3}", "max_parallel: 2\n")
    assert limit_keys(found, found.tasks[0], {"input": {"c": 7}}) == [("type:t", 2), ("key:c-7", 3)]
    plain = a_type("run: x")
    assert limit_keys(plain, plain.tasks[0], {}) == []


def test_a_key_that_has_grown_too_long_is_refused() -> None:
    found = a_type("run: x, limit: {key: '${{ input.c }}'}")
    with pytest.raises(RenderFault, match=r"limit\.key"):
        limit_keys(found, found.tasks[0], {"input": {"c": "x" * 300}})
