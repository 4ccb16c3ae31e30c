import os
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
LASTING = [name for name in SERVICES if name != "migrate"]


def test_there_are_two_servers_and_two_workers_on_postgresql_18() -> None:
    verbs = [service["command"][1] for name, service in SERVICES.items() if name != "postgres"]
    assert sorted(verbs) == ["migrate", "serve", "serve", "worker", "worker"]
    assert SERVICES["postgres"]["image"] == "postgres:18"


@pytest.mark.parametrize("name", LASTING)
def test_every_service_that_lasts_says_whether_it_is_well(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"


@pytest.mark.parametrize("name", SERVICES)
def test_no_service_has_a_secret_in_its_environment_or_arguments(name: str) -> None:
    service = SERVICES[name]
    places = [str(service.get("environment", {})), str(service["command"])]
    assert not any("://" in place or "pn_admin" in place for place in places)
    assert set(service["secrets"]) <= set(COMPOSE["secrets"])


def test_no_two_workers_share_a_name_or_a_spool() -> None:
    workers = [service for service in SERVICES.values() if "worker" in service["command"]]
    assert len({worker["command"][-1] for worker in workers}) == len(workers)
    assert len({worker["volumes"][0] for worker in workers}) == len(workers)


def test_make_secrets_makes_every_secret_once(tmp_path: Path) -> None:
    if shutil.which("make") is None:
        pytest.skip("make is missing")
    shutil.copy(ROOT / "Makefile", tmp_path)
    command = ["make", "-s", "-C", str(tmp_path), "secrets"]
    environment = {name: os.environ[name] for name in ("PATH", "HOME")}
    wanted = [tmp_path / secret["file"] for secret in COMPOSE["secrets"].values()]
    subprocess.run(command, check=True, env=environment)
    first = [path.read_text() for path in wanted]
    subprocess.run(command, check=True, env=environment)
    assert [path.read_text() for path in wanted] == first
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700


def test_nothing_but_the_sources_gets_into_the_image() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    ignored = [line for line in lines if line and not line.startswith("#")]
    assert ignored[0] == "*"
    copied = [
        line.split()[1]
        for line in (ROOT / "Dockerfile").read_text().splitlines()
        if line.startswith("COPY ") and "--from" not in line and "pyproject" not in line
    ]
    assert all(f"!{folder}" in ignored for folder in copied)
