"""Programs of other languages with our SDKs: how each is started, or what is missing for that."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SDKS = Path(__file__).parents[2] / "sdk"
NODE, JAVA = SDKS / "node", SDKS / "java"


@dataclass(frozen=True, slots=True)
class Language:
    name: str
    missing: str | None = None
    start: Sequence[str] = ()  # what comes before the file of a program

    def command(self, program: Path, *arguments: str) -> list[str]:
        return [*self.start, str(program), *arguments]


def languages() -> list[Language]:
    return [python(), node(), java()]


def python() -> Language:
    return Language("python", start=[sys.executable])


def node() -> Language:
    if shutil.which("node") is None:
        return Language("node", "there is no Node.js here")
    if not (NODE / "node_modules" / "ws").exists():
        return Language("node", "its packages are not installed: make test-sdks does that")
    if not built(NODE, "dist/index.js", "src", ["npm", "run", "--silent", "build"]):
        return Language("node", "it is not built, and we may not write there: make test-sdks does")
    return Language("node", start=["node"])


def java() -> Language:
    if shutil.which("java") is None or shutil.which("javac") is None:
        return Language("java", "there is no JDK here")
    found = made(
        ["make", "-s", "-f", "Makefile", "--eval", "gson:; @echo $(GSON_JAR)", "gson"], JAVA
    )
    if not found:
        return Language("java", "there is no Gson here")
    if not built(JAVA, "target/.classes", "src/main", ["make", "-s", "classes"]):
        return Language("java", "it is not built, and we may not write there: make test-sdks does")
    return Language("java", start=["java", "-cp", f"{JAVA / 'target' / 'classes'}:{found}"])


def beside_node_packages(program: Path, folder: Path) -> Path:
    """A copy of it where `import … from "procession-sdk"` finds ours, as after `npm install`."""
    packages = folder / "node_modules"
    packages.mkdir(exist_ok=True)
    if not (packages / "procession-sdk").exists():
        (packages / "procession-sdk").symlink_to(NODE)
    return Path(shutil.copy(program, folder))


def built(folder: Path, result: str, sources: str, command: Sequence[str]) -> bool:
    """As its sources are now; not where nothing may be written."""
    with alone(folder):
        if not is_older(folder / result, folder / sources):
            return True
        if not os.access(folder, os.W_OK):
            return False
        made(command, folder)
    return True


def is_older(result: Path, sources: Path) -> bool:
    if not result.exists():
        return True
    return result.stat().st_mtime < max(each.stat().st_mtime for each in sources.rglob("*.*"))


def made(command: Sequence[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout.strip()


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Tests beside us build the same."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
