import shutil
import subprocess
from collections.abc import AsyncIterator

import pytest

from tests.support.api import Api, serving
from tests.support.builders import FAILURE, a_holder, carry_out, engine

pytestmark = pytest.mark.anyio

METRICS = "http://server/metrics"
PROMTOOL = shutil.which("promtool")


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Api]:
    async with serving(dsn) as api:
        await api.publish()
        yield api


async def samples(api: Api) -> dict[str, float]:
    text = (await api.admin.get(METRICS)).text
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


async def test_what_there_is_can_be_watched(api: Api, dsn: str) -> None:
    await api.start()
    await api.start()
    async with await engine(dsn) as conn:
        assert await carry_out(conn, await a_holder(conn, 'the "first"'), FAILURE)
    await api.admin.post("/queues/default/pause")
    found = await samples(api)
    assert found['procession_runs{state="IN_PROGRESS"}'] == 1
    assert found['procession_attempts_recent{state="FAILED"}'] == 1
    assert found['procession_attempts_recent{state="LOST"}'] == 0
    assert found["procession_dead_letters"] == 1
    assert found['procession_tasks_ready{queue="default"}'] == 1
    assert found['procession_queue_paused{queue="default"}'] == 1
    assert found['procession_loop_lag_seconds{loop="reaper"}'] == 0
    assert 0 < found[r'procession_lease_seconds{worker="the \"first\"",state="ACTIVE"}'] <= 60


async def test_requests_are_counted_by_what_they_asked_and_how_they_ended(api: Api) -> None:
    await api.start()
    await api.admin.get("/runs/no-run")
    await api.admin.get("http://server/nowhere")
    found = await samples(api)
    assert found['procession_requests_total{operation="start_run",status="2xx"}'] == 1
    assert found['procession_requests_total{operation="get_run",status="4xx"}'] == 1
    assert found['procession_requests_total{operation="none",status="4xx"}'] == 1
    name = "procession_request_duration_seconds"
    assert found[f'{name}_count{{operation="start_run"}}'] == 1
    assert found[f'{name}_bucket{{operation="start_run",le="+Inf"}}'] == 1


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is missing: install prometheus")
async def test_prometheus_finds_no_fault_with_it(api: Api) -> None:
    await api.start()
    text = (await api.admin.get(METRICS)).content
    assert faults_of(text) == (0, "")


def faults_of(text: bytes) -> tuple[int, str]:
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, check=False
    )
    return done.returncode, done.stderr.decode()
