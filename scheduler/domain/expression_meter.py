"""The price of evaluating, and what values are called in messages."""

from collections.abc import Mapping
from typing import Any

from scheduler.domain.errors import Invalid

BUDGET = 400_000  # about 0.2 s; to filter ten thousand elements takes a fifth of it
MOST_VALUES = 200_000  # in a result, written out
LONGEST_TEXT = 4 << 20  # characters in a result


class ValueFault(Invalid):
    """A part of an expression has no value; whoever knows the part adds where it stands."""


class TooMuchWork(Invalid):
    def __init__(self) -> None:
        super().__init__("the expression takes too much work: go through less data at once")


class TooLarge(Invalid):
    def __init__(self) -> None:
        super().__init__("the expression's value is too large: choose a part of it")


class Meter:
    def __init__(self, budget: int = BUDGET) -> None:
        self.left = budget

    def spend(self, units: int) -> None:
        self.left -= units
        if self.left < 0:
            raise TooMuchWork


def size_of(value: str | list[Any] | int | float | bool | None) -> int:
    """What it costs to go through a value once: text is quick, elements are not."""
    if isinstance(value, str):
        return len(value) // 32
    return len(value) // 4 if isinstance(value, list) else 0


def kind_of(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a map" if isinstance(value, Mapping) else "a list"


def refuse_too_large(value: Any) -> None:
    """A list may hold itself a thousand times over at no cost, until somebody writes it out."""
    values, characters, todo = 0, 0, [value]
    while todo:
        each = todo.pop()
        values += 1
        if isinstance(each, str):
            characters += len(each)
        elif isinstance(each, list):
            todo += each
        elif isinstance(each, Mapping):
            todo += each.values()
            characters += sum(map(len, each))
        if values + len(todo) > MOST_VALUES or characters > LONGEST_TEXT:
            raise TooLarge
