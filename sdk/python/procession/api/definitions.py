"""Process types: what can be run."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from procession.api.plans import (
    API,
    JSON,
    YAML,
    Json,
    Plan,
    Request,
    ask,
    at,
    dump,
    get,
    pages,
    post,
    said,
)

Definition = str | bytes | Mapping[str, Any] | Iterable[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Published:
    name: str
    version: int
    changed: bool  # whether this is a new version


def define(definition: Definition, *, key: str | None = None) -> Plan[list[Published]]:
    """Publish one type or several: YAML as a text, or dicts. What says the same as the newest
    version makes no new one."""
    told = yield from ask(document("process-types", definition, key))
    return [Published(each["name"], each["version"], each["changed"]) for each in told["items"]]


def validate(definition: Definition) -> Plan[Json]:
    """What is wrong with it, without publishing it."""
    found: Json = yield from ask(document("process-types/validate", definition, None))
    return found


def document(path: str, definition: Definition, key: str | None) -> Request:
    if isinstance(definition, str):
        content, kind = definition.encode(), YAML
    elif isinstance(definition, bytes):
        content, kind = definition, YAML
    else:
        plain = dict(definition) if isinstance(definition, Mapping) else list(definition)
        content, kind = dump(plain), JSON
    keyed = post(f"{API}/{path}", key=key)
    headers = {**keyed.headers, "Content-Type": kind}
    return Request("POST", keyed.path, headers=headers, content=content)


def get_type(name: str, version: int | None = None) -> Plan[Json]:
    found: Json = yield from ask(get(at("process-types", name), version=version))
    return found


def list_types(query: str | None = None, *, most: int | None = None) -> Plan[list[Json]]:
    return (yield from pages(at("process-types"), most, q=query))


def retire(name: str, note: str | None = None) -> Plan[Json]:
    """No run of it begins from now on."""
    found: Json = yield from ask(post(at("process-types", name, "retire"), said({"note": note})))
    return found


def reinstate(name: str) -> Plan[Json]:
    found: Json = yield from ask(post(at("process-types", name, "reinstate")))
    return found
