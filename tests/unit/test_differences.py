from typing import Any

import pytest

from scheduler.domain.differences import Difference, between, unified


def found(before: Any, after: Any) -> list[tuple[str, str, Any, Any]]:
    return [(each.path, each.kind, each.before, each.after) for each in between(before, after)]


def of_tasks(*names: str) -> dict[str, Any]:
    return {"tasks": [{"name": name, "run": f"echo {name}"} for name in names]}


def test_equal_documents_differ_in_nothing() -> None:
    document = {"name": "a", "tasks": [{"name": "b", "run": ["c", "d"]}], "labels": {}}
    assert between(document, dict(document)) == []


def test_what_was_added_removed_or_changed_is_told_with_its_place() -> None:
    before = {"name": "a", "timeout": "5m", "labels": {"team": "x"}}
    after = {"name": "a", "priority": 9, "labels": {"team": "y"}}
    assert found(before, after) == [
        ("timeout", "removed", "5m", None),
        ("priority", "added", None, 9),
        ("labels.team", "changed", "x", "y"),
    ]


def test_tasks_are_compared_by_their_names() -> None:
    before = of_tasks("load", "press")
    after = {"tasks": [{"name": "check", "noop": True}, *of_tasks("load", "press")["tasks"]]}
    after["tasks"][2]["run"] = "press --hard"
    assert found(before, after) == [
        ("tasks[check]", "added", None, {"name": "check", "noop": True}),
        ("tasks[press].run", "changed", "echo press", "press --hard"),
    ]


def test_a_task_that_was_put_elsewhere_is_one_change() -> None:
    assert found(of_tasks("a", "b", "c", "d"), of_tasks("d", "a", "b", "c")) == [
        ("tasks[d]", "moved", 3, 0)
    ]


def test_a_command_is_read_as_one() -> None:
    assert found({"run": ["ls", "-l"]}, {"run": ["ls", "-a", "-l"]}) == [
        ("run", "changed", ["ls", "-l"], ["ls", "-a", "-l"])
    ]


def test_things_without_names_are_compared_by_their_places() -> None:
    before = {"enum": [{"a": 1}, {"a": 2}]}
    assert found(before, {"enum": [{"a": 1}, {"a": 3}, {"a": 2}]}) == [
        ("enum[1].a", "changed", 2, 3),
        ("enum[2]", "added", None, {"a": 2}),
    ]
    assert found(before, {"enum": [{"a": 1}]}) == [("enum[1]", "removed", {"a": 2}, None)]


@pytest.mark.parametrize(("before", "after"), [(True, 1), (False, 0), (None, 0), ("1", 1)])
def test_values_of_another_kind_are_other_values(before: Any, after: Any) -> None:
    assert between(before, after) == [Difference("", "changed", before, after)]
    assert between([before], [after]) == [Difference("", "changed", [before], [after])]


def test_names_that_appear_twice_name_nothing() -> None:
    twice = [{"name": "a"}, {"name": "a"}]
    assert found({"x": twice}, {"x": twice[:1]}) == [("x[1]", "removed", {"name": "a"}, None)]


def test_the_text_is_a_unified_diff_and_nothing_if_it_is_too_long() -> None:
    text = unified("a\nb\n", "a\nc\n", ("t v1", "t v2"))
    assert text == "--- t v1\n+++ t v2\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n"
    assert unified("a\n" * 6_000, "b\n", ("1", "2")) is None
