"""Forms made from a JSON Schema: a field for each property, in groups and rows as they nest.

What no field can ask for is written as JSON. Whether the values are right is for the schema to say,
when they are sent; what it says stands at the field that it is about.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scheduler.domain.faults import Fault
from ui.schema_shapes import Kind, Rule, choices_of, kind_of, properties_of, resolved, type_of
from ui.sent import Form

PREFIX = "input."
INPUTS = {"date": "date", "email": "email", "uri": "url", "password": "password"}
HINTS = {
    "date-time": "2026-05-17T12:00:00Z",
    "time": "12:00:00Z",
    "duration": "PT30M",
    "uuid": "00000000-0000-0000-0000-000000000000",
}
MOST_ROWS = 50
MISSING: Any = object()


@dataclass(frozen=True, slots=True)
class Choice:
    value: str  # as JSON
    text: str
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class Field:
    name: str  # in the form
    title: str
    help: str
    kind: Kind
    value: str = ""
    choices: tuple[Choice, ...] = ()
    required: bool = False
    attributes: Mapping[str, str] = field(default_factory=dict)  # of the HTML input
    parts: tuple[tuple["Field", ...], ...] = ()  # of a group one, of rows each
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """What stays the same for all fields of a form."""

    root: Rule
    form: Form | None  # what somebody wrote, where it was refused
    faults: Mapping[str, str]

    def about(self, name: str, *, whole: bool) -> str:
        """What is wrong with a field; `whole` with what lies in it too."""
        found = [
            text
            for at, text in self.faults.items()
            if at == name or (whole and at.startswith(f"{name}."))
        ]
        return "; ".join(found)


def fields_of(
    schema: Rule | None,
    values: Mapping[str, Any],
    prefix: str = PREFIX,
    *,
    form: Form | None = None,
    faults: Sequence[Fault] = (),
) -> list[Field]:
    root = schema or {}
    told = {named(prefix, each.path): each.text for each in faults}
    return list(fields_in(Asked(root, form, told), root, values, prefix))


def named(prefix: str, path: Iterable[str | int]) -> str:
    """The name of the field that a place in the value has."""
    return prefix + ".".join(escaped(str(step)) for step in path)


def escaped(step: str) -> str:
    return step.replace("~", "~0").replace(".", "~1")


def fields_in(
    asked: Asked, rule: Rule, values: Any, prefix: str, depth: int = 0
) -> Iterable[Field]:
    """Those that have to be filled in come first; the order of an author is not kept anywhere."""
    given = values if isinstance(values, Mapping) else {}
    required = set(rule.get("required", ()))
    properties = properties_of(rule)
    for name in sorted(properties, key=lambda each: each not in required):
        value = given.get(name, MISSING)
        part = resolved(properties[name], asked.root)
        yield field_of(asked, part, prefix + escaped(name), name, value, name in required, depth)


def field_of(
    asked: Asked, rule: Rule, name: str, title: str, value: Any, required: bool, depth: int
) -> Field:
    kind = kind_of(rule, asked.root, depth, required=required)
    if value is MISSING:
        value = rule.get("default", MISSING)
    is_group = kind in ("group", "rows")
    return Field(
        name=name,
        title=str(rule.get("title") or title)[:200],
        help=help_of(rule, kind),
        kind=kind,
        value="" if is_group else text_of(asked, name, kind, value),
        choices=chosen(asked, rule, name, kind, value),
        required=required and kind not in ("flag", "choices", "group", "rows", "list"),
        attributes=attributes_of(rule, kind),
        parts=parts_of(asked, rule, name, kind, value, depth) if is_group else (),
        fault=asked.about(name, whole=not is_group),
    )


def text_of(asked: Asked, name: str, kind: Kind, value: Any) -> str:
    if asked.form is None:
        return "" if value is MISSING else spelled(value, kind)
    if kind == "flag":
        return "true" if name in asked.form else ""
    return asked.form.get(name)


def chosen(asked: Asked, rule: Rule, name: str, kind: Kind, value: Any) -> tuple[Choice, ...]:
    if kind not in ("choice", "choices"):
        return ()
    if asked.form is not None:
        now = set(asked.form.all(name))
    elif kind == "choices":
        now = {json.dumps(each) for each in value} if isinstance(value, list) else set()
    else:
        now = set() if value is MISSING else {json.dumps(value)}
    return tuple(
        Choice(json.dumps(each), text, json.dumps(each) in now)
        for each, text in choices_of(rule, asked.root)
    )


def parts_of(
    asked: Asked, rule: Rule, name: str, kind: Kind, value: Any, depth: int
) -> tuple[tuple[Field, ...], ...]:
    if kind == "group":
        return (tuple(fields_in(asked, rule, value, f"{name}.", depth + 1)),)
    items = resolved(rule["items"], asked.root)
    values = value if isinstance(value, list) else []
    return tuple(
        tuple(
            fields_in(asked, items, values[n] if n < len(values) else {}, f"{name}.{n}.", depth + 1)
        )
        for n in range(rows_shown(asked.form, name, len(values)))
    )


def rows_shown(form: Form | None, name: str, known: int) -> int:
    """One more than there are, or as many as there were and one more for whoever asks for it."""
    if form is None:
        return min(known + 1, MOST_ROWS)
    return min(rows_sent(form, name) + (form.get("more") == name), MOST_ROWS)


def rows_sent(form: Form, name: str) -> int:
    text = form.get(f"{name}#", "0")
    return min(int(text), MOST_ROWS) if text.isascii() and text.isdecimal() and len(text) < 4 else 0


def attributes_of(rule: Rule, kind: Kind) -> dict[str, str]:
    """Of the HTML input, where a browser means the same by them as the schema does."""
    if kind == "number":
        step = "1" if type_of(rule) == "integer" else "any"
        bounds = {"min": rule.get("minimum"), "max": rule.get("maximum")}
        whole = {key: told(v) for key, v in bounds.items() if isinstance(v, int)}
        return {"type": "number", "step": step} | whole
    if kind != "text":
        return {}
    format = str(rule.get("format", ""))
    examples = rule.get("examples")
    hint = examples[0] if isinstance(examples, list) and examples else HINTS.get(format)
    found = {"type": INPUTS.get(format, "text")}
    if hint is not None:
        found["placeholder"] = told(hint)[:100]
    if isinstance(rule.get("maxLength"), int):
        found["maxlength"] = str(rule["maxLength"])
    return found


BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "more than",
    "maximum": "at most",
    "exclusiveMaximum": "less than",
    "multipleOf": "a multiple of",
    "pattern": "fits",
}
SIZES = {
    "minLength": ("at least", "character"),
    "maxLength": ("at most", "character"),
    "minItems": ("at least", "entry"),
    "maxItems": ("at most", "entry"),
}


def help_of(rule: Rule, kind: Kind) -> str:
    said = [str(rule["description"])[:2000]] if rule.get("description") else []
    said += [f"{word} {told(rule[key])}" for key, word in BOUNDS.items() if key in rule]
    for key, (word, unit) in SIZES.items():
        if key in rule:
            many = {"entry": "entries", "character": "characters"}[unit]
            said.append(f"{word} {rule[key]} {unit if rule[key] == 1 else many}")
    if rule.get("uniqueItems"):
        said.append("no entry twice")
    if kind == "list":
        said.append("one on each line")
    if kind == "json":
        said.append("as JSON")
    return "; ".join(said)


def told(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def spelled(value: Any, kind: Kind) -> str:
    if kind == "flag":
        return "true" if value is True else ""
    if kind == "json":
        return json.dumps(value, indent=2, ensure_ascii=False)
    if kind == "list":
        return listed(value)
    return told(value)


def listed(value: Any) -> str:
    """A line for each; as JSON where that would not be read as the same."""
    plain = isinstance(value, list) and all(
        isinstance(each, str | int | float) and not isinstance(each, bool) for each in value
    )
    texts = [told(each) for each in value] if plain else []
    is_clear = plain and all(
        each.strip() == each and each and "\n" not in each and not each.startswith("[")
        for each in texts
    )
    return "\n".join(texts) if is_clear else json.dumps(value, ensure_ascii=False)


def left_over(schema: Rule | None, values: Mapping[str, Any]) -> str:
    """What no field asks for, as JSON."""
    known = properties_of(schema or {})
    others = {name: value for name, value in values.items() if name not in known}
    return json.dumps(others, indent=2, ensure_ascii=False) if others else ""
