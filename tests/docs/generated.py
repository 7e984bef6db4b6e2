"""The tables on the pages that are generated from the code: a test compares them, `make docs-tables` renews them.

On a page such a table stands between `<!-- generated: NAME -->` and `<!-- end -->`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from xinference_bridge.protocol.engines import Engine, engine_named

ROOT = Path(__file__).parent.parent.parent
_BLOCK = re.compile(r"(<!-- generated: (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |".replace("  |", " |") for cells in lines) + "\n"


# What works on which engine

_ENGINES = {
    "llama.cpp": "llama.cpp",
    "transformers": "transformers",
    "vllm": "vLLM",
    "sglang": "SGLang",
    "mlx": "others",
}

#: What a user asks for → what happens on an engine.
_FEATURES: dict[str, Callable[[Engine], str]] = {
    "Chat, streamed or not; sync and async": lambda _: "yes",
    "Tool calls, streamed or not": lambda engine: "yes" if engine.streams_tool_calls else "yes, parsed",
    "Forced tool call (`tool_choice`)": lambda engine: "enforced" if engine.json_schema else "checked",
    "Structured output (JSON schema)": lambda engine: "enforced" if engine.json_schema else "checked",
    "JSON mode": lambda engine: "enforced" if engine.json_object else "checked",
    "Reasoning (thinking) apart from the answer": lambda _: "yes",
    "Text completion with a chat model": lambda engine: "yes" if engine.completes_chat_models else "sent as chat",
    "Exact token counts": lambda engine: "yes" if engine.counts_tokens else "estimated",
}


def engines() -> str:
    """Return the feature matrix, from the table that the code decides by."""
    rows = [[feature, *(cell(engine_named(name)) for name in _ENGINES)] for feature, cell in _FEATURES.items()]
    return table(["", *_ENGINES.values()], rows)


def generated() -> dict[str, Callable[[], str]]:
    """Return the generated tables by name."""
    from tests.docs import command_tables

    return {
        "engines": engines,
        "commands": command_tables.commands,
        "connection_options": command_tables.connection_options,
        "slash_commands": command_tables.slash_commands,
        "jsonl": command_tables.jsonl,
        **{name: partial(command_tables.options_of, name) for name in command_tables.NAMES},
    }


def pages() -> list[Path]:
    """Return the pages with a generated table."""
    found = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [path for path in found if "<!-- generated: " in path.read_text(encoding="utf-8")]


def renewed(text: str) -> str:
    """Return the page with its tables as the code would write them."""
    tables = generated()
    return _BLOCK.sub(lambda block: f"{block[1]}\n{tables[block[2]]()}\n{block[4]}", text)


def main() -> None:
    """Write the tables again."""
    for path in pages():
        path.write_text(renewed(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
