"""Values that surely conform to a schema, told without a library for schemas.

Most schemas say little more than which fields there are. Whoever has only such ones to check, above
all a small machine, never loads what knows all of the rules. False says nothing: the value may
conform all the same, and what is wrong with it is for others to say.
"""

from collections.abc import Callable, Mapping
from typing import Any

from scheduler.domain import formats, patterns

DEEPEST = 50
SAYS_NOTHING = frozenset({
    "title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly",
    "$comment", "$defs", "properties", "additionalProperties",
})  # fmt: skip


def surely_fits(schema: Any, value: Any, depth: int = 0) -> bool:
    if schema is True:
        return True
    if not isinstance(schema, Mapping) or depth > DEEPEST:
        return False
    return all(
        name in SAYS_NOTHING or (name in RULES and RULES[name](rule, value, depth))
        for name, rule in schema.items()
    ) and (not isinstance(value, dict) or _fields_fit(schema, value, depth))


def _fields_fit(schema: Mapping[str, Any], value: Mapping[str, Any], depth: int) -> bool:
    known, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    return isinstance(known, Mapping) and all(
        surely_fits(known.get(name, others), each, depth + 1) for name, each in value.items()
    )


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


TYPES: Mapping[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "number": is_number,
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
}


def _type(rule: Any, value: Any, depth: int) -> bool:
    names = rule if isinstance(rule, list) else [rule]
    return any(isinstance(name, str) and name in TYPES and TYPES[name](value) for name in names)


def _one_of(rule: Any, value: Any, depth: int) -> bool:
    """Of texts, whole numbers and booleans alone: 1 is not true here, and 1.0 is left to others."""
    return isinstance(value, str | int | None) and any(
        type(each) is type(value) and each == value for each in rule
    )


def _required(rule: Any, value: Any, depth: int) -> bool:
    return not isinstance(value, dict) or all(name in value for name in rule)


def _items(rule: Any, value: Any, depth: int) -> bool:
    return not isinstance(value, list) or all(surely_fits(rule, each, depth + 1) for each in value)


def _pattern(rule: Any, value: Any, depth: int) -> bool:
    try:
        return not isinstance(value, str) or patterns.found(rule, value)
    except (ValueError, RuntimeError, TypeError):
        return False


def _format(rule: Any, value: Any, depth: int) -> bool:
    return rule in formats.CHECKS and formats.conforms(rule, value)


def _of(
    counts: Callable[[Any], bool], measure: Callable[[Any], Any], holds: Callable[[Any, Any], bool]
) -> Callable[[Any, Any, int], bool]:
    """A bound; what it does not speak of has none."""
    return lambda rule, value, depth: (
        not counts(value) or (is_number(rule) and holds(measure(value), rule))
    )


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _itself(value: Any) -> Any:
    return value


RULES: Mapping[str, Callable[[Any, Any, int], bool]] = {
    "type": _type,
    "enum": _one_of,
    "const": lambda rule, value, depth: _one_of([rule], value, depth),
    "required": _required,
    "items": _items,
    "pattern": _pattern,
    "format": _format,
    "minimum": _of(is_number, _itself, lambda value, rule: value >= rule),
    "maximum": _of(is_number, _itself, lambda value, rule: value <= rule),
    "exclusiveMinimum": _of(is_number, _itself, lambda value, rule: value > rule),
    "exclusiveMaximum": _of(is_number, _itself, lambda value, rule: value < rule),
    "minLength": _of(_is_text, len, lambda value, rule: value >= rule),
    "maxLength": _of(_is_text, len, lambda value, rule: value <= rule),
    "minItems": _of(_is_list, len, lambda value, rule: value >= rule),
    "maxItems": _of(_is_list, len, lambda value, rule: value <= rule),
}
