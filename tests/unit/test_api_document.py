from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from scheduler.api.access import OPEN, VERDICTS
from scheduler.app import create_app, describe
from scheduler.settings import ServerSettings
from tests.support.described import read

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def text() -> str:
    return describe(create_app("", ServerSettings()))


@pytest.fixture(scope="module")
def operations(text: str) -> dict[str, dict[str, Any]]:
    paths = read(text)["paths"]
    return {each["operationId"]: each for path in paths.values() for each in path.values()}


def test_openapi_yaml_says_what_the_code_does(text: str) -> None:
    assert (ROOT / "openapi.yaml").read_text() == text, "run `procession openapi`"


def test_it_is_openapi_3_1_without_a_fault(text: str) -> None:
    document = read(text)
    assert document["openapi"].startswith("3.1.")
    assert [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


def test_it_is_the_same_text_every_time(text: str) -> None:
    assert describe(create_app("", ServerSettings())) == text


def test_every_route_is_described_under_the_name_of_its_function(
    operations: dict[str, dict[str, Any]],
) -> None:
    assert set(operations) == set(VERDICTS)


def test_every_operation_is_explained_and_tells_its_refusals(
    operations: dict[str, dict[str, Any]],
) -> None:
    for name, operation in operations.items():
        assert operation["description"], name
        assert operation["tags"], name
        if VERDICTS[name] is not OPEN:
            assert {"401", "403", "503"} <= set(operation["responses"]), name


def test_refusals_are_problem_documents_and_nothing_else(
    operations: dict[str, dict[str, Any]],
) -> None:
    for name, operation in operations.items():
        for status, response in operation["responses"].items():
            if int(status) >= 400 and (name, status) != ("get_readiness", "503"):
                assert list(response["content"]) == ["application/problem+json"], (name, status)


def test_whatever_takes_a_body_tells_what_it_does_not_read(
    operations: dict[str, dict[str, Any]],
) -> None:
    for name, operation in operations.items():
        if "requestBody" in operation:
            assert {"413", "415", "422"} <= set(operation["responses"]), name


def test_whatever_is_about_one_thing_tells_that_there_may_be_none(
    operations: dict[str, dict[str, Any]],
) -> None:
    for name, operation in operations.items():
        if any(each["in"] == "path" for each in operation.get("parameters", [])):
            assert "404" in operation["responses"], name


def test_whatever_shows_json_tells_its_edition(operations: dict[str, dict[str, Any]]) -> None:
    for name, operation in operations.items():
        ok = operation["responses"].get("200", {})
        if "requestBody" in operation or "application/json" not in ok.get("content", {}):
            continue
        names = {each["name"] for each in operation.get("parameters", [])}
        if "If-None-Match" in names:
            assert "ETag" in ok["headers"], name
            assert "304" in operation["responses"], name
    shown = {"list_runs", "get_run", "list_queues", "get_openapi_json", "alias_list_workflows"}
    for name in shown:
        assert "304" in operations[name]["responses"], name


def test_every_post_that_takes_a_key_says_so(operations: dict[str, dict[str, Any]]) -> None:
    for name in ("start_run", "create_token", "create_user", "publish_process_types"):
        names = [each["name"] for each in operations[name]["parameters"]]
        assert names.count("Idempotency-Key") == 1, name
        assert "409" in operations[name]["responses"], name


def test_what_is_open_says_so_and_all_else_needs_a_token(
    operations: dict[str, dict[str, Any]],
) -> None:
    open_ones = {name for name, each in operations.items() if each.get("security") == []}
    assert open_ones == {name for name, roles in VERDICTS.items() if roles is OPEN}


def test_the_routes_of_a_process_are_worked_out_once_for_all_its_applications() -> None:
    one, other = (create_app("", ServerSettings()).router.routes for _ in range(2))
    assert len(one) > 10
    assert all(mine is yours for mine, yours in zip(one, other, strict=True))
