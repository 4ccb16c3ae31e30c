"""What the expressions of a run's own course come to: conditions, lists of items, results."""

from collections.abc import Mapping
from typing import Any

from scheduler.domain import templates
from scheduler.domain.errors import Invalid

Scope = Mapping[str, Any]


def value(name: str, text: str, scope: Scope) -> Any:
    try:
        return templates.read(text).value(scope)
    except Invalid as fault:
        raise Invalid(f"{name}: {fault}", field=name) from None


def truth(name: str, text: str, scope: Scope) -> bool:
    found = value(name, text, scope)
    if not isinstance(found, bool):
        raise Invalid(f"{name}: {text} is neither true nor false", field=name)
    return found


def data(name: str, given: Any, scope: Scope) -> Any:
    """All the expressions in a piece of JSON, each with the type that it has."""
    match given:
        case str():
            return value(name, given, scope)
        case Mapping():
            return {key: data(f"{name}.{key}", each, scope) for key, each in given.items()}
        case list() | tuple():
            return [data(f"{name}[{i}]", each, scope) for i, each in enumerate(given)]
    return given
