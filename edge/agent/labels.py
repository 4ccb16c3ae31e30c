"""What people call this workstation, as the server said last: needed when there is a process to
carry out, and kept before there is one.
"""

import json
from collections.abc import Mapping
from typing import Any

from edge.agent.store import DiskBook

FACT = "micro_labels"


def keep(book: DiskBook, labels: Mapping[str, Any]) -> None:
    book.put(FACT, json.dumps({str(name): str(value) for name, value in labels.items()}))


def kept(book: DiskBook) -> dict[str, str]:
    found = book.db.execute("select value from facts where name = ?", (FACT,)).fetchone()
    return {} if found is None else dict(json.loads(found[0]))
