"""What IPython, which is what runs in a notebook, shows of an error and of a list of models."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from xinference_bridge.protocol.http import Response
from xinference_bridge.protocol.model_info import ModelInfo, ModelList, models_from_response


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch, tmp_path) -> Iterator[Any]:
    """An IPython without colours, which writes nothing into the home folder."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    InteractiveShell.clear_instance()
    shell: Any = InteractiveShell.instance(colors="nocolor", history_length=0)
    shell.history_manager.enabled = False
    yield shell
    shell.history_manager.end_session()
    InteractiveShell.clear_instance()


def shown(notebook: Any, cell: str) -> str:
    with capture_output() as captured:
        notebook.run_cell(cell)
    return captured.stdout


CELLS = {
    "core": "from xinference_bridge import XinferenceConnection\nXinferenceConnection(api_kye='k')",
    "langchain": "from langchain_xinference_bridge import ChatXinference\nChatXinference(model='m', temprature=0)",
    "llamaindex": "from llamaindex_xinference_bridge import XinferenceLLM\nXinferenceLLM(model='m', temprature=0)",
}


@pytest.mark.parametrize("package", CELLS)
def test_an_error_is_the_line_of_the_cell_and_the_message(notebook, package):
    lines = shown(notebook, CELLS[package]).splitlines()
    wrong = CELLS[package].splitlines()[1]
    assert lines[0] == f"  cell, line 2: {wrong}"
    assert lines[1].startswith("XinferenceConfigurationError: ")
    assert "did you mean" in lines[1]
    assert lines[2] == "(Full traceback: import traceback; traceback.print_last())"
    assert len(lines) == 3


def test_a_function_of_the_caller_is_named_too(notebook):
    cell = "def ask():\n    " + "; ".join(CELLS["core"].splitlines()) + "\nask()"
    lines = shown(notebook, cell).splitlines()
    assert [line.partition(":")[0] for line in lines[:2]] == ["  cell, line 3", "  cell, in ask, line 2"]


def test_models_are_a_table_that_escapes_what_the_server_says():
    models = ModelList(
        [
            ModelInfo("chat", "qwen3", "LLM", ("chat", "tools"), context_length=4096, size="0_6"),
            ModelInfo("<b>", "bge-m3", "embedding", dimensions=1024),
        ]
    )
    table = ET.fromstring(models._repr_html_())
    rows = [["".join(cell.itertext()) for cell in row] for row in table.iter("tr")]
    assert rows == [
        ["UID", "Type", "Name", "Abilities", "Context", "Dimensions", "Size (B)"],
        ["chat", "LLM", "qwen3", "chat, tools", "4096", "", "0.6"],
        ["<b>", "embedding", "bge-m3", "", "", "1024", ""],
    ]


def test_the_list_of_a_server_is_such_a_table_and_a_list_still():
    answer = b'{"data": [{"id": "a", "model_type": "LLM", "model_name": "n"}]}'
    models = models_from_response(Response(200, answer, {}, "http://host:9997/v1/models", None))
    assert models == [ModelInfo("a", "n", "LLM")]
    assert "<td>a</td>" in models._repr_html_()
