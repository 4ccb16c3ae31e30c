from pathlib import Path
from typing import Any

import pytest
import yaml

from scheduler.api.access import OPEN, VERDICTS
from scheduler.app import create_app, describe
from scheduler.settings import ServerSettings

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def text() -> str:
    return describe(create_app("", ServerSettings()))


@pytest.fixture(scope="module")
def operations(text: str) -> dict[str, dict[str, Any]]:
    paths = yaml.safe_load(text)["paths"]
    return {each["operationId"]: each for path in paths.values() for each in path.values()}


def test_openapi_yaml_says_what_the_code_does(text: str) -> None:
    assert (ROOT / "openapi.yaml").read_text() == text, "run `procession openapi`"


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
            if int(status) >= 400:
                assert list(response["content"]) == ["application/problem+json"], (name, status)


def test_what_is_open_says_so_and_all_else_needs_a_token(
    operations: dict[str, dict[str, Any]],
) -> None:
    open_ones = {name for name, each in operations.items() if each.get("security") == []}
    assert open_ones == {name for name, roles in VERDICTS.items() if roles is OPEN}
