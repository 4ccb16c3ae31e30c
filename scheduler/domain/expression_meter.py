"""The price of evaluating, and what values are called in messages."""

from collections.abc import Mapping
from typing import Any

from scheduler.domain.errors import Invalid

BUDGET = 400_000  # about half a second at worst; ten thousand elements filtered cost a quarter


class ValueFault(Invalid):
    """A part of an expression has no value; whoever knows the part adds where it stands."""


class TooMuchWork(Invalid):
    def __init__(self) -> None:
        super().__init__("the expression takes too much work: go through less data at once")


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
