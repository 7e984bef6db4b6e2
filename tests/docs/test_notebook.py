"""The notebook in examples/ runs: its cells are recorded in this process, and replayed in a real kernel."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.docs.blocks import Block
from tests.docs.conftest import ROOT
from tests.docs.running import Page
from tests.support.lab import REPLAY

NOTEBOOK = ROOT / "examples" / "notebook.ipynb"
RECORDING = ROOT / "cassettes/docs/test_notebook/test_the_cells_of_the_notebook_print_answers.yaml"

_REPLAY_FROM_HERE = f"""
import os, sys
from pathlib import Path
sys.path.insert(0, {str(ROOT)!r})
from xinference_bridge.testing import open_recording
from tests.support.lab import REPLAY
os.environ.update(XINFERENCE_ENDPOINT=REPLAY.url, XINFERENCE_API_KEY=REPLAY.api_key)
recording = open_recording(Path({str(RECORDING)!r}), REPLAY, record=False)
recording.__enter__()
"""

#: Connects to its kernel through files, because other tests may use the same ports.
_RUN_NOTEBOOK = """
import sys, nbformat
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
kernel = KernelManager(transport="ipc", ip=sys.argv[1] + ".kernel")
kernel.kernel_spec.argv[0] = sys.executable
NotebookClient(notebook, km=kernel, timeout=50).execute()
nbformat.write(notebook, sys.argv[1])
"""


def _code_cells() -> list[Any]:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.mark.server
def test_the_cells_of_the_notebook_print_answers(page: Page) -> None:
    printed = []
    for number, cell in enumerate(_code_cells()):
        raises = "raises-exception" in cell.metadata.get("tags", [])
        remark, said = ("raises", "XinferenceConfigurationError") if raises else (None, None)
        page.run([Block(NOTEBOOK.name, number, "python", cell.source, remark, said)])
        printed.append(page.printed.strip())
    assert "The capital of France is Paris." in printed
    assert "The capital of Italy is Rome.\nThe capital of Japan is Tokyo." in printed


@pytest.mark.slow
def test_a_kernel_runs_the_notebook(page: Page, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.source = page.translated(cell.source)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(_REPLAY_FROM_HERE))
    path = tmp_path / "notebook.ipynb"
    nbformat.write(notebook, path)
    # In a separate process, because nbclient leaves sockets to the garbage collector.
    run = subprocess.run(
        [sys.executable, "-c", _RUN_NOTEBOOK, path],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    notebook = nbformat.read(path, as_version=4)
    shown = [_shown(cell) for cell in notebook.cells if cell.cell_type == "code"]
    assert shown[1].startswith("<table>")
    assert REPLAY.url not in shown[1]
    assert shown[3:-1] == [
        "The capital of France is Paris.",
        "1, 2, 3, 4, 5, 6, 7, 8, 9, 10.",
        "The capital of Italy is Rome.\nThe capital of Japan is Tokyo.",
        "2",
    ]
    error = shown[-1].splitlines()
    assert len(error) == 4
    assert "temprature" in error[2]
    assert error[-1].startswith("XinferenceConfigurationError: ")


def test_the_notebook_is_kept_without_its_outputs() -> None:
    assert all(not cell.outputs and cell.execution_count is None for cell in _code_cells())


def _shown(cell: Any) -> str:
    parts = []
    for output in cell.outputs:
        if output.output_type == "error":
            parts.append("\n".join(output.traceback))
        elif output.output_type == "stream":
            parts.append(output.text)
        else:
            parts.append(output.data.get("text/html") or output.data["text/plain"])
    return re.sub(r"\x1b\[[0-9;]*m", "", "".join(parts)).strip()
