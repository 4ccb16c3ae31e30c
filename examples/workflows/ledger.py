"""What the examples do to the world: lines in a file, so that everybody can see what was done."""

import os
from pathlib import Path


def note(what: str, key: str) -> None:
    with Path(os.environ.get("LEDGER", "ledger.txt")).open("a") as ledger:
        ledger.write(f"{what} {key}\n")
