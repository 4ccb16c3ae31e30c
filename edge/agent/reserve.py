"""A piece of disk that is kept for bad times: given up when nothing else is left, so that what is
done can still be written down and told."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

SIZE = 4 << 20
LEAST = 32 << 20  # bytes free below which no new work is taken


class Reserve:
    def __init__(self, path: Path, least: int = LEAST) -> None:
        self.path, self.least = path, least

    def make(self) -> bool:
        try:
            place = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return False
        try:
            os.posix_fallocate(place, 0, SIZE)
        except OSError:
            with suppress(OSError):
                os.unlink(self.path)
            return False
        finally:
            os.close(place)
        return True

    def give_up(self) -> bool:
        """Whether there was anything to give up."""
        try:
            os.unlink(self.path)
        except OSError:
            return False
        return True

    def has_room(self) -> bool:
        """Room for work, with the reserve in its place."""
        try:
            free = shutil.disk_usage(self.path.parent).free
        except OSError:
            return False
        if free < self.least:
            return False
        return self.path.exists() or self.make()
