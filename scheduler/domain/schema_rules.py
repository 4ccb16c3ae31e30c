"""JSON Schemas: whether one can be used, and what is wrong with a value by it.

A schema may come from anybody who may publish. It reaches no network, is not recursive, and its
patterns take time linear in the text.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

import jsonschema
from jsonschema import FormatChecker
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.protocols import Validator

from scheduler.domain import formats, patterns
from scheduler.domain.errors import Invalid
from scheduler.domain.faults import Fault, Unfit
from scheduler.domain.inputs import properties
from scheduler.domain.names import suggestion

MOST_ERRORS = 10  # one message names
MOST_RULES = 5_000  # in a schema, references written out
_UNUSABLE = frozenset({"$dynamicRef", "$dynamicAnchor", "$id", "$anchor", "patternProperties"})
_DATA = frozenset({"const", "enum", "default", "examples", "required", "$defs", "type"})
_MISSED = re.compile(r"'(.*)' is a required property", re.DOTALL)


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not patterns.found(pattern, instance):
        yield ValidationError(f"does not match the pattern {pattern!r}")


def _conforming(name: str) -> Callable[[object], bool]:
    return lambda value: formats.conforms(name, value)


_Draft: Any = jsonschema.validators.extend(  # type: ignore[no-untyped-call]
    jsonschema.Draft202012Validator, {"pattern": _pattern}
)
FORMATS = FormatChecker(formats=())
FORMATS.checkers = {name: (_conforming(name), ()) for name in formats.CHECKS}


def check_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema, if it can be used; raises Invalid with the path of what can't."""
    if schema.get("type", "object") != "object":
        raise Invalid("an input is an object: write 'type: object'")
    try:
        _Draft.check_schema(schema, format_checker=FORMATS)
    except SchemaError as error:
        raise Invalid(f"{_path(error, 'input')}: {_short(error.message)}") from None
    except RecursionError:
        raise Invalid("the schema is nested too deep") from None
    _Weighing(schema).weigh(schema, (), 0)
    _check_defaults(schema, schema, "input")
    return schema


def validator(root: Mapping[str, Any]) -> Validator:
    made: Validator = _Draft(root, format_checker=FORMATS)
    return made


def validate(by: Validator, value: Any, root: str) -> None:
    errors = list(islice(by.iter_errors(value), MOST_ERRORS))
    if errors:
        said = "; ".join(_sentence(error, root) for error in errors)
        faults = [Fault(_place(error), _message(error)) for error in errors]
        raise Unfit(said, field=_path(errors[0], root), faults=faults)


def _sentence(error: ValidationError, root: str) -> str:
    said = f"{_path(error, root)}: {_message(error)}"
    if error.validator in ("required", "additionalProperties", "unevaluatedProperties"):
        return said
    return f"{said} (rule: {error.validator})"


def _message(error: ValidationError) -> str:
    if error.validator == "format":
        return f"{_shown(error.instance)} is no {error.validator_value}"
    if error.validator == "pattern":
        return f"{_shown(error.instance)} does not match the pattern {error.validator_value!r}"
    return _short(error.message)


def _place(error: ValidationError) -> tuple[str | int, ...]:
    """Where it is, or where what is missing would be."""
    missed = _MISSED.fullmatch(error.message) if error.validator == "required" else None
    return (*error.absolute_path, missed[1]) if missed else tuple(error.absolute_path)


def _path(error: ValidationError | SchemaError, root: str) -> str:
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.absolute_path)
    return root + "".join(steps)[:200]


def _shown(value: Any) -> str:
    return _short(repr(value), 60)


def _short(message: str, most: int = 300) -> str:
    return message if len(message) <= most else message[:most] + "…"


def _check_defaults(root: dict[str, Any], schema: Mapping[str, Any], path: str) -> None:
    for name, rule in properties(schema).items():
        if "default" in rule:
            checking = validator(root).evolve(schema=rule)
            validate(checking, rule["default"], f"{path}.{name} (its default)")
        _check_defaults(root, rule, f"{path}.{name}")


class _Weighing:
    """Walks a schema with its references written out, as validation will."""

    def __init__(self, root: dict[str, Any]) -> None:
        self.root = root
        self.left = MOST_RULES

    def weigh(self, part: Any, via: tuple[str, ...], depth: int) -> None:
        self.left -= 1
        if self.left < 0 or depth > 100:
            raise Invalid(f"the schema has more than {MOST_RULES} rules, references written out")
        if isinstance(part, list):
            for each in part:
                self.weigh(each, via, depth + 1)
        if isinstance(part, dict):
            self.weigh_rules(part, via, depth)

    def weigh_rules(self, rules: dict[str, Any], via: tuple[str, ...], depth: int) -> None:
        for key, rule in rules.items():
            if key in _UNUSABLE:
                raise Invalid(f"{key} can't be used in an input's schema")
            if key == "$ref":
                self.follow(str(rule), via, depth)
            elif key == "pattern":
                _check_pattern(str(rule))
            elif key == "format":
                _check_format(str(rule))
            elif key in ("properties", "dependentSchemas"):
                self.weigh(list(rule.values()), via, depth)
            elif key not in _DATA:
                self.weigh(rule, via, depth + 1)

    def follow(self, reference: str, via: tuple[str, ...], depth: int) -> None:
        if reference in via:
            raise Invalid(f"$ref {reference!r} leads to itself, which can't be used here")
        if not reference.startswith("#/"):
            raise Invalid(
                f"$ref {reference[:80]!r} leads out of the document: write '#/$defs/NAME'"
            )
        part: Any = self.root
        for step in reference[2:].split("/"):
            name = step.replace("~1", "/").replace("~0", "~")
            if not isinstance(part, dict) or name not in part:
                raise Invalid(f"$ref {reference[:80]!r} leads nowhere")
            part = part[name]
        self.weigh(part, (*via, reference), depth + 1)


def _check_pattern(pattern: str) -> None:
    try:
        if len(pattern) > 500:
            raise ValueError
        patterns.found(pattern, "")
    except (ValueError, RuntimeError, TypeError):
        raise Invalid(
            f"the pattern {_short(pattern, 80)!r} can't be used: at most 500 characters, "
            "no look-around, no back-references"
        ) from None


def _check_format(name: str) -> None:
    if name not in formats.CHECKS:
        raise Invalid(f"there is no format {name[:40]!r}: {suggestion(name, formats.CHECKS)}")
