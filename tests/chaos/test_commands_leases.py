"""Workers that fall silent: what their commands may do meanwhile, and what counts afterwards."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.api import becomes
from tests.support.postgres import Databases
from tests.support.runners import is_dead, processes_of
from tests.support.system import Asking, System, a_system
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

# The runner stops its commands after 3 s of silence; after 4, others may begin them again.
LEASE = {"PROCESSION_LEASE__LENGTH": "4s", "PROCESSION_LEASE__RENEW_EVERY": "0.5s"}


@pytest.fixture(scope="module")
def system(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with a_system(databases, tmp_path_factory.mktemp("system"), **LEASE) as system:
        yield system


@pytest.fixture
async def api(system: System) -> AsyncIterator[Asking]:
    async with system.asking() as api:
        yield api


# A tree that takes no notice of TERM, in two sessions. Whoever comes second looks for it.
FIRST = """
if mkdir {folder}/first 2>/dev/null; then
    trap '' TERM
    setsid sh -c 'trap "" TERM; while :; do sleep 0.1; done' & echo $! >> {folder}/pids
    echo $$ >> {folder}/pids
    touch {folder}/ready
    while :; do sleep 0.1; done
fi
for pid in $(cat {folder}/pids); do
    if [ -e /proc/$pid ]; then echo alive; else echo gone; fi
done
"""


WAITS = """
echo $$ > {folder}/pid-$KEY
while [ ! -e {folder}/go-$KEY ]; do sleep 0.05; done
echo late
"""


@dataclass(frozen=True)
class Patient:
    """A run whose command outlives the silence of its worker."""

    run: str
    pid: int


async def test_a_silence_beyond_the_lease_ends_what_may_run_elsewhere_and_leaves_what_waits(
    system: System, api: Asking, tmp_path: Path
) -> None:
    async with system.worker("silent", "shared") as silent:
        moving = await api.script("moves", "shared", FIRST.format(folder=tmp_path), grace="60s")
        await until((tmp_path / "ready").exists)
        late, given_up = [await patient(api, key, tmp_path) for key in ("late", "given-up")]
        async with system.worker("other", "shared"):
            silent.signal(signal.SIGSTOP)
            await moved_on_after_its_end(api, moving)
            await until_unreachable(system, api, late.run, given_up.run)
            await is_given_up_by_a_kill(api, given_up)
            assert not is_dead(late.pid)
            (tmp_path / "go-late").touch()
            await until(lambda: is_dead(late.pid))

            before = silent.times_ready()
            silent.signal(signal.SIGCONT)
            await until(lambda: silent.times_ready() > before)
            await counts_although_late(api, late)
            await until(lambda: is_dead(given_up.pid))
            assert len(await api.attempts(moving)) == 2
            assert (await api.get(f"/runs/{moving}"))["status"] == "COMPLETED"


async def patient(api: Asking, key: str, folder: Path) -> Patient:
    script = WAITS.format(folder=folder)
    run = await api.script(key, "shared", script, env={"KEY": key}, on_lost="wait")
    file = folder / f"pid-{key}"
    await until(file.exists)
    return Patient(run, int(await until(lambda: file.read_text().strip())))


async def moved_on_after_its_end(api: Asking, run: str) -> None:
    """The second attempt has looked for what the first one left, and found nothing."""
    assert (await api.ended(run))["status"] == "COMPLETED"
    lost, done = await api.attempts(run)
    assert (lost["status"], done["status"]) == ("LOST", "SUCCEEDED")
    assert await api.output(run, done["number"]) == b"gone\ngone\n"


async def until_unreachable(system: System, api: Asking, *runs: str) -> None:
    async def said() -> bool:
        whys = [await api.get(f"/runs/{run}/why") for run in runs]
        return all("is unreachable since" in str(why["reasons"]) for why in whys)

    await becomes(said)
    shown = await asyncio.to_thread(system.cli, "show", runs[0])
    assert b"silent is unreachable since" in shown.stdout


async def is_given_up_by_a_kill(api: Asking, patient: Patient) -> None:
    await api.post(f"/runs/{patient.run}/stop")
    assert (await api.get(f"/runs/{patient.run}"))["status"] == "STOPPING"
    await api.post(f"/runs/{patient.run}/stop", {"kill": True})
    assert (await api.ended(patient.run))["status"] == "STOPPED"
    [attempt] = await api.attempts(patient.run)
    assert attempt["status"] == "LOST"
    assert not is_dead(patient.pid)


async def counts_although_late(api: Asking, patient: Patient) -> None:
    assert (await api.ended(patient.run))["status"] == "COMPLETED"
    [attempt] = await api.attempts(patient.run)
    assert (attempt["status"], attempt["detail"]["pid"]) == ("SUCCEEDED", patient.pid)
    assert await api.output(patient.run) == b"late\n"


async def test_after_a_restart_of_the_host_commands_are_lost_and_no_process_is_mistaken_for_them(
    system: System, api: Asking, tmp_path: Path
) -> None:
    bystander = await asyncio.create_subprocess_exec("sleep", "300")
    try:
        async with system.worker("rebooted") as worker:
            script = f"if mkdir {tmp_path}/first; then exec sleep 300; fi; echo second"
            run = await api.script("rebooted", "rebooted", script)
            await until((tmp_path / "first").exists)
            [pid] = processes_of(f"PROCESSION_RUN={run}")
            async with worker.away():
                for each in worker.of_spool():
                    os.kill(each, signal.SIGKILL)
                await until(lambda: not worker.of_spool() and is_dead(pid))
                as_of_another_boot(system.folder / "data" / "runners" / worker.name / "journal")
            assert (await api.ended(run))["status"] == "COMPLETED"
            lost, done = await api.attempts(run)
        assert (lost["status"], done["status"]) == ("LOST", "SUCCEEDED")
        assert "host" in lost["error"]
        assert bystander.returncode is None
    finally:
        bystander.kill()
        await bystander.wait()


def as_of_another_boot(journal: Path) -> None:
    lines = journal.read_text().splitlines()
    said = ['{"boot":"another"}' if line.startswith('{"boot"') else line for line in lines]
    assert said != lines
    journal.write_text("\n".join(said) + "\n")
