"""Requests that nobody thought of, made from openapi.yaml, to a real server by every role.

Each answer has to be what the document says: no fault of the server, no other status or shape,
nothing invalid accepted, nothing answered without a token.
"""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from scheduler.services.access import Role
from tests.support.api import tokens_of
from tests.support.builders import FAILURE, a_holder, carry_out, engine
from tests.support.postgres import Databases
from tests.support.servers import served
from tests.support.stations import AMachine

ROOT = Path(__file__).parents[2]
NIGHTLY = pytest.mark.nightly
LONG = bool(os.environ.get("PROCESSION_LONG"))
CONFIGURATION = """
headers = { Authorization = "Bearer ${API_TOKEN}" }

[checks]
positive_data_acceptance.expected-statuses = ["2xx", 304, 401, 403, 404, 409, 412, 416, 422, 429]
negative_data_rejection.expected-statuses = [401, 403, 404, 405, 409, 413, 415, 422]
missing_required_header.expected-statuses = [401, 422]
"""
# What the examples of openapi.yaml speak of, so that they find something.
TYPES = """
name: two-task-process
tasks:
  - {name: load, noop: true}
  - {name: press, noop: true}
---
name: checkout
tasks:
  - {name: pay, noop: true}
"""
CASES = re.compile(r"(\d+) generated")


@dataclass(frozen=True)
class Target:
    url: str
    tokens: Mapping[Role, str]


@pytest.fixture(scope="module")
def target(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("fuzzed")
    with databases.cloned() as dsn, served(dsn, folder) as url:
        tokens = asyncio.run(tokens_of(dsn))
        furnish(url, tokens[Role.ADMIN])
        asyncio.run(make_a_dead_letter(dsn))
        yield Target(url, tokens)


def furnish(url: str, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=f"{url}/api/v1", headers=headers, trust_env=False) as client:
        yaml = {"Content-Type": "application/yaml"}
        client.post("/process-types", content=TYPES, headers=yaml).raise_for_status()
        record = {"id": "nightly", "type": "two-task-process"}
        client.post("/process-records", json=record).raise_for_status()
        client.post("/runs", json={"type": "two-task-process"}).raise_for_status()
        client.post("/users", json={"name": "anna", "role": "viewer"}).raise_for_status()
        invited = client.post("/workstations", json={"name": "saw-1"}).raise_for_status().json()
        machine = AMachine().body(invited["token"])
        client.post("/workstations/enrol", json=machine).raise_for_status()


async def make_a_dead_letter(dsn: str) -> None:
    async with await engine(dsn) as conn:
        assert await carry_out(conn, await a_holder(conn, "press-1"), FAILURE)


SHORT = (Role.ADMIN, Role.VIEWER)


@pytest.mark.parametrize(
    "role", [pytest.param(role, marks=[] if role in SHORT else NIGHTLY) for role in Role]
)
def test_every_answer_is_one_that_the_document_describes(
    target: Target, tmp_path: Path, role: Role
) -> None:
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION)
    done = subprocess.run(
        [
            *(Path(sys.executable).with_name("st"), "--config-file", "schemathesis.toml"),
            *("run", ROOT / "openapi.yaml", "--url", target.url),
            *("--workers", "1", "--request-timeout", "90", "--no-shrink"),
            # One request among thousands must not end the token that all are sent with.
            *("--exclude-operation-id", "revoke_token"),
            *("--checks", "all", "--continue-on-failure", "--warnings", "off"),
            *extent(role),
        ],
        env={**os.environ, "API_TOKEN": target.tokens[role]},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
    cases = CASES.search(done.stdout)
    assert cases is not None
    print(f"{role}: {cases[1]} requests")
    assert int(cases[1]) >= least(role)


def extent(role: Role) -> list[str]:
    """The admin reaches furthest, so most of the requests are the admin's."""
    if LONG:
        return ["--max-examples", "60" if role is Role.ADMIN else "20"]
    if role is Role.ADMIN:
        phases, examples = "examples,fuzzing,stateful", "2"
    else:
        phases, examples = "examples,fuzzing", "1"
    return ["--phases", phases, "--max-examples", examples, "--seed", "1"]


def least(role: Role) -> int:
    if LONG:
        return 5_000 if role is Role.ADMIN else 3_000
    return 600 if role is Role.ADMIN else 100
