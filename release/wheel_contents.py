"""What the wheel in dist/ holds: the three packages, typed, with the licence, and nothing else."""

from __future__ import annotations

import sys
import zipfile
from email.parser import Parser
from pathlib import Path

PACKAGES = ("xinference_bridge", "langchain_xinference_bridge", "llamaindex_xinference_bridge")
EXTRAS = {"langchain", "llamaindex", "cli", "parquet", "testing", "all"}


def main() -> int:
    """Check the one wheel; the exit status is 0 when all holds."""
    wheels = sorted(Path("dist").glob("*.whl"))
    if len(wheels) != 1:
        print(f"dist/ should hold one wheel, and holds {len(wheels)}: run `make dist`")
        return 1
    with zipfile.ZipFile(wheels[0]) as wheel:
        names = wheel.namelist()
        metadata = wheel.read(next(name for name in names if name.endswith(".dist-info/METADATA"))).decode()
    wrong = list(_wrong_files(names)) + list(_wrong_metadata(metadata))
    for line in wrong:
        print(f"{wheels[0].name}: {line}")
    if not wrong:
        modules = sum(name.endswith(".py") for name in names)
        print(f"{wheels[0].name}: {len(PACKAGES)} packages, {modules} modules, typed, licensed, nothing else")
    return bool(wrong)


def _wrong_files(names: list[str]) -> list[str]:
    tops = {name.partition("/")[0] for name in names}
    infos = {top for top in tops if top.endswith(".dist-info")}
    wrong = [f"does not belong: {top}" for top in sorted(tops - infos - set(PACKAGES))]
    for package in PACKAGES:
        wrong += [
            f"misses {package}/{file}" for file in ("__init__.py", "py.typed") if f"{package}/{file}" not in names
        ]
        here = {path.relative_to(".").as_posix() for path in Path(package).rglob("*.py")}
        wrong += [f"misses {name}" for name in sorted(here - set(names))]
    wrong += [
        f"does not belong: {name}" for name in names if not name.endswith((".py", "py.typed")) and not _is_info(name)
    ]
    if not any(name.endswith("/licenses/LICENSE") for name in names):
        wrong.append("misses the licence")
    return wrong


def _is_info(name: str) -> bool:
    return ".dist-info/" in name


def _wrong_metadata(text: str) -> list[str]:
    metadata = Parser().parsestr(text)
    extras = set(metadata.get_all("Provides-Extra") or [])
    wrong = [f"the extras are {sorted(extras)}, not {sorted(EXTRAS)}"] if extras != EXTRAS else []
    if metadata["License-Expression"] != "Apache-2.0":
        wrong.append(f"the licence is {metadata['License-Expression']!r}")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
