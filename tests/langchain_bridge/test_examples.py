"""Every public docstring of the LangChain classes has an example, and every example runs."""

from __future__ import annotations

import doctest
import importlib
import inspect

import pytest
from langchain_core import exceptions

import langchain_xinference_bridge as package

MODULES = ("langchain_xinference_bridge", "langchain_xinference_bridge.errors")
#: The public methods of the exported classes, by the location of their docstrings.
PUBLIC = {
    f"{owner.__name__}.{name}": member
    for exported in package.__all__
    for owner in getattr(package, exported).__mro__
    if owner.__module__.startswith(package.__name__)
    for name, member in vars(owner).items()
    if not name.startswith("_")
    and name != "model_post_init"
    and (inspect.isfunction(member) or isinstance(member, (classmethod, property)))
}
CLASSES = {
    kind.__name__: kind
    for kind in (getattr(package, name) for name in package.__all__)
    if kind.__module__.startswith(package.__name__)
}
EXAMPLES = {**{name: importlib.import_module(name) for name in MODULES}, **CLASSES, **PUBLIC}


def test_the_public_names_are_those_of_the_design():
    assert set(package.__all__) == {
        "ChatXinference",
        "Xinference",
        "XinferenceConnection",
        "XinferenceEmbeddings",
        "XinferenceImages",
        "XinferenceLLM",
        "XinferenceOCR",
        "XinferenceRerank",
        "XinferenceSparseEmbeddings",
        "XinferenceSpeech",
        "XinferenceTranscriber",
    }
    assert {"ChatXinference.bind_tools", "XinferenceEmbeddings.embed_stream"} <= set(PUBLIC)


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_of(name, lab, monkeypatch):
    if name == "langchain_xinference_bridge.errors" and not hasattr(exceptions, "ModelNotFoundError"):
        pytest.skip("the example catches LangChain's error, which came with langchain-core 1.6")
    monkeypatch.setenv("XINFERENCE_ENDPOINT", lab.url)
    monkeypatch.setenv("XINFERENCE_API_KEY", lab.api_key)
    documented = EXAMPLES[name]
    code = documented.__func__ if isinstance(documented, classmethod) else documented
    module = importlib.import_module(getattr(code, "fget", code).__module__) if not inspect.ismodule(code) else code
    [found] = [
        test
        for test in doctest.DocTestFinder(recurse=False).find(code, name, module=False, globs=vars(module).copy())
        if test.examples
    ]
    said: list[str] = []
    failed, tried = doctest.DocTestRunner(verbose=False).run(found, out=said.append)
    assert tried > 0
    assert not failed, "".join(said)
