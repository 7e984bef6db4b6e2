"""What the server's own parsers make of answers, as data for the tests, and its families as data for the package.

Run it with the Python of the lab's environment, from the root of the checkout:

    ~/.cache/xinference-bridge/envs/xinference-4.1.0-*/bin/python -m lab.oracle

It writes `tests/core/data/tool_forms/*.json` (each form's answers, and the calls and content that the server's parser
reads in them), `tests/core/data/reasoning.json` (the same for reasoning), and `xinference_bridge/protocol/families.py`
(which form and which tags each built-in family uses).
"""

from __future__ import annotations

import json
import logging
import pprint
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lab.answers import ANSWERS, FORMS, TOOLS, thoughts
from lab.paths import ROOT

DATA = ROOT / "tests" / "core" / "data"
FAMILIES = ROOT / "xinference_bridge" / "protocol" / "families.py"


def read_calls(parser_name: str, text: str) -> dict[str, Any]:
    """Return content and calls as `_post_process_completion` of 4.1.0 puts them into a message."""
    from xinference.model.llm.tool_parsers import TOOL_PARSERS
    from xinference.model.llm.tool_parsers.abstract_tool_parser import request_tools_var

    if parser_name == "glm4":
        return _read_glm4(text)
    token = request_tools_var.set(TOOLS)
    try:
        results = TOOL_PARSERS[parser_name]().extract_tool_calls(text)
    except Exception as error:  # noqa: BLE001 - some parsers raise, and the server then answers a 500
        return {"raises": type(error).__name__}
    finally:
        request_tools_var.reset(token)
    calls = [{"name": name, "arguments": arguments} for _, name, arguments in results if name]
    content = "".join(words for words, name, _ in results if words and not name) if calls else text
    return {"content": content, "calls": calls}


def _read_glm4(text: str) -> dict[str, Any]:
    """Return what the engine of ChatGLM makes of an answer: its tool parser only passes on what this has read."""
    from xinference.model.llm.transformers.chatglm import ChatglmPytorchChatModel

    read = ChatglmPytorchChatModel._process_response_non_streaming(text, TOOLS, use_tool=True)  # noqa: SLF001
    if isinstance(read, dict):
        return {"content": "", "calls": [{"name": read["name"], "arguments": json.loads(read["arguments"])}]}
    return {"content": text, "calls": []}


def write_tool_forms() -> None:
    """Write a file for each form: its answers, and what the server reads in them."""
    folder = DATA / "tool_forms"
    folder.mkdir(parents=True, exist_ok=True)
    for form, (parser, _) in FORMS.items():
        answers = [{"id": name, "text": text, **read_calls(parser, text)} for name, text in ANSWERS[form]]
        data = {"server": version("xinference"), "parser": parser, "tools": TOOLS, "answers": answers}
        (folder / f"{form}.json").write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n")


def _reasoning_of(family: dict[str, Any], text: str) -> tuple[str | None, str | None]:
    import asyncio

    from xinference.model.llm.harmony import parse_harmony_chat_completion
    from xinference.model.llm.reasoning_parser import KimiK3ReasoningParser, ReasoningParser

    if family["model_name"] == "gpt-oss":
        message: dict[str, Any] = {"role": "assistant", "content": text}
        completion: Any = {"object": "chat.completion", "choices": [{"message": message, "logprobs": None}]}
        parsed = asyncio.run(parse_harmony_chat_completion(completion))["choices"][0]["message"]
        return parsed.get("reasoning_content"), parsed["content"]
    if family["model_name"] == "Kimi-K3":
        kimi: tuple[str | None, str | None] = KimiK3ReasoningParser(True).extract_reasoning_content(text)
        return kimi
    tags = family["reasoning_start_tag"], family["reasoning_end_tag"]
    read: tuple[str | None, str | None] = ReasoningParser(True, *tags).extract_reasoning_content(text)
    return read


def write_reasoning(families: list[dict[str, Any]]) -> None:
    """Write what the server's reasoning parser makes of whole answers, for a family of each pair of tags."""
    cases = []
    seen = set()
    for family in families:
        start, end = family.get("reasoning_start_tag"), family.get("reasoning_end_tag")
        if start is None or end is None or (start, end) in seen:
            continue
        tags = (str(start), str(end))
        seen.add(tags)
        for name, text in thoughts(*tags):
            reasoning, content = _reasoning_of(family, text)
            cases.append(
                {"family": family["model_name"], "id": name, "text": text, "reasoning": reasoning, "content": content}
            )
    data = {"server": version("xinference"), "answers": cases}
    (DATA / "reasoning.json").write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n")


def _opens_thought(family: dict[str, Any]) -> bool:
    """Return whether the chat template ends the prompt with the opening tag, so that the answer comes without it."""
    import jinja2
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def refuse(message: str) -> None:
        raise jinja2.TemplateError(message)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.globals |= {"raise_exception": refuse, "strftime_now": lambda _: "2026-01-01"}
    template = environment.from_string(family["chat_template"] or "")
    # As the server calls it: `enable_thinking` is always stated, and true unless the model was launched without it.
    prompt = template.render(
        messages=[{"role": "user", "content": "Hi"}], add_generation_prompt=True, enable_thinking=True
    )
    return prompt.rstrip().endswith(family["reasoning_start_tag"].strip())


def write_families(families: list[dict[str, Any]]) -> None:
    """Write the table of built-in families as a module of the package."""
    parsers = {"deepseek_v3": "deepseek-v3"}  # the family file of 4.1.0 misspells its own parser
    tool_forms: dict[str, str] = {}
    tags: dict[str, tuple[str, str]] = {}
    opening: list[str] = []
    for family in families:
        name, parser = family["model_name"], family.get("tool_parser")
        if parser:
            tool_forms[name] = parsers.get(parser, parser)
        if start := family.get("reasoning_start_tag"):
            tags[name] = (start, family["reasoning_end_tag"])
            if _opens_thought(family):
                opening.append(name)
    FAMILIES.write_text(
        '"""How the built-in families of Xinference write tool calls and reasoning. Generated: do not edit.\n\n'
        f"Made from the family files of Xinference {version('xinference')} by `python -m lab.oracle`, run with the\n"
        'Python of the lab\'s environment (lab/README.md).\n"""\n\n'
        "from __future__ import annotations\n\n"
        "#: The server's parser for each family that can call tools.\n"
        f"TOOL_FORMS: dict[str, str] = {pprint.pformat(tool_forms, width=110)}\n\n"
        "#: The tags around the reasoning of each family that can reason.\n"
        f"REASONING_TAGS: dict[str, tuple[str, str]] = {pprint.pformat(tags, width=110)}\n\n"
        "#: Families whose template writes the opening tag into the prompt, so that the answer begins without it.\n"
        f"OPENED_BY_TEMPLATE: frozenset[str] = frozenset({pprint.pformat(opening, width=110)})\n"
    )
    subprocess.run([sys.executable, "-m", "ruff", "format", str(FAMILIES)], check=False, capture_output=True)


def main() -> None:
    """Write all the data anew."""
    import xinference.model.llm

    logging.disable(logging.CRITICAL)
    folder = Path(xinference.model.llm.__file__).parent / "models"
    families = []
    for file in sorted(folder.glob("*.json")):
        content = json.loads(file.read_text())
        families += content if isinstance(content, list) else [content]
    write_families(families)
    write_tool_forms()
    write_reasoning(families)


if __name__ == "__main__":
    main()
