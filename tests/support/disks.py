"""Disks of a test: small ones, that are really full when they are filled."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

BLOCK = 4096


@contextmanager
def a_small_disk(folder: Path, mebibytes: int) -> Iterator[Path]:
    """Mounted at `folder`, which is made."""
    folder.mkdir()
    options = f"size={mebibytes}m,mode=0700"
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("this machine does not let us mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path, name: str) -> Path:
    """To the last byte, for now: whoever removes something makes room."""
    filler = disk / name
    with open(filler, "wb", buffering=0) as file:
        for size in (BLOCK << 8, BLOCK):
            try:
                while file.write(b"x" * size) == size:
                    pass
            except OSError:
                pass
    return filler
