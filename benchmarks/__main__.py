"""`python -m benchmarks NAME [--json]`: one benchmark, or all; its figures as lines or as JSON."""

import argparse
import asyncio
import importlib
import json
import logging
from collections.abc import Mapping
from typing import Any

BENCHMARKS = (
    "engine",
    "claim",
    "latency",
    "commands",
    "api",
    "fan_out",
    "events",
    "retention",
    "pages",
    "edge",
    "workers",
    "workflows",
)
ALL = "all"

# Enough to see that everything works; the figures say little.
SHORT = {
    "runs": 200,
    "items": 200,
    "count": 200,
    "scale": 0.01,
    "samples": 10,
    "idle": 3.0,
    "seconds": 1.0,
    "events": 200,
    "agents": 20,
    "actions": 200,
    "workflows": 50,
}


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", choices=(*BENCHMARKS, ALL))
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    parser.add_argument("--short", action="store_true", help="everything small, for a first look")
    parser.add_argument("--database-url", help="a server to use instead of an embedded one")
    parser.add_argument("--runs", type=int, default=5000, help="of `engine`")
    parser.add_argument("--tasks", type=int, default=10, help="of each run of `engine`")
    parser.add_argument("--items", type=int, default=10_000, help="of `fan_out`")
    parser.add_argument("--events", type=int, default=20_000, help="of `events`")
    parser.add_argument("--count", type=int, default=3000, help="of `commands`, in each round")
    parser.add_argument("--slots", type=int, default=8, help="of the worker of `commands`")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="of the rows that `claim`, `api` and `pages` make"
    )
    parser.add_argument("--layout", choices=("arrival", "scattered"), default="arrival")
    parser.add_argument("--samples", type=int, default=100, help="starts that `latency` times")
    parser.add_argument("--agents", type=int, default=1000, help="of the fleet of `edge`")
    parser.add_argument("--actions", type=int, default=10_000, help="of each program of `workers`")
    parser.add_argument("--worker-slots", type=int, default=600, help="of each of these programs")
    parser.add_argument(
        "--workflows", type=int, default=1000, help="of `workflows`, ten steps each"
    )
    parser.add_argument("--seconds", type=float, default=4.0, help="of each load of `api`")
    parser.add_argument("--idle", type=float, default=25.0, help="seconds of being idle")
    return parser


def options() -> argparse.Namespace:
    """`--short` changes what is not said otherwise."""
    ours = parser()
    if ours.parse_args().short:
        ours.set_defaults(**SHORT)
    return ours.parse_args()


def measure(name: str, chosen: argparse.Namespace) -> dict[str, Any]:
    figures: dict[str, Any] = asyncio.run(
        importlib.import_module(f"benchmarks.{name}").main(chosen)
    )
    return figures


def show(figures: Mapping[str, Any]) -> None:
    for name, figure in figures.items():
        print(f"{name:40} {figure:>12}", flush=True)


def main() -> None:
    chosen = options()
    logging.basicConfig(level=logging.WARNING)
    if chosen.name != ALL:
        figures = measure(chosen.name, chosen)
        print(json.dumps(figures)) if chosen.json else show(figures)
        return
    everything = {name: measure(name, chosen) for name in BENCHMARKS}
    if chosen.json:
        print(json.dumps(everything))
        return
    for name, figures in everything.items():
        print(f"\n{name}")
        show(figures)


if __name__ == "__main__":
    main()
