"""Programs in three languages serve one workflow together, as examples/three-languages says."""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from procession import Client, Worker
from tests.support import languages
from tests.support.languages import Language
from tests.support.system import System
from tests.support.waiting import patience

EXAMPLE = Path(__file__).parents[2] / "examples" / "three-languages"
PROGRAMS = {"python": "worker.py", "node": "worker.mjs", "java": "ExampleWorkerApp.java"}
WITHIN = 60.0
ORDER = '{"order_id": 123}'


@pytest.fixture(scope="module")
def client(system: System) -> Iterator[Client]:
    with Client(system.url, system.token) as client:
        yield client


@pytest.fixture(scope="module")
def token(client: Client) -> str:
    made = client.call("POST", "/api/v1/tokens", {"name": "programs", "role": "worker"})
    return str(made["token"])


@contextmanager
def working(language: Language, folder: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """The example's program, until it has left in good order."""
    program = EXAMPLE / PROGRAMS[language.name]
    if language.name == "node":
        program = languages.beside_node_packages(program, folder)
    with (folder / f"{language.name}.log").open("w") as log:
        process = subprocess.Popen(
            language.command(program), env=environment, stdout=log, stderr=log, cwd=folder
        )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        ended = process.wait(patience(WITHIN))
    assert ended in (0, 128 + signal.SIGTERM), (folder / f"{language.name}.log").read_text()


def told(system: System, token: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if "PROCESSION" not in name}
    return {**clean, "PROCESSION_URL": system.url, "PROCESSION_TOKEN": token}


def test_three_languages_serve_one_workflow_together(
    system: System, client: Client, token: str, tmp_path: Path
) -> None:
    known = languages.languages()
    if missing := [f"{each.name}: {each.missing}" for each in known if each.missing]:
        pytest.skip("; ".join(missing))
    with ExitStack() as programs:
        for each in known:
            programs.enter_context(working(each, tmp_path, told(system, token)))
        done = subprocess.run(
            ["sh", EXAMPLE / "order.sh", "order-123"],
            env=told(system, system.token),
            capture_output=True,
            timeout=patience(WITHIN),
            check=False,
        )
        assert done.returncode == 0, done.stderr
        status = json.loads(done.stdout)
        expected = f"Email sent to PDF Generated for: Payment Processed: {ORDER}"
        assert (status["status"], status["finalOutput"]) == ("COMPLETE", expected)
        [published] = client.define((EXAMPLE / "three-languages.yaml").read_text())
        run = client.start(published.name, {"order_id": 7})
        assert client.output(run, patience(WITHIN)).endswith("Payment Processed: order 7")


def test_the_client_of_the_earlier_system_asks_as_its_readme_says(
    system: System, client: Client, token: str
) -> None:
    worker = Worker()
    worker.register("charge", lambda payload: f"charged for {payload}")
    worker.register("invoice", lambda payload: f"PDF Generated for: {payload}")
    thread = threading.Thread(target=worker.start, args=(system.url, token))
    thread.start()
    try:
        client.define_workflow("a-checkout", ["charge", "invoice"])
        run = client.trigger_workflow("a-checkout", ORDER, idempotency_key="order-124")
        assert client.trigger_workflow("a-checkout", ORDER, idempotency_key="order-124") == run
        client.wait(run, patience(WITHIN))
        status = client.get_run_status(run)
        assert status["status"] == "COMPLETE"
        assert status["finalOutput"] == f"PDF Generated for: charged for {ORDER}"
        assert [each["action"] for each in status["stepResults"]] == ["charge", "invoice"]
    finally:
        worker.stop()
        thread.join(patience(WITHIN))
    assert not thread.is_alive()
