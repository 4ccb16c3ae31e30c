"""Examples of what a schema describes, from the examples that it gives itself where it does."""

from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]
DEEPEST = 5
FORMATS = {
    "uuid": "01900000-0000-7000-8000-000000000000",
    "date-time": "2030-01-31T00:00:00Z",
    "date": "2030-01-31",
}


def resolved(document: Schema, schema: Schema) -> Schema:
    """The schema that is meant; where several are possible, the first that is not null."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return resolved(document, document["components"]["schemas"][name])
    for each in schema.get("anyOf", schema.get("oneOf", ())):
        if each.get("type") != "null":
            own = {key: schema[key] for key in ("examples", "description") if key in schema}
            return {**resolved(document, each), **own}
    return schema


def example(document: Schema, schema: Schema, depth: int = 0) -> Any:
    schema = resolved(document, schema)
    if (told := given(schema)) is not None:
        return told
    match schema.get("type"):
        case "object":
            return whole(document, schema, depth)
        case "array":
            if depth > DEEPEST:
                return []
            return [example(document, schema.get("items", {}), depth + 1)] * max(
                1, schema.get("minItems", 1)
            )
        case "integer" | "number":
            return max(1, schema.get("minimum", 1))
        case "boolean":
            return False
        case _:
            return FORMATS.get(schema.get("format", "")) or "x" * max(1, schema.get("minLength", 1))


def given(schema: Schema) -> Any:
    for key in ("example", "default", "const"):
        if schema.get(key) is not None:
            return schema[key]
    for key in ("examples", "enum"):
        if schema.get(key):
            return schema[key][0]
    return None


def whole(document: Schema, schema: Schema, depth: int = 0) -> dict[str, Any]:
    """An object with all that is required."""
    if depth > DEEPEST:
        return {}
    properties = schema.get("properties", {})
    return {
        name: example(document, properties[name], depth + 1) for name in schema.get("required", ())
    }


def rows(document: Schema, schema: Schema, path: str = "") -> Iterator[tuple[str, Schema, bool]]:
    """Every field of it, with what is in it: where it stands, its schema, whether it has to be."""
    if path.count(".") + path.count("[") > DEEPEST:
        return
    schema = resolved(document, schema)
    needed = schema.get("required", ())
    for name, inner in schema.get("properties", {}).items():
        where = f"{path}.{name}" if path else name
        yield where, inner, name in needed
        yield from rows(document, inner, where)
    if "items" in schema:
        yield from rows(document, schema["items"], f"{path}[]")
