"""What the machine is, and how it does: from /proc and /sys, as far as they are there."""

import os
import platform
import shutil
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROC, SYS = Path("/proc"), Path("/sys")


def facts() -> Mapping[str, Any]:
    """What does not change while it runs."""
    system = os_release()
    return {
        "hostname": socket.gethostname(),
        "system": system.get("PRETTY_NAME", platform.system()),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "processors": os.cpu_count() or 1,
        "memory": memory().get("MemTotal", 0),
        "model": model(),
        "boot": read(PROC / "sys/kernel/random/boot_id"),
    }


def machine_id() -> str:
    return read(Path("/etc/machine-id"))


def model() -> str:
    for place in ("devices/virtual/dmi/id/product_name", "firmware/devicetree/base/model"):
        if found := read(SYS / place):
            return found
    return ""


def os_release() -> Mapping[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip("\0 \n\t")[:200]
    except OSError:
        return ""


def memory() -> Mapping[str, int]:
    found = {}
    with suppress(OSError, ValueError):
        for line in (PROC / "meminfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name in ("MemTotal", "MemAvailable"):
                found[name] = int(value.split()[0]) << 10
    return found


def temperature() -> float | None:
    """Of the hottest place, in degrees."""
    found = []
    for zone in sorted((SYS / "class/thermal").glob("thermal_zone*/temp")):
        with suppress(OSError, ValueError):
            found.append(int(zone.read_text()) / 1000)
    return round(max(found), 1) if found else None


@dataclass(slots=True)
class Spent:
    """Of all processors, since the machine was started, in ticks."""

    busy: int = 0
    all: int = 0


def spent() -> Spent:
    try:
        with (PROC / "stat").open() as file:
            ticks = [int(each) for each in file.readline().split()[1:9]]
    except (OSError, ValueError):
        return Spent()
    idle = sum(ticks[3:5])
    return Spent(sum(ticks) - idle, sum(ticks))


class Meter:
    """Measures once a minute. Processors are measured between two looks."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.before = folder, spent()

    def look(self) -> Mapping[str, float]:
        now, before = spent(), self.before
        self.before = now
        passed = now.all - before.all
        room, disk = memory(), shutil.disk_usage(self.folder)
        values: dict[str, float | None] = {
            "cpu": round((now.busy - before.busy) / passed, 4) if passed > 0 else None,
            "load": round(os.getloadavg()[0], 2),
            "memory_total": room.get("MemTotal"),
            "memory_free": room.get("MemAvailable"),
            "disk_total": disk.total,
            "disk_free": disk.free,
            "temperature": temperature(),
        }
        return {name: value for name, value in values.items() if value is not None}
