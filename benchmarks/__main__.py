"""`python -m benchmarks NAME [--json]`: one benchmark, its figures on one page or as JSON."""

import argparse
import asyncio
import importlib
import json
import logging

BENCHMARKS = ("engine", "claim", "latency", "commands")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", choices=BENCHMARKS)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    parser.add_argument("--database-url", help="a server to use instead of an embedded one")
    parser.add_argument("--runs", type=int, default=5000)
    parser.add_argument("--tasks", type=int, default=10)
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--scale", type=float, default=1.0, help="of the rows that `claim` makes")
    return parser.parse_args()


def main() -> None:
    options = parse()
    logging.basicConfig(level=logging.WARNING)
    module = importlib.import_module(f"benchmarks.{options.name}")
    figures = asyncio.run(module.main(options))
    if options.json:
        print(json.dumps(figures))
    else:
        for name, figure in figures.items():
            print(f"{name:40} {figure:>12}")


if __name__ == "__main__":
    main()
