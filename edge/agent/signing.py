"""What is signed for the server, in a process of its own.

An agent signs for a moment in half an hour. What knows how is larger than most of the agent, so it
is loaded where it goes again; and the key is not in the memory of a process that runs for months.
"""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

from edge import identity
from edge.identity import BadProof

PATIENCE = 30.0


async def here(key: Path, audience: str, nonce: str) -> str:
    """For whoever ends soon."""
    return identity.prove(identity.read_key(key), audience, nonce)


async def apart(key: Path, audience: str, nonce: str) -> str:
    """Raises BadProof if the key cannot be used."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", __name__, str(key)), stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    try:
        async with asyncio.timeout(PATIENCE):
            said, complaint = await process.communicate(json.dumps([audience, nonce]).encode())
    except TimeoutError:
        raise BadProof(f"{key}: nothing was signed within {PATIENCE:.0f} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        lines = complaint.decode(errors="replace").strip().splitlines()
        raise BadProof(lines[-1] if lines else f"{key}: nothing was signed")
    return said.decode("ascii")


def main(key: Path) -> None:
    try:
        audience, nonce = json.load(sys.stdin)
        print(identity.prove(identity.read_key(key), audience, nonce), end="")
    except (OSError, ValueError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
