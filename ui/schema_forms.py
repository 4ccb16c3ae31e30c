"""Forms made from a JSON Schema, and what was filled in, as JSON again.

A field for each property that a form can ask for by itself; what is more involved is written as
JSON. Whether the values are right is for the schema to say, when they are sent.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from scheduler.api import bodies
from scheduler.domain.errors import Invalid
from ui.forms import Form

Kind = Literal["text", "number", "flag", "choice", "json", "lines"]
PREFIX = "input."
INPUTS = {"date": "date", "date-time": "text", "email": "email", "uri": "url"}


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    title: str
    help: str
    kind: Kind
    value: str
    choices: tuple[tuple[str, str], ...] = ()
    required: bool = False
    type: str = "text"  # of the HTML input
    step: str | None = None


def fields_of(
    schema: Mapping[str, Any] | None, values: Mapping[str, Any], prefix: str = PREFIX
) -> list[Field]:
    properties = (schema or {}).get("properties", {})
    required = set((schema or {}).get("required", ()))
    # Those that have to be filled in come first; the order of an author is not kept anywhere.
    return [
        field_of(name, rule if isinstance(rule, dict) else {}, values, name in required, prefix)
        for name, rule in sorted(properties.items(), key=lambda each: each[0] not in required)
    ]


def field_of(
    name: str, rule: Mapping[str, Any], values: Mapping[str, Any], required: bool, prefix: str
) -> Field:
    kind = kind_of(rule)
    has_value = name in values
    value = values[name] if has_value else rule.get("default")
    return Field(
        name=prefix + name,
        title=str(rule.get("title") or name),
        help=help_of(rule),
        kind=kind,
        value=spelled(value, kind) if has_value or "default" in rule else "",
        choices=tuple((json.dumps(each), told(each)) for each in rule.get("enum", ())),
        required=required and kind != "flag",
        type="number" if kind == "number" else INPUTS.get(str(rule.get("format")), "text"),
        step="1" if rule.get("type") == "integer" else "any" if kind == "number" else None,
    )


def kind_of(rule: Mapping[str, Any]) -> Kind:
    if isinstance(rule.get("enum"), list):
        return "choice"
    match rule.get("type"):
        case "string":
            return (
                "lines"
                if rule.get("contentMediaType") or rule.get("maxLength", 0) > 500
                else "text"
            )
        case "integer" | "number":
            return "number"
        case "boolean":
            return "flag"
    return "json"


def help_of(rule: Mapping[str, Any]) -> str:
    said = [str(rule["description"])] if rule.get("description") else []
    bounds = {"minimum": "at least", "maximum": "at most", "pattern": "fits"}
    said += [f"{word} {rule[key]}" for key, word in bounds.items() if key in rule]
    return "; ".join(said)


def told(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def spelled(value: Any, kind: Kind) -> str:
    if kind == "flag":
        return "true" if value is True else ""
    if kind == "choice":
        return json.dumps(value)
    if kind == "json":
        return json.dumps(value, indent=2, ensure_ascii=False)
    return told(value)


def read(
    form: Form, schema: Mapping[str, Any] | None, extra: str = "extra", prefix: str = PREFIX
) -> dict[str, Any]:
    """What was filled in; an empty field is left out, so that its default holds."""
    found: dict[str, Any] = {}
    for field in fields_of(schema, {}, prefix):
        name = field.name.removeprefix(prefix)
        text = form.get(field.name)
        if field.kind == "flag":
            found[name] = field.name in form
        elif text.strip() or (field.kind in ("text", "lines") and field.required):
            found[name] = value_of(field, text)
    return {**found, **rest(form.get(extra), extra)}


def value_of(field: Field, text: str) -> Any:
    if field.kind in ("text", "lines"):
        return text
    if field.kind == "number":
        return number(text, field.title)
    return parsed(text, field.title)


def number(text: str, name: str) -> int | float:
    try:
        return int(text) if text.strip().lstrip("+-").isdigit() else bodies.finite(text)
    except ValueError:
        raise Invalid(f"{name}: {text[:40]!r} is no number", field=name) from None


def rest(text: str, name: str) -> dict[str, Any]:
    """More of the input, as JSON; nothing is nothing more."""
    if not text.strip():
        return {}
    value = parsed(text, "further input")
    if not isinstance(value, dict):
        raise Invalid("further input: write a JSON object", field=name)
    return value


def parsed(text: str, name: str) -> Any:
    try:
        return bodies.parse(text.encode())
    except Invalid as error:
        said = str(error).replace("the body is not JSON", "this is not JSON")
        raise Invalid(f"{name}: {said}", field=name) from error


def left_over(schema: Mapping[str, Any] | None, values: Mapping[str, Any]) -> str:
    """What no field asks for, as JSON."""
    known = (schema or {}).get("properties", {})
    others = {name: value for name, value in values.items() if name not in known}
    return json.dumps(others, indent=2, ensure_ascii=False) if others else ""


def with_value(field: Field, value: str) -> Field:
    return replace(field, value=value)
