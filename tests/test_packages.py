"""Which modules each package imports, and which it does not need; each import runs in a separate interpreter."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGES = ("xinference_bridge", "langchain_xinference_bridge", "llamaindex_xinference_bridge")
FRAMEWORKS = ("langchain_core", "llama_index")

# Simulates an environment in which the distribution is not installed.
MISSING = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {missing!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
"""


def run(code: str, *, missing: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", MISSING.format(missing=missing) + code],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def loaded_by(code: str, *, missing: tuple[str, ...] = ()) -> set[str]:
    """The top-level packages that are loaded once the code has run."""
    done = run(f"{code}\nprint('loaded:', *{{name.partition('.')[0] for name in sys.modules}})", missing=missing)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rpartition("loaded:")[2].split())


@pytest.mark.slow
def test_the_core_loads_neither_framework_and_leaves_aiohttp_for_its_first_use():
    loaded = loaded_by("import xinference_bridge; xinference_bridge.XinferenceConnection()")
    assert loaded.isdisjoint({*FRAMEWORKS, "aiohttp", "vcr", "typer", "rich"})  # aiohttp alone takes 0.1 s to import


def test_the_core_imports_where_neither_framework_is_installed():
    loaded_by("import xinference_bridge", missing=FRAMEWORKS)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bridge", "own", "other"),
    [
        ("langchain_xinference_bridge", "langchain_core", "llama_index"),
        ("llamaindex_xinference_bridge", "llama_index", "langchain_core"),
    ],
)
def test_each_bridge_imports_without_the_other_framework(bridge, own, other):
    loaded = loaded_by(f"import {bridge}; [getattr({bridge}, name) for name in {bridge}.__all__]", missing=(other,))
    assert own in loaded
    assert loaded & set(PACKAGES) == {"xinference_bridge", bridge}


@pytest.mark.slow
def test_langchains_bridge_leaves_the_qdrant_client_for_its_first_use():
    assert loaded_by("import langchain_xinference_bridge").isdisjoint({"langchain_qdrant", "qdrant_client", "grpc"})
    assert "langchain_qdrant" in loaded_by("from langchain_xinference_bridge import XinferenceSparseEmbeddings")


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_tells_type_checkers_that_it_is_typed(package):
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    assert (Path(spec.origin).parent / "py.typed").exists()
