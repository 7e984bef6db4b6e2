"""Runs a page's Python as a reader would, one block after another, on the lab's models.

Pages speak of models as people run them. The lab's are tiny, so their UIDs are exchanged, on the way in and in what is
printed, as are the server's address and the credentials.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import io
import types
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.lab import REPLAY
from tests.support.versions import has

if TYPE_CHECKING:
    from tests.docs.blocks import Block
    from tests.support.lab import Lab

#: A model's name on the pages → the lab's model that replaces it.
MODELS = {
    "qwen3": "tiny-chat",
    "qwen3-transformers": "tiny-chat-hf",
    "qwq": "tiny-think",
    "bge-m3": "minilm",
    "bge-reranker-v2-m3": "tiny-rerank",
    "bge-m3-flag": "bge-m3",
    "jina-clip-v2": "tiny-clip",
    "qwen2.5-vl": "tiny-vl",
    "deepseek-ocr": "jina-ocr",
}
#: Remarks of blocks that a page's test leaves out; each has another test.
NOT_RUN_HERE = ("not run", "file", "before")
_ADDRESSES = (REPLAY.url, REPLAY.url.replace("127.0.0.1", "localhost"))


class Page:
    """The names that a page's blocks have made so far, and what the last one printed."""

    def __init__(self, lab: Lab, root: Path) -> None:
        self._words = {**MODELS, "xf-…": lab.api_key, "ada": lab.username, "…": lab.password}
        self._lab = lab
        self._root = root
        self._names: dict[str, Any] = {}
        self.printed = ""

    def run(self, blocks: Iterable[Block]) -> None:
        """Run them all; a failure names the line of the page."""
        left_out: list[Block] = []
        ran = True
        for block in blocks:
            if block.remark == "prints":
                if ran:
                    self._compare(block)
                continue
            ran = block.remark != "needs" or has(block.said or "")
            if not ran:
                left_out.append(block)
            elif block.language == "python" and block.remark not in NOT_RUN_HERE:
                self._run(block)
        if left_out:
            pytest.skip("all ran but " + ", ".join(f"{block.place}, which needs {block.said}" for block in left_out))

    def begin(self, names: dict[str, Any]) -> None:
        """Let the next block find these names, and forget those of the blocks before."""
        self._names = names

    def translated(self, code: str) -> str:
        """The code with the lab's words in its string literals."""
        return (
            ast.unparse(ast.fix_missing_locations(_Translator(self._words, self._lab.url).visit(ast.parse(code))))
            + "\n"
        )

    def _run(self, block: Block) -> None:
        if block.remark in ("fresh", "after") or not self._names:
            # Pickling, dataclasses and typing look a class's module up by this name.
            self._names = types.ModuleType("__main__").__dict__
        out = io.StringIO()
        expected = block.said if block.remark == "raises" else None
        try:
            with contextlib.redirect_stdout(out):
                self._execute(block)
        except Exception as error:
            if type(error).__name__ != expected:
                raise
            self.printed = f"{type(error).__name__}: {error}\n"
        else:
            assert expected is None, f"{block.place} should raise {expected}"
            self.printed = out.getvalue()

    def _execute(self, block: Block) -> None:
        path = str(self._root / block.page)
        tree = ast.parse("\n" * (block.line - 1) + block.text, path)
        tree = ast.fix_missing_locations(_Translator(self._words, self._lab.url).visit(tree))
        code = compile(tree, path, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        if code.co_flags & inspect.CO_COROUTINE:  # as a notebook runs it
            asyncio.run(types.FunctionType(code, self._names)())
        else:
            exec(code, self._names)

    def _compare(self, block: Block) -> None:
        printed = self.printed.replace(self._lab.url, REPLAY.url)
        for word, meant in sorted(MODELS.items(), key=lambda pair: -len(pair[1])):  # one is the other's beginning
            printed = printed.replace(meant, word)
        if _words(printed) != _words(block.text):
            pytest.fail(f"{block.place} says that this is printed:\n{block.text}\nand it is:\n{printed}")


def _words(text: str) -> list[str]:
    """Return the output independently of line widths, because pages wrap long lines."""
    return text.split()


class _Translator(ast.NodeTransformer):
    """Exchanges the words in string literals that stand for something of the lab's."""

    def __init__(self, words: dict[str, str], url: str) -> None:
        self._words = words
        self._url = url

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if not isinstance(node.value, str):
            return node
        text = self._words.get(node.value, node.value)
        for address in _ADDRESSES:
            if text.startswith(address):
                text = self._url + text.removeprefix(address)
        return ast.copy_location(ast.Constant(text), node)
