"""A call of a Python function as a command: in an interpreter of its own, never in ours."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

INTERPRETER = "python3"
CALLING = Path(__file__).with_name("calling.py").read_text()


def invocation(
    call: str, args: Mapping[str, Any], *, interpreter: str | None = None, **command: Any
) -> dict[str, Any]:
    """What a command is asked to do; `command` is what every command may have beside `argv`.

    Arguments go by stdin, so that nobody sees them among the machine's processes. Unbuffered, so
    that what the function prints is seen when it is printed.
    """
    return {
        **command,
        "argv": [interpreter or INTERPRETER, "-u", "-c", CALLING, call],
        "stdin": json.dumps(dict(args)),
        "output": "result",
    }
