"""Every block of code in the README, the pages and the docstrings does what it says."""

from __future__ import annotations

import ast
import doctest
import gc
import importlib
import inspect
import json
import pkgutil
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import typer
import yaml
from llama_index.core import MockEmbedding, VectorStoreIndex

from tests.docs.blocks import Block, blocks_of, blocks_of_file
from tests.docs.conftest import ROOT
from tests.docs.running import NOT_RUN_HERE, Page
from xinference_bridge import XinferenceConnection
from xinference_bridge.cli.app import app

_PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCKS = {path.relative_to(ROOT).as_posix(): blocks_of_file(path, ROOT) for path in _PAGES}
_ALL = [block for blocks in _BLOCKS.values() for block in blocks]
_PACKAGES = ("xinference_bridge", "langchain_xinference_bridge", "llamaindex_xinference_bridge")
_LANGUAGES = {"python", "sh", "text", "json", "yaml", "toml", "dotenv", "dockerfile", "diff", "nginx"}


def _runs(block: Block) -> bool:
    return block.language == "python" and block.remark not in NOT_RUN_HERE


def _pages_that_run() -> list[str]:
    return [page for page, blocks in _BLOCKS.items() if any(_runs(block) for block in blocks)]


# The workflows of LlamaIndex look at all attributes of an agent, deprecated ones of pydantic among them.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning")
# Their memory opens a database of its own, and leaves it open.
@pytest.mark.filterwarnings("ignore:.*was deleted before being closed:ResourceWarning")
@pytest.mark.server
@pytest.mark.parametrize("name", _pages_that_run())
def test_the_python_of_a_page_runs(name: str, page: Page) -> None:
    page.run(_BLOCKS[name])
    if name == "docs/agents.md":
        gc.collect()  # here, where that warning is expected, and not in whichever test comes later


@pytest.mark.slow
@pytest.mark.parametrize("block", _ALL, ids=lambda block: block.place)
def test_a_block_is_of_a_language_that_is_checked(block: Block) -> None:
    assert block.language in _LANGUAGES


@pytest.mark.parametrize(
    "block", [b for b in _ALL if b.language == "python" and not _runs(b)], ids=lambda block: block.place
)
def test_a_block_that_does_not_run_says_why_and_is_python(block: Block) -> None:
    assert block.said
    ast.parse(block.text, block.place)


@pytest.mark.parametrize("block", [b for b in _ALL if b.language in ("json", "yaml")], ids=lambda block: block.place)
def test_a_block_of_data_can_be_read(block: Block) -> None:
    json.loads(block.text) if block.language == "json" else yaml.safe_load(block.text)


@pytest.mark.parametrize("block", [b for b in _ALL if b.language == "sh"], ids=lambda block: block.place)
def test_the_commands_of_a_shell_block_exist(block: Block) -> None:
    for line in block.text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        while words and re.fullmatch(r"\w+=.*", words[0]):
            words = words[1:]
        if words:
            _check_command(words)


def _check_command(words: list[str]) -> None:
    program, *arguments = words
    if program == "make":
        targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        wanted = {word for word in arguments if "=" not in word}
        assert wanted <= targets, f"make has no target {wanted - targets}"
    elif program in ("pip", "uv"):
        _check_extras(arguments)
    elif program == "python" and arguments and arguments[0].endswith(".py"):
        assert (ROOT / arguments[0]).exists(), f"there is no {arguments[0]}"
    elif program == "xinference-bridge":
        _check_own_command(arguments)
    else:
        assert program in _OTHER_PROGRAMS, f"{program}: is this written as it is called?"


#: Not checked: the server's commands and standard tools.
_OTHER_PROGRAMS = frozenset(
    [
        "xinference",
        "xinference-local",
        "xinference-supervisor",
        "xinference-worker",
        "docker",
        "uvicorn",
        "git",
        "cd",
        "curl",
        "pytest",
        "export",
        "python",
    ]
)


def _check_extras(arguments: list[str]) -> None:
    known = set(re.findall(r"^(\w+) = \[\"", (ROOT / "pyproject.toml").read_text(), re.MULTILINE))
    for argument in arguments:
        if match := re.match(r"xinference-bridge\[(.*)\]", argument):
            assert set(match[1].split(",")) <= known, f"no extra {match[1]}"


def _check_own_command(arguments: list[str]) -> None:
    command = typer.main.get_command(app)
    words = list(arguments)
    if words and not words[0].startswith("-"):
        name = words.pop(0)
        commands = getattr(command, "commands", {})
        assert name in commands, f"xinference-bridge has no command {name}"
        command = commands[name]
    options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    options |= {"--help", "-h", "--install-completion", "--show-completion"}
    used = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
    assert used <= options, f"unknown options {used - options}"


def test_shell_blocks_and_pages_are_found() -> None:
    assert len(_PAGES) > 20
    assert sum(_runs(block) for block in _ALL) > 50


# Docstrings


def _modules(package: str) -> list[ModuleType]:
    top = importlib.import_module(package)
    inner = pkgutil.walk_packages(top.__path__, f"{package}.")
    return [top, *(importlib.import_module(module.name) for module in inner)]


def _docstrings(module: ModuleType) -> Iterator[tuple[str, int]]:
    """Every docstring of the module, also those of attributes, which exist only in the source; and its line."""
    source = Path(inspect.getsourcefile(module) or "").read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield inspect.cleandoc(node.value.value), node.lineno


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.parametrize("package", _PACKAGES)
def test_the_python_of_docstrings_runs(package: str, page: Page) -> None:
    for module in _modules(package):
        path = Path(module.__file__ or "").relative_to(ROOT).as_posix()
        blocks = [block for text, line in _docstrings(module) for block in blocks_of(text, path, line)]
        if any(_runs(block) for block in blocks):
            # A docstring speaks of what stands around it, of a connection and of an index.
            page.begin({**vars(module), "conn": XinferenceConnection(), "index": _index()})
            page.run(blocks)


def _index() -> VectorStoreIndex:
    return VectorStoreIndex([], embed_model=MockEmbedding(embed_dim=2))


# The prompts of langchain_xinference_bridge have a test each: tests/langchain_bridge/test_examples.py.
@pytest.mark.slow
@pytest.mark.server
@pytest.mark.parametrize("package", ["xinference_bridge", "llamaindex_xinference_bridge"])
def test_the_prompts_in_docstrings_answer_as_they_say(package: str, page: Page) -> None:
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for module in _modules(package):
        for test in doctest.DocTestFinder().find(module):
            for example in test.examples:
                example.source = page.translated(example.source)
            test.globs.update(conn=XinferenceConnection(), index=_index())
            runner.run(test, out=said.append)
    assert runner.failures == 0, "".join(said)
