"""Output in a notebook: running models as a table, and errors without the frames of libraries."""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stdout

import pytest
from IPython.core.interactiveshell import InteractiveShell

from xinference_bridge import ModelInfo, XinferenceConnection
from xinference_bridge.protocol.model_list import ModelList


@pytest.mark.server
async def test_the_running_models_are_a_list_that_shows_as_a_table(lab):
    connection = XinferenceConnection(lab.url, api_key=lab.api_key)
    models, awaited = connection.models(), await connection.amodels()
    await connection.aclose()
    assert isinstance(models, list)
    assert models == awaited
    table = models._repr_html_()
    assert table.count("<tr>") == len(models) + 1
    assert "<td>tiny-chat</td><td>LLM</td>" in table


def test_what_a_server_says_cannot_be_html_in_the_table():
    table = ModelList([ModelInfo("<b>x</b>", "a&b", "LLM")])._repr_html_()
    assert "<td>&lt;b&gt;x&lt;/b&gt;</td>" in table


@pytest.fixture
def shell(monkeypatch):
    """A separate IPython."""
    # The shell replaces __main__ with a module from which multiprocessing cannot start a process.
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    shell = InteractiveShell.instance()
    shell.colors = "nocolor"
    yield shell
    shell.reset()
    InteractiveShell.clear_instance()


_LANGCHAIN = "from langchain_xinference_bridge import ChatXinference\nmodel = ChatXinference(model_uid='m')\n"
_LLAMAINDEX = (
    "from llamaindex_xinference_bridge import XinferenceLLM\nllm = XinferenceLLM(model_uid='m', is_chat_model=True)\n"
)
CELLS = {
    "core": "from xinference_bridge import XinferenceConnection\nXinferenceConnection(api_kye='x')",
    "langchain": f"{_LANGCHAIN}model.invoke('x', temprature=1)",
    "langchain, async": f"{_LANGCHAIN}await model.ainvoke('x', temprature=1)",
    "llamaindex": f"{_LLAMAINDEX}llm.complete('x', temprature=1)",
}


@pytest.mark.slow
@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_an_error_in_a_cell_shows_the_cells_own_line_and_the_message(shell, cell):
    out = io.StringIO()
    with redirect_stdout(out):
        shell.run_cell(cell)
    shown = out.getvalue().strip().splitlines()
    assert len(shown) <= 5
    assert cell.splitlines()[-1] in out.getvalue()
    assert shown[-1].startswith("XinferenceConfigurationError: ")
    assert "site-packages" not in out.getvalue()
