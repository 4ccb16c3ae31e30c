"""What the tests write lies in memory where there is room: much of it, for a moment each.

On the file systems of most disks half of a test's time goes into making and removing its files.
"""

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

MEMORY = Path("/dev/shm")
ROOM = 4 << 30
OURS = "tests-"  # and the number of the process that runs them


def is_roomy() -> bool:
    return os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM


def is_in_memory(folder: Path) -> bool:
    return folder.is_relative_to(MEMORY)


def move_in() -> Path | None:
    """All temporary files of this process, and of those that it starts, in a folder there."""
    sweep()
    if "TMPDIR" in os.environ or not is_roomy():
        return None
    folder = MEMORY / f"{OURS}{os.getpid()}"
    folder.mkdir()
    folder.chmod(0o1777)  # as /tmp is: some tests are another user for a while
    os.environ["TMPDIR"] = str(folder)
    tempfile.tempdir = None
    return folder


def sweep() -> None:
    """What failed runs have left, which their successors need not keep, and killed ones."""
    for folder in MEMORY.glob(f"{OURS}*"):
        pid = folder.name.removeprefix(OURS)
        with suppress(OSError):
            is_over = pid.isdigit() and not Path("/proc", pid).exists()
            if is_over and folder.stat().st_uid == os.getuid():
                shutil.rmtree(folder, ignore_errors=True)
