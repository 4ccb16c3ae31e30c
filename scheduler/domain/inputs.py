"""The input of a run, checked by the JSON Schema of its type, and the schemas themselves.

The library for schemas is loaded with the first one that says more than the usual, or that a value
breaks.
"""

import copy
from collections.abc import Mapping
from typing import Any

from scheduler.domain.errors import Invalid
from scheduler.domain.plain_schemas import surely_fits
from scheduler.domain.values import refuse_unstorable


def check_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema, if it can be used; raises Invalid with the path of what can't."""
    from scheduler.domain import schema_rules

    return schema_rules.check_schema(schema)


def check_against(schema: Mapping[str, Any] | None, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Invalid("the input must be an object", field="input")
    refuse_unstorable(value)
    filled: dict[str, Any] = copy.deepcopy(value)
    if schema is not None:
        root = {"type": "object", **schema}
        fill_defaults(root, filled)
        if not surely_fits(root, filled):
            _look_closely(root, filled)
    return filled


def _look_closely(root: Mapping[str, Any], value: dict[str, Any]) -> None:
    from scheduler.domain import schema_rules

    schema_rules.validate(schema_rules.validator(root), value, "input")


def fill_defaults(schema: Mapping[str, Any], value: dict[str, Any]) -> None:
    for name, rule in properties(schema).items():
        if name not in value and "default" in rule:
            value[name] = copy.deepcopy(rule["default"])
        if isinstance(value.get(name), dict):
            fill_defaults(rule, value[name])


def properties(schema: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    found = schema.get("properties", {})
    return {name: rule for name, rule in found.items() if isinstance(rule, dict)}
