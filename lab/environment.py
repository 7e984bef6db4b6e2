"""The lab's virtual environment: installed once, and found again by the hash of its pins."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

from lab.paths import ROOT, addition_file, cache_folder, digest, environment_folder, requirements_file
from lab.say import LabError, say

_COMPLETE = "installed"
_FINISHED_BY = {"media": ["install.py", "kokoro.py"]}
"""The script that completes an addition, and the modules that it imports."""


def available_versions() -> list[str]:
    """The Xinference versions that the lab has pins for."""
    return sorted(file.stem for file in requirements_file("x").parent.glob("*.txt") if "-" not in file.stem)


def ensure_environment(version: str, addition: str | None = None) -> Path:
    """Return the Python of an environment with Xinference `version`, and install it if it is missing.

    An addition is a list of packages that are installed into the same environment in a separate step, so that it can
    change without a new installation of torch and the rest.
    """
    python = _ensure_base(version)
    if addition is not None:
        _ensure_addition(version, python, addition)
    return python


def _ensure_addition(version: str, python: Path, addition: str) -> None:
    requirements = addition_file(version, addition)
    scripts = [ROOT / "lab" / "makers" / name for name in _FINISHED_BY.get(addition, [])]
    done = environment_folder(version) / f"{_COMPLETE}-{addition}-{digest([requirements, *scripts])}"
    if done.exists():
        return
    say(f"installing what {addition} needs beside Xinference {version}")
    log = cache_folder() / f"install-{version}-{addition}.log"
    started = time.monotonic()
    with log.open("w") as out:
        _run([str(python), "-m", "pip", "install", "--no-deps", "-r", str(requirements)], out, log, "pip install")
        for script in scripts[:1]:
            _run([str(python), "-m", f"lab.makers.{script.stem}"], out, log, script.stem)
    done.touch()
    say(f"installed in {time.monotonic() - started:.0f} s")


def _ensure_base(version: str) -> Path:
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
            # The package index has a build for CUDA's torch. With a CPU build of torch its import fails with "operator
            # torchvision::nms does not exist", and so does transformers' BERT. timm depends on it, only for vision.
            _run([str(python), "-m", "pip", "uninstall", "--yes", "torchvision", "timm"], out, log, "pip uninstall")
    (folder / _COMPLETE).touch()
    say(f"installed in {time.monotonic() - started:.0f} s")
    return python


def _run(command: list[str], out: object, log: Path, what: str) -> None:
    code = subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, cwd=ROOT, check=False).returncode  # type: ignore[call-overload]
    if code != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-30:])
        raise LabError(f"{what} ended with {code}; the end of {log}:\n{tail}")
