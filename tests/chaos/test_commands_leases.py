"""Workers that fall silent: what their commands may do meanwhile, and what counts afterwards."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.api import becomes
from tests.support.postgres import Databases
from tests.support.runners import is_dead, processes_of
from tests.support.system import Asking, System, a_system
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

# The runner stops its commands after 3 s of silence; after 4, others may begin them again.
LEASE = {"PROCESSION_LEASE__LENGTH": "PT4S", "PROCESSION_LEASE__RENEW_EVERY": "PT0.5S"}


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


async def test_commands_of_a_silent_worker_are_gone_before_the_next_attempt_starts(
    system: System, api: Asking, tmp_path: Path
) -> None:
    async with system.worker("silent", "shared") as silent:
        script = FIRST.format(folder=tmp_path)
        run = await api.script("moves-on", "shared", script, grace="60s")
        await until((tmp_path / "ready").exists)
        async with system.worker("other", "shared"):
            silent.signal(signal.SIGSTOP)
            assert (await api.ended(run))["status"] == "COMPLETED"
            lost, done = await api.attempts(run)
            assert (lost["status"], done["status"]) == ("LOST", "SUCCEEDED")
            assert await api.output(run, done["number"]) == b"gone\ngone\n"

            before = silent.times_ready()
            silent.signal(signal.SIGCONT)
            await until(lambda: silent.times_ready() > before)
            assert len(await api.attempts(run)) == 2
            assert (await api.get(f"/runs/{run}"))["status"] == "COMPLETED"


WAITS = """
echo $$ > {folder}/pid
while [ ! -e {folder}/go ]; do sleep 0.05; done
echo late
"""


async def test_what_waits_outlives_the_silence_and_its_late_result_counts(
    system: System, api: Asking, tmp_path: Path
) -> None:
    async with system.worker("quiet", "patient") as quiet:
        run, pid = await begun(api, "patient", tmp_path)
        async with system.worker("idle", "patient"):
            quiet.signal(signal.SIGSTOP)
            await unreachable(api, run)
            shown = await asyncio.to_thread(system.cli, "show", run)
            assert b"quiet is unreachable since" in shown.stdout
            assert not is_dead(pid)
            (tmp_path / "go").touch()
            await until(lambda: is_dead(pid))
            quiet.signal(signal.SIGCONT)
            assert (await api.ended(run))["status"] == "COMPLETED"
        [attempt] = await api.attempts(run)
        assert (attempt["status"], attempt["detail"]["pid"]) == ("SUCCEEDED", pid)
        assert await api.output(run) == b"late\n"


async def test_a_run_that_waits_for_the_unreachable_can_be_given_up_by_killing_it(
    system: System, api: Asking, tmp_path: Path
) -> None:
    async with system.worker("hushed", "given-up") as hushed:
        run, pid = await begun(api, "given-up", tmp_path)
        async with system.worker("sweeper", "sweeping"):
            hushed.signal(signal.SIGSTOP)
            await unreachable(api, run)
            await api.post(f"/runs/{run}/stop")
            await until(lambda: (tmp_path / "pid").exists())
            assert (await api.get(f"/runs/{run}"))["status"] == "STOPPING"
            await api.post(f"/runs/{run}/stop", {"kill": True})
            assert (await api.ended(run))["status"] == "STOPPED"
            [attempt] = await api.attempts(run)
            assert attempt["status"] == "LOST"
            assert not is_dead(pid)
        hushed.signal(signal.SIGCONT)
        await until(lambda: is_dead(pid))


async def begun(api: Asking, queue: str, folder: Path) -> tuple[str, int]:
    """A run whose command waits for a file, and the command's process."""
    run = await api.script(queue, queue, WAITS.format(folder=folder), on_lost="wait")
    await until((folder / "pid").exists)
    return run, int(await until(lambda: (folder / "pid").read_text().strip()))


async def unreachable(api: Asking, run: str) -> None:
    async def said() -> bool:
        return "is unreachable since" in str((await api.get(f"/runs/{run}/why"))["reasons"])

    await becomes(said)


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
