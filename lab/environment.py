"""The lab's own virtual environment: installed once, found again by the hash of its pins."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

from lab.paths import cache_folder, environment_folder, requirements_file
from lab.say import LabError, say

_COMPLETE = "installed"


def available_versions() -> list[str]:
    """The Xinference versions that the lab has pins for."""
    return sorted(file.stem for file in requirements_file("x").parent.glob("*.txt"))


def ensure_environment(version: str) -> Path:
    """The Python of an environment that holds Xinference `version`; installs it when it is not there yet."""
    requirements = requirements_file(version)
    if not requirements.exists():
        raise LabError(
            f"no pins for Xinference {version}; there are {', '.join(available_versions())} in lab/requirements/"
        )
    folder = environment_folder(version)
    python = folder / "bin" / "python"
    if (folder / _COMPLETE).exists():
        return python
    if folder.exists():
        say(f"an installation was interrupted; removing {folder}")
        shutil.rmtree(folder)
    say(f"installing Xinference {version} into {folder}: once, some minutes, several GB (mostly torch)")
    folder.parent.mkdir(parents=True, exist_ok=True)
    log = cache_folder() / f"install-{version}.log"
    started = time.monotonic()
    with log.open("w") as out:
        _run(
            [sys.executable, "-m", "venv", str(folder)],
            out,
            log,
            "creating a virtual environment (on Debian: apt install python3-venv)",
        )
        _run([str(python), "-m", "pip", "install", "-r", str(requirements)], out, log, "pip install")
        if "torchvision" not in requirements.read_text():
            # From an index it is built for CUDA's torch; beside a CPU build its import fails with "operator
            # torchvision::nms does not exist", and transformers' BERT with it. It comes through timm, for vision alone.
            _run([str(python), "-m", "pip", "uninstall", "--yes", "torchvision", "timm"], out, log, "pip uninstall")
    (folder / _COMPLETE).touch()
    say(f"installed in {time.monotonic() - started:.0f} s")
    return python


def _run(command: list[str], out: object, log: Path, what: str) -> None:
    code = subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, check=False).returncode  # type: ignore[call-overload]
    if code != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-30:])
        raise LabError(f"{what} ended with {code}; the end of {log}:\n{tail}")
