"""The API's description as a page that needs nothing else: no script, no font, no other server."""

import base64
import hashlib
import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any

from scheduler.api.examples import Schema, example, resolved, rows

Verdicts = Mapping[str, Iterable[str]]
STYLE = """
:root { color-scheme: light dark; --line: #8885; --soft: #8881; --accent: #0a6; }
* { box-sizing: border-box }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 72rem; padding: 1rem }
code, pre { font: 0.875em/1.5 ui-monospace, monospace }
pre { background: var(--soft); overflow-x: auto; padding: .75rem; border-radius: .25rem }
a { color: var(--accent) }
nav ul { columns: 16rem; padding-left: 1rem }
details { border: 1px solid var(--line); border-radius: .25rem; margin: .5rem 0 }
summary { cursor: pointer; padding: .5rem .75rem }
summary b { display: inline-block; min-width: 4.5rem; color: var(--accent) }
summary small { float: right; opacity: .75 }
section > div, details > div { padding: 0 .75rem .75rem }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .5rem; text-align: left;
         vertical-align: top; overflow-wrap: anywhere }
h1, h2 { line-height: 1.2 }
h4 { margin: 1rem 0 .25rem }
"""
HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; style-src 'sha256-{HASH}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
CODE = re.compile(r"`([^`]+)`")


def page(document: Schema, who: Verdicts) -> str:
    parts = by_tag(document)
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(document['info']['title'])} API</title><style>{STYLE}</style></head>"
    )
    return head + f"<body>{''.join(body(document, parts, who))}</body></html>\n"


Operation = tuple[str, str, Schema]


def by_tag(document: Schema) -> dict[str, list[Operation]]:
    found: dict[str, list[Operation]] = {}
    for path, methods in document["paths"].items():
        for method, told in methods.items():
            found.setdefault(told["tags"][0], []).append((path, method.upper(), told))
    return dict(sorted(found.items()))


def body(document: Schema, parts: Mapping[str, list[Operation]], who: Verdicts) -> Iterator[str]:
    info = document["info"]
    yield f"<h1>{escape(info['title'])} API <small>{escape(info['version'])}</small></h1>"
    yield prose(info["description"])
    yield (
        "<p>The same for programs: "
        '<a href="openapi.json">openapi.json</a>, <a href="openapi.yaml">openapi.yaml</a>.</p>'
    )
    yield f"<nav><ul>{''.join(map(entry, parts))}</ul></nav><main>"
    for tag, operations in parts.items():
        yield f'<section id="{anchor(tag)}"><h2>{escape(tag.capitalize())}</h2>'
        for operation in operations:
            yield from described(document, operation, who)
        yield "</section>"
    yield "</main>"


def entry(tag: str) -> str:
    return f'<li><a href="#{anchor(tag)}">{escape(tag)}</a></li>'


def anchor(text: str) -> str:
    return re.sub(r"[^a-z0-9_]+", "-", text.lower())


def described(document: Schema, operation: Operation, who: Verdicts) -> Iterator[str]:
    path, method, told = operation
    name = told["operationId"]
    yield f'<details id="{anchor(name)}"><summary><b>{method}</b> <code>{escape(path)}</code>'
    yield f"<small>{escape(told['summary'])}</small></summary><div>"
    yield prose(told.get("description", ""))
    yield f"<p>Who may: {escape(', '.join(sorted(who.get(name, ()))) or 'everybody')}.</p>"
    yield parameters(document, told.get("parameters", []))
    yield from request_body(document, told)
    yield f"<h4>Ask</h4><pre>{escape(curl(document, operation))}</pre>"
    yield answers(document, told["responses"])
    yield "</div></details>"


def parameters(document: Schema, given: Iterable[Schema]) -> str:
    lines = [
        row(
            code(each["name"]) + (" *" if each.get("required") else ""),
            escape(each["in"]),
            kind(document, each["schema"]),
            inline(each.get("description", "")),
        )
        for each in given
    ]
    return table("Parameters", ("name", "in", "type", ""), lines)


def request_body(document: Schema, told: Schema) -> Iterator[str]:
    for media, content in told.get("requestBody", {}).get("content", {}).items():
        yield fields(document, content.get("schema", {}), f"Body, {media}")
        shown = sample(document, content)
        if shown is not None:
            yield f"<pre>{escape(shown)}</pre>"


def sample(document: Schema, content: Schema) -> str | None:
    if isinstance(content.get("example"), str):
        return str(content["example"])
    if not content.get("schema"):
        return None
    return json.dumps(example(document, content["schema"]), indent=2, ensure_ascii=False)


def fields(document: Schema, schema: Schema, title: str) -> str:
    lines = [
        row(
            code(where) + (" *" if needed else ""),
            kind(document, inner),
            inline(inner.get("description") or resolved(document, inner).get("description", "")),
        )
        for where, inner, needed in rows(document, schema)
    ]
    return table(title, ("field", "type", ""), lines)


def kind(document: Schema, schema: Schema) -> str:
    meant = resolved(document, schema)
    words = [str(meant.get("format") or meant.get("type") or "anything")]
    if "enum" in meant:
        words = [" | ".join(map(str, meant["enum"]))]
    bounds = {"minimum": "from", "maximum": "to", "minLength": "from", "maxLength": "to"}
    words += [f"{word} {meant[key]}" for key, word in bounds.items() if key in meant]
    if any(each.get("type") == "null" for each in schema.get("anyOf", ())):
        words.append("or null")
    return escape(" ".join(words))


def answers(document: Schema, responses: Mapping[str, Any]) -> str:
    lines = [
        row(
            code(status), ", ".join(map(code, told.get("content", {}))), inline(told["description"])
        )
        for status, told in responses.items()
    ]
    tables = [table("Answers", ("status", "as", ""), lines)]
    for status, told in responses.items():
        schema = told.get("content", {}).get("application/json", {}).get("schema")
        if status.startswith("2") and schema:
            tables.append(fields(document, schema, f"In the answer {status}"))
    return "".join(tables)


def curl(document: Schema, operation: Operation) -> str:
    path, method, told = operation
    words = ["curl"] + ([] if method == "GET" else ["-X", method])
    if told.get("security") != []:
        words += ["-H", "Authorization: Bearer $TOKEN"]
    for media, content in list(told.get("requestBody", {}).get("content", {}).items())[:1]:
        words += ["-H", f"Content-Type: {media}"]
        words += ["--data-binary", sample(document, content) or "@FILE"]
    line = " ".join(quoted(word) for word in [*words, f"http://127.0.0.1:8080{path}"])
    return line


def quoted(word: str) -> str:
    """For a shell, which is to put the token in."""
    return f'"{word}"' if "$TOKEN" in word else shlex.quote(word)


def table(title: str, heads: Iterable[str], lines: list[str]) -> str:
    if not lines:
        return ""
    head = "".join(f"<th>{escape(each)}</th>" for each in heads)
    return f"<h4>{escape(title)}</h4><table><tr>{head}</tr>{''.join(lines)}</table>"


def row(*cells: str) -> str:
    return f"<tr>{''.join(f'<td>{each}</td>' for each in cells)}</tr>"


def code(text: str) -> str:
    return f"<code>{escape(text)}</code>"


def inline(text: str) -> str:
    return CODE.sub(r"<code>\1</code>", escape(text))


def prose(text: str) -> str:
    return "".join(f"<p>{inline(each)}</p>" for each in text.strip().split("\n\n") if each)
