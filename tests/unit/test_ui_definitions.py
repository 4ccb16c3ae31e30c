"""Definitions as texts: written in a readable order, and compared side by side."""

from typing import Any

import pytest
import yaml

from scheduler.domain.process_types import from_document, parse, to_document
from ui import definition_text, sides

SCRIPT = "set -e\nfor each in 1 2; do\n  echo $each\ndone\n"
DOCUMENT: dict[str, Any] = {
    "tasks": [{"run": ["echo", "a b"], "name": "x"}, {"shell": SCRIPT, "name": "y"}],
    "labels": {"owner": "ann", "yes": "no"},
    "input": {"properties": {"a": {"default": 1, "type": "integer"}}, "type": "object"},
    "name": "mixed",
}


def test_a_definition_begins_with_its_name_and_each_task_with_its_own() -> None:
    text = definition_text.written(DOCUMENT)
    assert text.startswith("name: mixed\n")
    assert text.index("input:") < text.index("tasks:")
    assert "- name: x\n" in text
    assert "shell: |\n    set -e\n" in text


@pytest.mark.parametrize(
    "text", [SCRIPT, "", "yes", "1", " x \n", "a: b\n\tc", "\x85", "a\r\nb", "\u2028\n", "ü"]
)
def test_whatever_is_written_reads_back_as_the_same(text: str) -> None:
    document = {**DOCUMENT, "description": text}
    assert yaml.safe_load(definition_text.written(document)) == document


def test_what_is_shown_can_be_published_again_and_is_the_same_version() -> None:
    [first] = parse("name: a\ntasks: [{name: x, run: echo hi}, {name: y, needs: [x], noop: true}]")
    [again] = parse(definition_text.written(to_document(first)))
    assert (
        to_document(again) == to_document(first) == to_document(from_document(to_document(first)))
    )


def test_texts_are_compared_line_by_line_and_what_is_alike_is_folded() -> None:
    old = "\n".join(f"line {n}" for n in range(30))
    new = old.replace("line 10\n", "line ten\nand more\n").replace("line 20\n", "")
    found = sides.compare(old, new)
    assert found is not None
    kinds = [each.kind for each in found]
    assert kinds.count("fold") == 3
    [changed] = [each for each in found if each.kind == "changed"]
    assert (changed.old, changed.before, changed.new, changed.after) == (
        11, "line 10", 11, "line ten",
    )  # fmt: skip
    assert [each.after for each in found if each.kind == "added"] == ["and more"]
    assert [each.before for each in found if each.kind == "removed"] == ["line 20"]
    shown = sum(each.old or 0 for each in found if each.kind == "fold")
    assert shown + sum(each.kind in ("same", "changed", "removed") for each in found) == 30


def test_texts_that_say_the_same_show_no_line_and_very_long_ones_are_not_compared() -> None:
    assert sides.compare("a\nb", "a\nb") == []
    assert sides.compare("x\n" * 6_000, "y\n") is None
