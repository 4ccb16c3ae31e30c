"""`python -m scheduler.embedded DIR`: psql on the PostgreSQL in DIR.

One that ran before goes on running; one that was started for this ends with it.
"""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

from scheduler.domain.errors import Refusal
from scheduler.embedded import EmbeddedPostgres
from scheduler.embedded.binaries import packaged


def main(directory: str, *more: str) -> int:
    postgres = EmbeddedPostgres(Path(directory))
    try:
        database = asyncio.run(postgres.start())
    except Refusal as refusal:
        sys.exit(str(refusal))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for psql, which sets it anew
    try:
        return subprocess.run(
            [packaged().path("psql"), database.url, *more], check=False
        ).returncode
    finally:
        if not database.adopted:
            asyncio.run(postgres.stop())


if __name__ == "__main__":
    sys.exit(main(*(sys.argv[1:] or [".procession"])))
