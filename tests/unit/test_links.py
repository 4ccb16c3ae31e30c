"""What an answer leads to is there, and takes what it is given."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import described


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return described.document()


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        each["operationId"]: each for path in document["paths"].values() for each in path.values()
    }


def links(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """The operation, the schema of its answer, and the link."""
    for name, operation in operations(document).items():
        for response in operation["responses"].values():
            for link in response.get("links", {}).values():
                yield name, response["content"]["application/json"]["schema"], link


def test_every_link_leads_to_an_operation_that_takes_its_parameters(
    document: dict[str, Any],
) -> None:
    known = operations(document)
    for name, _, link in links(document):
        target = known[link["operationId"]]
        taken = {each["name"] for each in target["parameters"] if each["in"] == "path"}
        assert set(link["parameters"]) == taken, (name, link["operationId"])


def test_every_link_takes_what_the_answer_has(document: dict[str, Any]) -> None:
    for name, schema, link in links(document):
        for expression in link["parameters"].values():
            found = schema
            for part in expression.removeprefix("$response.body#/").split("/"):
                found = resolved(document, found)
                found = found["items"] if part == "0" else found["properties"][part]
            assert found, (name, expression)


def resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in schema:
        return schema
    found: dict[str, Any] = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return found


def test_whatever_starts_a_run_leads_to_what_can_be_done_with_it(document: dict[str, Any]) -> None:
    leading = {name for name, _, link in links(document) if link["operationId"] == "stop_run"}
    assert {"start_run", "start_process_record", "restart_process_record", "retry_run"} <= leading
