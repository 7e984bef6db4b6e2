"""The command `xinference-bridge`. Only this package needs the extra `cli`."""

from __future__ import annotations

import sys

__all__ = ["main"]

_EXTRA = frozenset({"typer", "rich", "click", "shellingham", "PIL"})


def main() -> None:
    """Run the command line. Without its extra, print how to install it and exit with status 1."""
    try:
        from xinference_bridge.cli.app import app
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] not in _EXTRA:
            raise
        sys.stderr.write('The command line needs its extra: pip install "xinference-bridge[cli]"\n')
        raise SystemExit(1) from None
    app(prog_name="xinference-bridge")
