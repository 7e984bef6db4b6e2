"""Public docstrings are in Google style: an imperative first sentence, every argument, the result."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.docs.conftest import ROOT

PACKAGES = ("xinference_bridge", "langchain_xinference_bridge", "llamaindex_xinference_bridge")
IMPERATIVE = re.compile(
    r"(Add|Answer|Ask|Check|Close|Copy|Count|Delete|Describe|Edit|Embed|Fetch|Generate|Launch|List|Load|Open|Rank|Read|"
    r"Recognize|Rerank|Return|Run|Send|Set|Stop|Stream|Synthesize|Terminate|Transcribe|Translate|Wait|Write|Yield|"
    r"Async version of `\w+`(?=[.;:]))(?!\w)"
)
#: The sections of a docstring and their content.
_SECTION = re.compile(r"^(Args|Returns|Yields|Raises|Examples|Attributes):\n((?:    .*\n|\n)+)", re.MULTILINE)


def _public_classes() -> Iterator[type]:
    for package in PACKAGES:
        module = importlib.import_module(package)
        for name in module.__all__:
            found = getattr(module, name)
            if inspect.isclass(found):
                yield found


def _methods() -> dict[str, Callable[..., Any]]:
    """The public methods of the exported classes that this project defines, by their full name."""
    found = {}
    for public in _public_classes():
        for owner in public.__mro__:
            if not owner.__module__.startswith(PACKAGES):
                continue
            for name, member in vars(owner).items():
                function = inspect.unwrap(member.__func__ if isinstance(member, classmethod) else member)
                own = inspect.isfunction(function) and function.__module__.startswith(PACKAGES)
                if own and not name.startswith("_") and name != "model_post_init":
                    found[f"{owner.__module__}.{owner.__name__}.{name}"] = function
    return found


METHODS = _methods()


def _sections(text: str) -> dict[str, str]:
    return dict(_SECTION.findall(text + "\n"))


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_the_first_sentence_of_a_method_is_imperative(name):
    assert IMPERATIVE.match(inspect.getdoc(METHODS[name]) or "")


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_a_method_tells_each_argument_and_what_it_returns(name):
    text = inspect.getdoc(METHODS[name]) or ""
    if text.startswith("Async version of"):
        return
    signature = inspect.signature(METHODS[name])
    sections = _sections(text)
    told = set(re.findall(r"^    \**(\w+)(?: \(.*\))?:", sections.get("Args", ""), re.MULTILINE))
    wanted = set(signature.parameters) - {"self", "_self", "cls"}
    # llama-index-core's decorator of completions shows only (*args, **kwargs).
    assert told == wanted if "args" not in wanted else "kwargs" in told
    returns_nothing = str(signature.return_annotation) in ("None", "<class 'inspect._empty'>")
    # Google's guide: the section may be left out where the first sentence begins with Return or Yield.
    assert returns_nothing or text.startswith(("Return ", "Yield ")) or {"Returns", "Yields"} & set(sections)


@pytest.mark.slow
@pytest.mark.parametrize("package", PACKAGES)
def test_a_prompt_stands_under_examples(package):
    """Elsewhere mkdocstrings renders it as a paragraph of prose."""
    stray = []
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef | ast.Module):
                text = ast.get_docstring(node) or ""
                outside = _SECTION.sub(lambda section: "" if section[1] == "Examples" else section[0], text + "\n")
                public = not getattr(node, "name", "").startswith("_")
                if public and ">>>" in outside:
                    stray.append(f"{path.relative_to(ROOT)}: {getattr(node, 'name', 'module')}")
    assert not stray


@pytest.mark.parametrize("package", PACKAGES)
def test_every_exported_class_is_in_the_reference(package):
    page = ROOT / "docs/reference" / f"{package.partition('_xinference')[0].replace('xinference_bridge', 'core')}.md"
    listed = page.read_text(encoding="utf-8")
    module = importlib.import_module(package)
    missing = [
        name
        for name in module.__all__
        if inspect.isclass(getattr(module, name))
        and getattr(module, name).__module__.startswith(package)
        and not issubclass(getattr(module, name), Exception)
        and getattr(module, name).__name__ == name
        and f"::: {package}.{name}\n" not in listed
    ]
    assert [name for name in missing if name != "Xinference"] == []
