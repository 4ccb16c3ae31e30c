"""Reading the values that definitions are made of: durations, sizes, texts with expressions."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from scheduler.domain import templates
from scheduler.domain.documents import plain
from scheduler.domain.durations import parse_duration
from scheduler.domain.errors import Invalid
from scheduler.domain.expression_syntax import SyntaxFault
from scheduler.domain.inputs import check_schema
from scheduler.domain.names import (
    EVENT_NAME,
    EVENT_NAME_RULE,
    TASK_NAME,
    TASK_NAME_RULE,
    TYPE_NAME,
    TYPE_NAME_RULE,
)
from scheduler.domain.secrets import SECRET_NAME, SECRET_NAME_RULE
from scheduler.domain.sections import Cursor, filled_text, kind_of, matching, text, whole
from scheduler.domain.sizes import parse_size
from scheduler.domain.templates import ESCAPED, OPENING

task_name = matching(TASK_NAME, TASK_NAME_RULE)
type_name = matching(TYPE_NAME, TYPE_NAME_RULE)
event_name = matching(EVENT_NAME, EVENT_NAME_RULE)
secret_name = matching(SECRET_NAME, SECRET_NAME_RULE)
priority = whole(0, 9)
SHARE = re.compile(r"[1-9][0-9]?%")
MOST_ITEMS = 10_000


def template(cursor: Cursor) -> str:
    filled_text(cursor)
    return template_or_empty(cursor)


def template_or_empty(cursor: Cursor) -> str:
    """A text that may hold expressions; a number is taken as it is written."""
    value = cursor.value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return text(cursor) if _read_template(cursor) else _harmless(cursor)


def expression(cursor: Cursor) -> str:
    """A text that is one expression and nothing else, so that its value keeps its type."""
    value = cursor.value
    if not isinstance(value, str):
        raise Invalid(f"an expression is expected, ${{{{ … }}}}, not {kind_of(cursor.node)}")
    if OPENING not in value:
        shown = value if len(value) <= 60 else "…"
        raise Invalid(f"an expression is expected: write ${{{{ {shown} }}}}")
    found = _read_template(cursor)
    if found is None:
        return _harmless(cursor)
    if found.whole is None:
        raise Invalid("only one expression can stand here: leave out what is around it")
    return value


def data(cursor: Cursor) -> Any:
    """JSON of any form; the texts in it may hold expressions, its keys may not."""
    if isinstance(cursor.value, dict):
        for key, entry in cursor.entries().items():
            if OPENING in key:
                entry.fail("a key is plain text: put the expression into the value")
        return {key: each.read(data, None) for key, each in cursor.entries().items()}
    if isinstance(cursor.value, list):
        return [each.read(data, None) for each in cursor.items()]
    return template_or_empty(cursor) if isinstance(cursor.value, str) else cursor.value


def data_map(cursor: Cursor) -> dict[str, Any]:
    if not isinstance(cursor.value, dict):
        raise Invalid(f"a map is expected, not {kind_of(cursor.node)}")
    found: dict[str, Any] = data(cursor)
    return found


def schema(cursor: Cursor) -> dict[str, Any]:
    if not isinstance(cursor.value, dict):
        raise Invalid(f"a JSON Schema is expected, not {kind_of(cursor.node)}")
    found: dict[str, Any] = plain(cursor.node)
    return found if cursor.faults.lenient else check_schema(found)


def templates_by_name(cursor: Cursor) -> dict[str, str]:
    return {name: each.read(template_or_empty, "") for name, each in cursor.entries().items()}


def duration(cursor: Cursor) -> timedelta:
    length = duration_or_none(cursor)
    if not length:
        raise Invalid("a duration above zero is expected")
    return length


def duration_or_none(cursor: Cursor) -> timedelta:
    if not isinstance(cursor.value, str | int | float):
        raise Invalid(f"a duration such as 30s or 10m is expected, not {kind_of(cursor.node)}")
    return parse_duration(cursor.value)


def size(most: int) -> Callable[[Cursor], int]:
    def reader(cursor: Cursor) -> int:
        if not isinstance(cursor.value, str | int):
            raise Invalid(f"a size such as 4MiB is expected, not {kind_of(cursor.node)}")
        found = parse_size(cursor.value)
        if not 1 <= found <= most:
            raise Invalid(f"a size from 1 byte to {most} bytes is expected")
        return found

    return reader


def once_each(cursor: Cursor, reader: Callable[[Cursor], str]) -> tuple[str, ...]:
    """The names of a list; one that is there twice is told."""
    names = [item.read(reader, "") for item in cursor.items()]
    for number, name in enumerate(names):
        if name and name in names[:number]:
            cursor.items()[number].fail(f"{name!r} is there twice")
    return tuple(dict.fromkeys(filter(None, names)))


def task_names(cursor: Cursor) -> tuple[str, ...]:
    return once_each(cursor, task_name)


def plain_text(rule: re.Pattern[str], says: str) -> Callable[[Cursor], str]:
    """A text that is the same in every run."""

    def reader(cursor: Cursor) -> str:
        if OPENING in text(cursor):
            raise Invalid("plain text is expected here: no data may decide it")
        return matching(rule, says)(cursor)

    return reader


def refused(cursor: Cursor, fault: SyntaxFault) -> None:
    """Complain where in the text the fault stands."""
    cursor.fail(str(fault), part=cursor.value[fault.at :][:40].split("\n")[0] or None)


def _read_template(cursor: Cursor) -> templates.Template | None:
    try:
        return templates.read(text(cursor))
    except SyntaxFault as fault:
        refused(cursor, fault)
        return None


def _harmless(cursor: Cursor) -> str:
    """What was refused, so that what comes after can be looked at all the same."""
    return text(cursor).replace(OPENING, ESCAPED)


def number_or_share(cursor: Cursor) -> int | float:
    value = cursor.value
    if isinstance(value, float):
        if 0 < value < 1:
            return value
    elif isinstance(value, str) and SHARE.fullmatch(value):
        return int(value[:-1]) / 100
    elif isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_ITEMS:
        return value
    raise Invalid(
        "a number of items, or a share such as 0.9 or 90%, is expected, not "
        f"{kind_of(cursor.node)}; without it all of them must succeed"
    )
