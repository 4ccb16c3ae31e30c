"""Places of secrets in what an executor is asked to do.

What is stored says only which secret belongs where, apart from the values themselves: a list of
places, each a path and the parts of the text that stands there. No value that comes from data can
pose as a place. Whoever hands the invocation to an executor opens it, in memory.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

Path = tuple[str | int, ...]
As = Literal["text", "url"]


@dataclass(frozen=True, slots=True)
class Reference:
    """What `secrets.NAME` comes to before the secret is known."""

    name: str
    within: As = "text"

    def written(self) -> dict[str, str]:
        return {"secret": self.name} | ({"as": self.within} if self.within != "text" else {})


@dataclass(frozen=True, slots=True)
class Sealed:
    """A text with secrets in it, in parts."""

    parts: tuple[str | Reference, ...]


def seal(invocation: dict[str, Any]) -> dict[str, Any]:
    """Every sealed text replaced by null, and its place noted under `secrets.places`."""
    places: list[dict[str, Any]] = []
    found = {key: _lifted(value, (key,), places) for key, value in invocation.items()}
    if places:
        found["secrets"] = {**(found.get("secrets") or {}), "places": places}
    return found


def names(invocation: Mapping[str, Any]) -> frozenset[str]:
    """Every secret that has to be known to carry this out."""
    secrets = invocation.get("secrets") or {}
    given = [*secrets.get("env", {}).values(), *secrets.get("files", {}).values()]
    parts = (part for place in secrets.get("places", ()) for part in place["parts"])
    return frozenset([*given, *(part["secret"] for part in parts if isinstance(part, dict))])


def opened(invocation: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    """The invocation with its places filled; `secrets` without them, or gone."""
    copy: dict[str, Any] = json.loads(json.dumps(dict(invocation)))
    secrets = copy.pop("secrets", None) or {}
    for place in secrets.pop("places", ()):
        _put(copy, place["path"], "".join(_opened(part, values) for part in place["parts"]))
    return copy | ({"secrets": secrets} if secrets else {})


def _lifted(value: Any, path: Path, places: list[dict[str, Any]]) -> Any:
    match value:
        case Sealed(parts):
            written = [part if isinstance(part, str) else part.written() for part in parts]
            places.append({"path": list(path), "parts": written})
            return None
        case dict():
            return {key: _lifted(each, (*path, key), places) for key, each in value.items()}
        case list():
            return [_lifted(each, (*path, n), places) for n, each in enumerate(value)]
    return value


def _opened(part: str | dict[str, str], values: Mapping[str, str]) -> str:
    if isinstance(part, str):
        return part
    value = values[part["secret"]]
    return quote(value, safe="") if part.get("as") == "url" else value


def _put(within: Any, path: list[Any], value: str) -> None:
    *steps, last = path
    for step in steps:
        within = within[step]
    within[last] = value
