"""What values of the protocol have to be, and what of them can be said at all."""

import re
from collections.abc import Callable
from typing import Annotated, Any

Check = Callable[[Any, str], None]

LONGEST = 256 << 10  # characters of one text
DEEPEST = 72  # how deep JSON may be nested
HIGHEST = 2**63 - 1


class Unfit(ValueError):
    """A value that cannot be said; tells where, and what is due."""


def text(least: int = 0, most: int = LONGEST) -> Check:
    def check(told: Any, where: str) -> None:
        if not isinstance(told, str) or not least <= len(told) <= most:
            raise Unfit(f"{where}: a text of {least} to {most} characters is due")
        if not is_sayable(told):
            raise Unfit(f"{where}: a text without NUL and without halves of characters is due")

    return check


def is_sayable(told: str) -> bool:
    if told.isascii():
        return "\0" not in told
    return not any(each == "\0" or "\ud800" <= each <= "\udfff" for each in told)


def shaped(pattern: str, due: str) -> Check:
    known = re.compile(pattern)

    def check(told: Any, where: str) -> None:
        if not isinstance(told, str) or not known.fullmatch(told):
            raise Unfit(f"{where}: {due} is due")

    return check


def whole(least: int = 0, most: int = HIGHEST) -> Check:
    def check(told: Any, where: str) -> None:
        if type(told) is not int or not least <= told <= most:
            raise Unfit(f"{where}: a whole number from {least} to {most} is due")

    return check


def number(least: float, most: float) -> Check:
    def check(told: Any, where: str) -> None:
        if type(told) not in (int, float) or not least <= told <= most:
            raise Unfit(f"{where}: a number from {least:g} to {most:g} is due")

    return check


Session = Annotated[
    str,
    shaped(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "a UUID in small letters"),
]
Attempt = Annotated[
    str,
    shaped(r"[1-9][0-9]{0,17}\.[1-9][0-9]{0,8}", "an attempt, TASK.NUMBER,"),
]
Served = Annotated[
    str,
    shaped(
        r"[a-z0-9][a-z0-9._-]{0,62}",
        "a name of 1 to 63 of a-z, 0-9, '.', '-' and '_' that begins with a letter or a digit",
    ),
]
Name = Annotated[
    str, shaped(r"[!-~]([ -~]{0,98}[!-~])?", "a name of 1 to 100 printable characters of ASCII")
]
Text = Annotated[str, text()]
Short = Annotated[str, text(0, 200)]
Words = Annotated[str, text(0, 2_000)]
Trace = Annotated[str, text(0, 16_000)]
Natural = Annotated[int, whole()]
Small = Annotated[int, whole(0, 2**31 - 1)]
Seq = Annotated[int, whole(1, 2**31 - 1)]
Offset = Annotated[int, whole(0, 2**50)]
Slots = Annotated[int, whole(1, 1_000)]
Number = Annotated[float, number(-1e15, 1e15)]
Percent = Annotated[float, number(0, 100)]

sayable = text()
integer = whole(-HIGHEST - 1)


def check_json(told: Any, where: str, depth: int = DEEPEST) -> None:
    """Any JSON that can be stored. Tuples pass as lists."""
    if isinstance(told, str):
        sayable(told, where)
    elif told is None or isinstance(told, bool):
        return
    elif isinstance(told, int):
        integer(told, where)
    elif isinstance(told, float):
        if told - told != 0:
            raise Unfit(f"{where}: {told} is no number of JSON")
    elif isinstance(told, (dict, list, tuple)):
        if depth == 0:
            raise Unfit(f"{where}: nested deeper than {DEEPEST}")
        check_inside(told, where, depth - 1)
    else:
        raise Unfit(f"{where}: {type(told).__name__} is nothing that JSON has")


def check_inside(
    told: dict[Any, Any] | list[Any] | tuple[Any, ...], where: str, depth: int
) -> None:
    if not isinstance(told, dict):
        for place, each in enumerate(told):
            check_json(each, f"{where}[{place}]", depth)
        return
    for name, each in told.items():
        sayable(name, f"{where}, a key")
        check_json(each, f"{where}.{name[:60]}", depth)
