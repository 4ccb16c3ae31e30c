"""Calls a function and leaves what it returned: the text of this file is what the interpreter runs.

It stands alone: the interpreter is any from 3.8 on, and knows nothing of ours. The arguments come
on stdin, the answer goes to the file that PROCESSION_OUTPUT names; what the function prints is
output and nothing more.
"""

import asyncio
import importlib
import inspect
import json
import os
import sys
import traceback
from typing import Any

MOST = 256 << 10
LONGEST_MESSAGE = 2000
LONGEST_TRACE = 32 << 10


class Wrong(Exception):
    """Trying again would change nothing."""


def main(call: str) -> int:
    said: Any = None
    try:
        args = json.load(sys.stdin)
        function = find(call)
        check(call, function, args)
        said, code = {"value": keepable(wait_for(function(**args)))}, 0
    except Wrong as why:
        said, code = {"error": failure("", why, "", True)}, 1
    except BaseException as error:
        said, code = {"error": failure(type(error).__name__, error, trace(error), False)}, 1
    with open(os.environ["PROCESSION_OUTPUT"], "w") as file:
        json.dump(said, file)
    return code


def find(call: str) -> Any:
    module, _, path = call.partition(":")
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not (module + ".").startswith(error.name + "."):
            raise
        raise Wrong(
            f"{call}: {sys.executable} has no module {error.name!r}: "
            "install it there, or give the folder that it is in as 'cwd'"
        ) from None
    for part in path.split("."):
        if not hasattr(found, part):
            raise Wrong(f"{call}: {module} has no {part!r}")
        found = getattr(found, part)
    if not callable(found):
        raise Wrong(f"{call}: not a function, but {type(found).__name__}")
    return found


def check(call: str, function: Any, args: Any) -> None:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return  # some that are written in C don't tell
    try:
        signature.bind(**args)
    except TypeError as error:
        raise Wrong(f"{call}: {error}; it takes {signature}") from None


def wait_for(result: Any) -> Any:
    async def waiting() -> Any:
        return await result

    return asyncio.run(waiting()) if inspect.isawaitable(result) else result


def keepable(value: Any) -> Any:
    try:
        size = len(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise Wrong(f"what it returned is no JSON: {error}") from None
    if size > MOST:
        raise Wrong(f"it returned {size} bytes of JSON, more than {MOST}: write a file")
    return value


def failure(kind: str, error: BaseException, told: str, permanent: bool) -> Any:
    message = clean(str(error))[:LONGEST_MESSAGE]
    return {"type": kind, "message": message, "trace": clean(told), "permanent": permanent}


def trace(error: BaseException) -> str:
    """Without what is ours of it."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename == main.__code__.co_filename:
        frames = frames.tb_next
    lines = traceback.format_exception(type(error), error, frames)
    return "".join(lines)[-LONGEST_TRACE:]


def clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode().replace("\0", "\\0")


if __name__ == "__main__":
    sys.argv = sys.argv[1:]
    sys.exit(main(sys.argv[0]))
