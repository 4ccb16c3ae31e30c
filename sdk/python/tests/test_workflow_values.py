"""Values and definitions: what is data comes back as what it was, and hints become a schema."""

import enum
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procession.workflows import NotJson, WorkflowError, workflow
from procession.workflows.commands import most_urgent
from procession.workflows.faults import fault_of, raised_again
from procession.workflows.steps import Tries
from procession.workflows.values import decode, encode, keepable


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Part:
    name: str
    colour: Colour = Colour.RED
    inner: "Part | None" = None
    sizes: dict[str, Decimal] = field(default_factory=dict)


EXAMPLES: list[tuple[Any, Any]] = [
    (int, 3),
    (float, 3.0),
    (str, "text"),
    (list[int], [1, 2]),
    (tuple[int, str], (1, "a")),
    (tuple[int, ...], (1, 2, 3)),
    (set[str], {"a"}),
    (dict[str, date], {"day": date(2026, 1, 2)}),
    (datetime, datetime(2026, 1, 2, 3, 4, tzinfo=UTC)),
    (timedelta, timedelta(hours=3)),
    (UUID, UUID(int=9)),
    (Decimal, Decimal("1.10")),
    (PurePosixPath, PurePosixPath("a/b")),
    (Colour, Colour.BLUE),
    (Part, Part("a", Colour.BLUE, Part("b"), {"x": Decimal("1.5")})),
    (Part | None, None),
    (list[Part | None], [Part("a"), None]),
    (Annotated[int, "a number"], 4),
    (Any, {"as": ["it", "is"]}),
]


@pytest.mark.parametrize(("kind", "value"), EXAMPLES, ids=[str(kind) for kind, _ in EXAMPLES])
def test_a_value_comes_back_as_what_it_was(kind: Any, value: Any) -> None:
    if isinstance(value, set):
        assert decode(kind, sorted(value)) == value
    else:
        assert decode(kind, encode(value)) == value


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, width=32)
    | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc"), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(JSON)
def test_data_is_kept_as_it_is(value: Any) -> None:
    if value not in (float("inf"), float("-inf")) and "inf" not in repr(value):
        assert keepable(value) == value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": [float("nan")]}, r"x\.a\[0\] is nan, which JSON cannot hold"),
        ({1: 2}, r"x has the key 1: keys of a map are texts"),
        ([object()], r"x\[0\] is a object, which is no data"),
        ("\0", "without NUL"),
        (2**70, "a whole number"),
        ("a" * 2_000_000, "x"),
    ],
    ids=["nan", "key", "object", "nul", "large", "long"],
)
def test_what_cannot_be_kept_is_refused_with_its_place(value: Any, message: str) -> None:
    with pytest.raises(NotJson, match=message):
        keepable(value, "x")


def test_hints_become_the_schema_of_the_input() -> None:
    @workflow(timeout=timedelta(hours=1), limit={"key": "${{ input.item }}", "max": 2}, retries=3)
    async def Order(  # noqa: N802 - names of workflows are lower-case
        item: str,
        many: Annotated[int, {"minimum": 1}] = 1,
        colour: Colour | None = None,
        way: Literal["air", "sea"] = "sea",
        parts: list[Part] = [],  # noqa: B006 - a default of a schema
    ) -> None:
        """Orders something.

        And more.
        """

    assert Order.definition == {
        "name": "order",
        "description": "Orders something.",
        "timeout": 3600.0,
        "tasks": [
            {
                "name": "order",
                "workflow": "order",
                "retries": {"max": 3},
                "limit": {"key": "${{ input.item }}", "max": 2},
            }
        ],
        "result": "${{ tasks['order'].output }}",
        "input": {
            "type": "object",
            "required": ["item"],
            "additionalProperties": False,
            "properties": {
                "item": {"type": "string"},
                "many": {"type": "integer", "minimum": 1, "default": 1},
                "colour": {"anyOf": [{"enum": ["red", "blue"]}, {"type": "null"}], "default": None},
                "way": {"enum": ["air", "sea"], "default": "sea"},
                "parts": {
                    "type": "array",
                    "default": [],
                    "items": {
                        "type": "object",
                        "required": ["name"],
                        "properties": {
                            "name": {"type": "string"},
                            "colour": {"enum": ["red", "blue"]},
                            "inner": {"anyOf": [{}, {"type": "null"}]},
                            "sizes": {
                                "type": "object",
                                "additionalProperties": {"type": "string"},
                            },
                        },
                    },
                },
            },
        },
    }


def test_the_version_is_of_what_the_code_does() -> None:
    def one(text: str) -> Any:
        @workflow(name="same")
        async def first() -> str:
            """Says it."""
            return "a"  # said

        @workflow(name="same")
        async def second() -> str:
            return "a"

        @workflow(name="same")
        async def third() -> str:
            return "b"

        return first, second, third

    first, second, third = one("")
    versions = [each.version for each in (first, second, third)]
    assert len(set(versions)) == 3  # their names differ
    assert [each.version for each in one("")] == versions


def test_a_name_that_a_server_would_refuse_is_refused_at_once() -> None:
    with pytest.raises(WorkflowError, match="cannot be the name of a workflow"):
        workflow(name="No Name")(lambda: None)


class Special(Exception):
    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    "error", [ValueError("a"), KeyError("b"), Special(1, 2), OSError(2, "gone"), Exception()]
)
def test_an_error_is_raised_again_as_what_it_was(error: Exception) -> None:
    again = raised_again(fault_of(error))
    assert isinstance(again, type(error))
    assert str(again) == str(error)


def test_an_error_that_cannot_say_what_it_is_is_told_nevertheless() -> None:
    assert "Mute" in fault_of(Mute()).message


def test_delays_between_tries_grow_up_to_the_longest() -> None:
    tries = Tries(retries=4, delay=1, backoff=3, longest=5)
    assert [tries.delay_after(n, OSError()) for n in range(1, 6)] == [1, 3, 5, 5, None]


@pytest.mark.parametrize(
    ("state", "bodies", "obeyed"),
    [
        ("RUNNING", ["HOLD", "STOP"], "STOP"),
        ("RUNNING", ["RESUME", "RESET"], None),
        ("HELD", ["HOLD", {"cmd": "resume"}], "RESUME"),
        ("ERROR", ["RESET"], "RESET"),
        ("IDLE", [{"cmd": 3}, None, "JUMP"], None),
    ],
)
def test_the_most_urgent_command_that_the_state_allows_is_obeyed(
    state: str, bodies: list[Any], obeyed: str | None
) -> None:
    command = most_urgent(bodies, state)
    assert (command and command.cmd) == obeyed
