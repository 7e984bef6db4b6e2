"""`python -m lab.asked` collects the chat models' prompts and answers in the recorded tests from cassettes/.

The models learn them together with the dialogues, so that a model trained on another machine, whose weights are never
exactly the same, still answers the tests. Runs in the project's environment, not in the lab's. Writes
`lab/dialogues/asked/<chat|think>.jsonl`; after a change there, the next `make lab` trains that model again.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xinference_bridge.errors import XinferenceError
from xinference_bridge.protocol.chat.accumulator import ChatAccumulator, chat_result_from_wire
from xinference_bridge.protocol.chat.result import ChatResult
from xinference_bridge.protocol.completion import completion_result_from_wire
from xinference_bridge.protocol.event_stream import DONE
from xinference_bridge.protocol.sse import SSEDecoder
from xinference_bridge.testing.readable_yaml import ReadableYaml

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "lab" / "dialogues" / "asked"


def main() -> None:
    """Write both files, and print the number of their entries."""
    found: dict[str, dict[str, Any]] = {}
    freely: set[str] = set()
    for request, response in _exchanges():
        entry = _entry(request, response)
        if entry is None:
            continue
        key = json.dumps({name: value for name, value in entry.items() if name != "answer"}, sort_keys=True)
        # With a grammar, llama.cpp may answer the same prompt differently. The answer without a grammar counts.
        free = not (request.get("response_format") or request.get("tool_choice") not in {None, "auto", "none"})
        if key not in found or (free and key not in freely):
            found[key] = entry
        if free:
            freely.add(key)
    FOLDER.mkdir(exist_ok=True)
    for kind in ("chat", "think"):
        lines = [json.dumps(found[key], ensure_ascii=False) for key in sorted(found) if found[key]["model"] == kind]
        (FOLDER / f"{kind}.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        print(f"{kind}: {len(lines)} prompts")


def _exchanges() -> Iterator[tuple[dict[str, Any], str]]:
    for path in sorted((ROOT / "cassettes").rglob("*.yaml")):
        for entry in ReadableYaml.deserialize(path.read_text(encoding="utf-8"))["interactions"]:
            if entry["request"]["uri"].endswith("completions") and entry["response"]["status"]["code"] == 200:
                yield json.loads(entry["request"]["body"]), entry["response"]["body"]["string"]


def _entry(request: dict[str, Any], response: str) -> dict[str, Any] | None:
    """Return a prompt and the model's answer, or None if the answer is incomplete or not the model's."""
    kind = str(request.get("model")).removeprefix("tiny-").partition("-")[0]
    if kind not in {"chat", "think"} or request.get("temperature") != 0 or request.get("stop"):
        return None
    try:
        result = _result(request, response)
    except XinferenceError:
        return None
    if result.finish_reason == "length":
        return None
    thinking = kind == "think" and request.get("enable_thinking") is not False
    if "prompt" in request:
        messages = [{"role": "raw", "content": request["prompt"]}]
    else:
        messages = [_as_text(message) for message in request["messages"]]
    answer = "\n".join([*filter(None, [result.text.strip()]), *map(_call, result.tool_calls)])
    if thinking:
        answer = f"<think>\n{result.reasoning.strip()}\n</think>\n\n{answer}"
    elif "prompt" in request:
        answer = result.text
    return {
        "model": kind,
        "messages": messages,
        "tools": request.get("tools") or [],
        "thinking": thinking,
        "answer": answer,
    }


def _result(request: dict[str, Any], response: str) -> ChatResult:
    """Return the answer as the package parses it."""
    if not request.get("stream"):
        body = json.loads(response)
        return (
            completion_result_from_wire(body)
            if "prompt" in request
            else chat_result_from_wire(body, tools=bool(request.get("tools")), start="undecided")
        )
    accumulator = ChatAccumulator(tools=bool(request.get("tools")), start="undecided", completion="prompt" in request)
    for event in SSEDecoder().feed(response.encode()):
        accumulator.done = event == DONE
        if not accumulator.done:
            accumulator.feed(json.loads(event))
    final = accumulator.finish().final
    if final is None:
        sys.exit("a finished stream has no final answer: the bridge's reader has changed, and this script must too")
    return final


def _as_text(message: dict[str, Any]) -> dict[str, Any]:
    """Return the message for a chat template: its content as one text, without ids, which differ in each recording."""
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(part.get("text", "") for part in content)
    written = {name: value for name, value in message.items() if name != "tool_call_id"} | {"content": content or ""}
    if calls := message.get("tool_calls"):
        written["tool_calls"] = [{name: value for name, value in call.items() if name != "id"} for call in calls]
    return written


def _call(call: Any) -> str:
    written = {"name": call.name, "arguments": json.loads(call.arguments or "{}")}
    return f"<tool_call>\n{json.dumps(written, ensure_ascii=False)}\n</tool_call>"


if __name__ == "__main__":
    main()
