"""Of a resolution to the lowest versions: the lines for what the package itself depends on. Reads and prints.

The tools of development are left out: their oldest versions are nobody's concern.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import requires


def _name(requirement: str) -> str:
    match = re.match(r"[\w.-]+", requirement)
    return re.sub(r"[-_.]+", "-", match[0]).lower() if match else ""


def main() -> None:
    """Filter standard input."""
    own = {_name(requirement) for requirement in requires("xinference-bridge") or []}
    for line in sys.stdin:
        if _name(line) in own:
            print(line.strip())


if __name__ == "__main__":
    main()
