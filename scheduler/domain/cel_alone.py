"""CEL without the command line that its package loads with it.

That brings a toolkit for terminals and its tables: a quarter of the start of a worker, for nothing.
"""

import sys
from types import ModuleType

sys.modules.setdefault("cel.cli", ModuleType("cel.cli"))

import cel  # noqa: E402 - only now

__all__ = ["cel"]
