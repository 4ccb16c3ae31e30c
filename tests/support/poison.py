"""Requests with something bad in one place, made from the API's own description."""

import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from scheduler.api.examples import example, resolved, whole

Schema = Mapping[str, Any]
HERE = "@@here@@"

LONG = "x" * (128 << 10)
DEEP = "[" * 100_000 + "]" * 100_000

# As they stand in JSON; not all of them are JSON.
VALUES = {
    "NUL": '"a\\u0000b"',
    "half a pair": '"\\ud800"',
    "NaN": "NaN",
    "infinity": "-Infinity",
    "1e400": "1e400",
    "10^400": "1" + "0" * 400,
    "10^5000": "1" + "0" * 5000,
    "2^63": str(2**63),
    "-2^63-1": str(-(2**63) - 1),
    "2^31": str(2**31),
    "1e308": "1e308",
    "year 10000": '"10000-01-01T00:00:00Z"',
    "the last moment": '"9999-12-31T23:59:59.999999-14:00"',
    "the first moment": '"0001-01-01T00:00:00+14:00"',
    "deep": DEEP,
    "long": f'"{LONG}"',
    "a long key": f'{{"{LONG}": 1}}',
    "NUL in a key": '{"a\\u0000": 1}',
    "true": "true",
    "null": "null",
    "minus one": "-1",
    "a fraction": "0.5",
    "an empty list": "[]",
    "an empty object": "{}",
    "an empty text": '""',
    "a list of lists": "[[[[[[1]]]]]]",
    "many": "[" + ",".join(["1"] * 20_000) + "]",
    "a directive": '"%s%n{0}${{ x }}"',
    "right to left": '"\\u202e\\u2028\\u0085\\ufeff\\u001b[31m"',
    "SQL": '"\'; drop table runs; --"',
}
TEXTS = {
    "NUL": "%00",
    "not UTF-8": "%ff%fe",
    "half a pair": "%ed%a0%80",
    "long": "x" * 8_000,
    "10^400": "1" + "0" * 400,
    "2^63": str(2**63),
    "1e400": "1e400",
    "NaN": "NaN",
    "minus one": "-1",
    "empty": "",
    "blank": "%20%0a%09",
    "dots": "..%2f..%2fetc",
    "year 10000": "10000-01-01T00:00:00Z",
    "the last moment": quote("9999-12-31T23:59:59.999999-14:00"),
    "the first moment": quote("0001-01-01T00:00:00+14:00"),
    "a directive": "%25s%25n",
    "SQL": quote("'; drop table runs; --"),
}
HEADERS = {
    "not ASCII": b"\xff\xfe",
    "long": b"x" * 30_000,
    "blank": b" ",
    "10^400": b"1" + b"0" * 400,
    "many commas": b"," * 10_000,
    "minus one": b"-1",
    "wait": b"wait=" + b"9" * 400,
}
BODIES: Mapping[str, bytes] = {
    "nothing": b"",
    "half": b'{"a": ',
    "not UTF-8": b'{"a": "\xff\xfe"}',
    "a list": b"[]",
    "null": b"null",
    "a word": b'"x"',
    "NaN": b"NaN",
    "twice": b'{"a": 1, "a": 2}',
    "deep": DEEP.encode(),
    "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "too much": b" " * ((1 << 20) + 1),
    "packed": gzip.compress(b" " * (100 << 20), 9),
}


@dataclass(frozen=True)
class Case:
    """One request, and what is bad about it."""

    name: str
    method: str
    path: str
    headers: Mapping[str, bytes] = field(default_factory=dict)
    body: bytes | None = None


@dataclass(frozen=True)
class Operation:
    """One operation of the document, with what it takes when nothing is wrong."""

    document: Schema
    path: str
    method: str
    told: Schema
    known: Mapping[str, str]

    @property
    def name(self) -> str:
        return str(self.told["operationId"])

    def parameters(self, place: str) -> list[Schema]:
        return [each for each in self.told.get("parameters", []) if each["in"] == place]

    def address(self, bad: str | None = None, value: str = "") -> str:
        path = self.path
        for each in self.parameters("path"):
            name = each["name"]
            good = self.known.get(name) or quote(
                str(example(self.document, each["schema"])), safe=""
            )
            path = path.replace(f"{{{name}}}", value if name == bad else good)
        return path

    @property
    def body(self) -> Schema | None:
        content = self.told.get("requestBody", {}).get("content", {})
        schema = content.get("application/json", {}).get("schema")
        return None if schema is None else resolved(self.document, schema)

    def bodies_with_a_hole(self) -> Iterator[tuple[str, Any]]:
        if (schema := self.body) is not None:
            yield from self.holes(schema, "body", 0)

    def holes(self, schema: Schema, path: str, depth: int) -> Iterator[tuple[str, Any]]:
        """Every place of it, and it as it is with a hole there."""
        if depth:
            yield path, HERE
        if depth > 4:
            return
        schema = resolved(self.document, schema)
        good = whole(self.document, schema)
        for name, inner in schema.get("properties", {}).items():
            for where, holed in self.holes(inner, f"{path}.{name}", depth + 1):
                yield where, {**good, name: holed}
        if schema.get("type") == "array":
            for where, holed in self.holes(schema.get("items", {}), f"{path}[0]", depth + 1):
                yield where, [holed]
        if schema.get("type") == "object" and schema.get("additionalProperties", True) is not False:
            yield f"{path}.*", {**good, "poison": HERE}


def operations(document: Schema, known: Mapping[str, str]) -> Iterator[Operation]:
    for path, methods in document["paths"].items():
        for method, told in methods.items():
            yield Operation(document, path, method.upper(), told, known)


def cases(operation: Operation) -> Iterator[list[Case]]:
    """Of each place of an operation, everything bad that may stand there."""
    for each in operation.parameters("path"):
        yield [
            Case(
                f"path {each['name']}: {name}",
                operation.method,
                operation.address(each["name"], text),
            )
            for name, text in TEXTS.items()
        ]
    for each in operation.parameters("query"):
        yield [
            Case(
                f"query {each['name']}: {name}",
                operation.method,
                f"{operation.address()}?{each['name']}={text}",
            )
            for name, text in TEXTS.items()
        ]
    for each in operation.parameters("header"):
        yield [
            Case(
                f"header {each['name']}: {name}",
                operation.method,
                operation.address(),
                {each["name"]: text},
                good_body(operation),
            )
            for name, text in HEADERS.items()
        ]
    for where, holed in operation.bodies_with_a_hole():
        whole = json.dumps(holed)
        yield [
            case_of(operation, f"{where}: {name}", whole.replace(f'"{HERE}"', text).encode())
            for name, text in VALUES.items()
        ]
    if "requestBody" in operation.told:
        yield [case_of(operation, f"body: {name}", body) for name, body in BODIES.items()]
        packed = {"Content-Encoding": b"gzip"}
        yield [case_of(operation, "body: packed and said so", BODIES["packed"], packed)]


def good_body(operation: Operation) -> bytes | None:
    schema = operation.body
    return None if schema is None else json.dumps(whole(operation.document, schema)).encode()


def case_of(
    operation: Operation, name: str, body: bytes, headers: Mapping[str, bytes] | None = None
) -> Case:
    told = {"Content-Type": b"application/json", **(headers or {})}
    return Case(name, operation.method, operation.address(), told, body)
