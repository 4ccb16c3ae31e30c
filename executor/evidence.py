"""Whether the kernel has killed for want of memory lately."""

from pathlib import Path

COUNTERS = "oom_kill"


def counter_files() -> list[Path]:
    """Our own cgroup first (version 2, then 1), then the whole machine."""
    files = []
    try:
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers:
                files.append(Path("/sys/fs/cgroup", path.lstrip("/"), "memory.events"))
            elif "memory" in controllers.split(","):
                files.append(Path("/sys/fs/cgroup/memory", path.lstrip("/"), "memory.oom_control"))
    except OSError:
        pass
    return [*(file for file in files if file.exists()), Path("/proc/vmstat")]


def read_counter(file: Path) -> int:
    try:
        for line in file.read_text().splitlines():
            name, _, value = line.partition(" ")
            if name == COUNTERS:
                return int(value)
    except (OSError, ValueError):
        pass
    return 0


class MemoryWatch:
    """Remembers the kernel's counters of memory kills, and says when one has risen."""

    def __init__(self) -> None:
        self.counts = {file: read_counter(file) for file in counter_files()}

    def look(self) -> str | None:
        risen = None
        for file, before in self.counts.items():
            now = read_counter(file)
            if now > before and risen is None:
                where = "the machine" if file.name == "vmstat" else "the runner's cgroup"
                risen = f"oom_kill of {where} rose from {before} to {now}"
            self.counts[file] = now
        return risen
