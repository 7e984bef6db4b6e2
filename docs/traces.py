"""The spans of one agent run, ours beside ChatOpenAI's on the same server, as the table of docs/observability.md.

python docs/traces.py   (needs the lab; `make traces` sets its environment up)

For each of the two instrumentations of LangChain an agent with a tool answers a question, on ChatXinference and on
ChatOpenAI. What the first span of the model says stands in the table, row by row.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

PAGE = Path(__file__).with_name("observability.md")
TABLE = re.compile(r"(<!-- traces: .*? -->\n).*?(\n<!-- end of traces -->)", re.DOTALL)
INSTRUMENTATIONS = {
    "OpenLLMetry": ("opentelemetry.instrumentation.langchain", "LangchainInstrumentor"),
    "OpenInference": ("openinference.instrumentation.langchain", "LangChainInstrumentor"),
}
#: What a row is about, and which attributes say it: of OpenLLMetry or of OpenInference.
ROWS = {
    "requested model": r"^gen_ai\.request\.model$|^llm\.model_name$",
    "model in the response": r"^gen_ai\.response\.model$",
    "provider": r"^gen_ai\.(?:system|provider\.name)$|^llm\.(?:provider|system)$",
    "input tokens": r"^gen_ai\.usage\.(?:input|prompt)_tokens$|^llm\.token_count\.prompt$",
    "output tokens": r"^gen_ai\.usage\.(?:output|completion)_tokens$|^llm\.token_count\.completion$",
    "finish reason": r"finish_reason",
    "temperature": r"^gen_ai\.request\.temperature$",
    "tool call": r"tool_call.*name$|^gen_ai\.output\.messages$",
    "offered tools": r"^llm\.tools\.0|^gen_ai\.tool\.definitions$|functions\.0\.name$",
    "id of the response": r"^gen_ai\.response\.id$",
    "cached input tokens": r"cache_read",
}


VARIES = {"id of the response", "cached input tokens"}
"""Rows whose values are others in every run."""


def main() -> None:
    """Run the agent four times, and write the table."""
    tables = []
    for name in INSTRUMENTATIONS:
        ours, theirs = (_spans(name, model) for model in ("xinference", "openai"))
        tables.append(f"**{name}**\n\n{_table(ours, theirs)}")
    page = PAGE.read_text(encoding="utf-8")
    table = "\n".join(tables)
    page, found = TABLE.subn(lambda match: f"{match[1]}\n{table}{match[2]}", page)
    if not found:
        sys.exit(f"{PAGE.name} has no place for the table: the lines {TABLE.pattern}")
    PAGE.write_text(page, encoding="utf-8")
    print(table)


def _spans(instrumentation: str, model: str) -> dict[str, Any]:
    command = [sys.executable, __file__, instrumentation, model]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603 - itself
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return found


def _table(ours: dict[str, Any], theirs: dict[str, Any]) -> str:
    lines = ["| | ChatXinference | ChatOpenAI |", "| --- | --- | --- |"]
    lines.append(f"| spans of the run | {ours['spans']} | {theirs['spans']} |")
    for row, pattern in ROWS.items():
        mine, other = (_said(found["attributes"], pattern) for found in (ours, theirs))
        if row in VARIES:
            mine, other = ("yes" if said else "" for said in (mine, other))
        if mine or other:
            lines.append(f"| {row} | {mine or '-'} | {other or '-'} |")
    return "\n".join(lines) + "\n"


def _said(attributes: dict[str, Any], pattern: str) -> str:
    values = dict.fromkeys(_shown(value) for name, value in attributes.items() if re.search(pattern, name))
    return ", ".join(f"`{value}`" for value in values if value)


def _shown(value: Any) -> str:
    """A value without what differs from run to run and from machine to machine; of tools the names."""
    text = value if isinstance(value, str) else ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    if text.startswith(("{", "[")):
        text = ", ".join(dict.fromkeys(re.findall(r'"name": "(\w+)"', text)))
    return re.sub(r"^/\S*/", "…/", text)


def run(instrumentation: str, name: str) -> None:
    """Let one agent answer under one instrumentation, and print what its spans say, as JSON."""
    from importlib import import_module

    from langchain.agents import create_agent
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    module, instrumentor = INSTRUMENTATIONS[instrumentation]
    getattr(import_module(module), instrumentor)().instrument(tracer_provider=provider)
    url, key = os.environ["XINFERENCE_ENDPOINT"], os.environ["XINFERENCE_API_KEY"]
    model: Any
    if name == "xinference":
        from langchain_xinference_bridge import ChatXinference

        model = ChatXinference(url, "tiny-chat", key, temperature=0, max_tokens=100)
    else:
        from langchain_openai import ChatOpenAI

        model = ChatOpenAI(base_url=f"{url}/v1", api_key=key, model="tiny-chat", temperature=0, max_tokens=100)

    def get_weather(city: str) -> str:
        """Get the weather for a city."""
        return f"It's sunny in {city}." if city != "Paris" else "It's sunny."

    create_agent(model, [get_weather]).invoke({"messages": [("user", "What is the weather in Paris?")]})
    spans = sorted(exporter.get_finished_spans(), key=lambda span: span.start_time or 0)
    asked = next(span for span in spans if any("model" in key for key in span.attributes or {}))
    names = ", ".join(dict.fromkeys(span.name for span in spans))
    attributes = {key: list(v) if isinstance(v, tuple) else v for key, v in (asked.attributes or {}).items()}
    print(json.dumps({"spans": names, "attributes": attributes}))


if __name__ == "__main__":
    run(*sys.argv[1:]) if len(sys.argv) > 1 else main()
