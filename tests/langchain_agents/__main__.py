"""Downloads the sources of the installed LangChain, and runs its agents' tests on ChatXinference: under BlockBuster.

python -m tests.langchain_agents [options of pytest]

Prints each test that fails on ChatXinference and passes on LangChain's own fake, with the reason where it is known. The
exit status is 0 when all of them are.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path

from tests.langchain_agents.known import KNOWN

ROOT = Path(__file__).parents[2]
TESTS = "tests/unit_tests/agents"
_FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+::.+?)(?: - (.*))?$", re.MULTILINE)
_COUNTS = re.compile(r"^=* ?(\d+ .* in [\d.]+s.*?) ?=*$", re.MULTILINE)


def main(options: list[str]) -> int:
    """Run the tests twice, and compare."""
    with tempfile.TemporaryDirectory(prefix="langchain-agents-") as folder:
        source = _download(Path(folder))
        of_the_fake, counts = _run(source, options)
        print(f"langchain {version('langchain')}, {TESTS}\non its own fake:    {counts}")
        shutil.copy(Path(__file__).with_name("scripted_model.py"), source / TESTS / "model.py")
        failed, counts = _run(source, options)
        print(f"on ChatXinference:  {counts}\n")
    ours = {test: why for test, why in failed.items() if test not in of_the_fake}
    for test, why in sorted(ours.items()):
        print(f"{test.removeprefix(TESTS + '/')}\n    {_reason(test) or 'UNKNOWN: ' + why}")
    unknown = [test for test in ours if _reason(test) is None]
    print(f"\n{len(ours)} fail on ChatXinference alone; the reason of {len(ours) - len(unknown)} is known")
    return 1 if unknown else 0


def _reason(test: str) -> str | None:
    return next((reason for pattern, reason in KNOWN.items() if re.search(pattern, test)), None)


def _download(folder: Path) -> Path:
    name = f"langchain=={version('langchain')}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*command, "--no-binary", ":all:", "--dest", folder, name], check=True)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return archive.with_name(archive.name.removesuffix(".tar.gz"))


def _run(source: Path, options: list[str]) -> tuple[dict[str, str], str]:
    """The tests that failed, each with the last line of its error, and pytest's summary."""
    command = [sys.executable, "-m", "pytest", TESTS, "-q", "-rfE", "-p", "no:cacheprovider", *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200", "LANGSMITH_TRACING": "false"}
    for name in [name for name in environment if name.startswith("XINFERENCE_")]:
        del environment[name]
    done = subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True, check=False)
    counts = _COUNTS.findall(done.stdout)
    if not counts:
        sys.exit(done.stdout[-3000:] + done.stderr[-3000:])
    return dict(_FAILED.findall(done.stdout)), counts[-1]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
