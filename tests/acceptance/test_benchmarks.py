"""The benchmarks work, each in its smallest form. No figure decides here: machines differ."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import cpu

ROOT = Path(__file__).parents[2]
PEERS = all(importlib.util.find_spec(name) for name in ("pgqueuer", "procrastinate", "asyncpg"))
DBOS = importlib.util.find_spec("dbos")


def test_connections_that_end_meanwhile_do_not_end_a_measurement(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with subprocess.Popen(["true"]) as over:
        over.wait()
    monkeypatch.setattr(cpu, "children", lambda _: iter([over.pid]))
    assert cpu.spent_by_postgres(os.getpid()) > 0


def figures_of(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks", *arguments, "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


@pytest.mark.skipif(not PEERS, reason="the peers are not installed: make bench brings them")
def test_engine_and_its_peers_are_measured_in_one_run() -> None:
    figures = figures_of("engine", "--runs", "20", "--tasks", "3")
    assert figures["engine_tasks_per_s"] > 0
    assert figures["pgqueuer_jobs_per_s"] > 0
    assert figures["procrastinate_jobs_per_s"] > 0
    assert {"engine_to_pgqueuer", "engine_to_procrastinate"} <= figures.keys()


@pytest.mark.parametrize("layout", ["arrival", "scattered"])
def test_claims_are_measured_with_and_without_other_rows_and_behind_a_snapshot(
    layout: str,
) -> None:
    figures = figures_of("claim", "--scale", "0.001", "--layout", layout)
    assert figures["claim_ms_empty"] > 0
    assert figures["claim_ms_full"] > 0
    assert figures["claim_ms_snapshot_after_60"] > 0
    assert figures["ratio"] > 0
    assert figures["layout"] == layout


def test_latency_is_measured_through_a_server_and_a_worker() -> None:
    figures = figures_of("latency", "--samples", "2", "--idle", "0.5")
    for what in ("start_to_running", "command_to_next", "noop_to_next", "start_to_done"):
        assert 0 < figures[f"{what}_ms_p50"] <= figures[f"{what}_ms_p99"]
    assert {"server_idle_percent", "worker_idle_percent", "runner_idle_percent"} <= figures.keys()


def test_a_fan_out_is_measured_beside_chains_of_as_many_tasks() -> None:
    figures = figures_of("fan_out", "--items", "50")
    assert figures["fan_out_items_per_s_1"] > 0
    assert figures["resident_mib_after_3"] > 0
    assert figures["ratio"] > 0


def test_commands_are_measured_beside_xargs_with_what_each_costs() -> None:
    figures = figures_of("commands", "--count", "20")
    assert figures["commands_per_s"] > 0
    assert figures["xargs_per_s"] > 0
    assert figures["ratio"] > 0
    assert {"runner_cpu_us", "worker_cpu_us", "postgres_cpu_us"} <= figures.keys()


@pytest.mark.skipif(not DBOS, reason="the peer is not installed: make bench brings it")
def test_starts_are_measured_beside_dbos_and_lists_over_many_runs() -> None:
    figures = figures_of("api", "--scale", "0.001", "--seconds", "0.2")
    for connections in (1, 8, 32, 64):
        assert figures[f"start_{connections}_per_s"] > 0
        assert figures[f"dbos_{connections}_per_s"] > 0
        assert figures[f"start_{connections}_ms_p50"] <= figures[f"start_{connections}_ms_p99"]
    assert figures["start_64_client_cpu_us"] > 0
    assert figures["start_to_dbos"] > 0
    assert figures["list_runs"] == 1000
    assert figures["list_worst_ms_p95"] >= figures["list_deep_ms_p95"] > 0


@pytest.mark.nightly
def test_claims_are_measured_while_retention_removes_runs() -> None:
    figures = figures_of("retention", "--scale", "0.001")
    assert figures["retention_runs_removed"] == 1000
    assert figures["claim_p99_ms_during"] > 0


def test_events_are_measured_from_storing_to_starting() -> None:
    figures = figures_of("events", "--events", "200")
    assert figures["stored_per_s"] > 0
    assert figures["routed_per_s"] > 0
    assert (figures["runs"], figures["decisions"], figures["run_by_several"]) == (200, 200, 0)


@pytest.mark.nightly
def test_every_page_of_the_dashboard_is_measured() -> None:
    figures = figures_of("pages", "--scale", "0.0002")
    assert figures["pages"] > 80
    assert figures["ui_runs_ms_p50"] > 0
    assert figures["large_log_end_statements"] > 0
    assert figures["worst_kib"] > 0
    assert {"over_ms", "over_kib", "without_an_answer"} <= figures.keys()


@pytest.mark.nightly
def test_workstations_are_measured_one_at_work_and_many_idle() -> None:
    figures = figures_of("edge", "--samples", "2", "--idle", "0.5", "--agents", "5")
    for what in ("push_to_running", "push_to_done", "poll_to_running"):
        assert 0 < figures[f"{what}_ms_p50"] <= figures[f"{what}_ms_p99"]
    assert (figures["agents"], figures["agents_connected"]) == (5, 5)
    assert {"ready_ms", "agent_resident_mib", "server_of_all_idle_percent"} <= figures.keys()


def test_programs_of_each_sdk_are_measured_or_skipped_with_a_reason() -> None:
    figures = figures_of("workers", "--actions", "20", "--worker-slots", "5")
    assert figures["python_actions_per_s"] > 0
    assert {"python_worker_us_per_action", "python_server_us_per_action"} <= figures.keys()
    for language in ("node", "java"):
        assert figures.get(f"{language}_skipped") or figures[f"{language}_actions_per_s"] > 0


@pytest.mark.skipif(not DBOS, reason="the peer is not installed: make bench brings it")
def test_workflows_are_measured_beside_dbos_with_what_their_steps_cost() -> None:
    figures = figures_of("workflows", "--workflows", "5", "--samples", "1")
    for name in ("procession", "dbos"):
        assert figures[f"{name}_steps_per_s"] > 0
        assert figures[f"{name}_us_per_step"] > 0
        assert figures[f"{name}_latency_p50_ms"] > 0
