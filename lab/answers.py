"""Answers with tool calls in every form that has a parser in Xinference, and answers with reasoning."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

Call = tuple[str, dict[str, Any]]


def _tool(name: str, **properties: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {key: {"type": kind} for key, kind in properties.items()}}
    return {"type": "function", "function": {"name": name, "description": name, "parameters": schema}}


TOOLS = [
    _tool("add", a="integer", b="integer"),
    _tool("now"),
    _tool("weather", city="string", zip="string", days="integer"),
    _tool("run", code="string"),
    _tool("set", i="integer", f="number", flag="boolean", nothing="null", o="object", l="array"),
]

ADD: Call = ("add", {"a": 1, "b": 2})
SUM: Call = ("add", {"a": 30, "b": 4})
NOW: Call = ("now", {})

#: The calls of each answer.
CALLS: dict[str, list[Call]] = {
    "one call": [ADD],
    "no arguments": [NOW],
    "parallel calls": [ADD, SUM, NOW],
    "the same call twice": [ADD, ADD],
    "unicode": [("weather", {"city": "北京 é 😀 \u2028"})],
    "text that looks like a number": [("weather", {"city": "404", "zip": "00123", "days": 7})],
    "white space around text": [("weather", {"city": "  two  spaces ", "zip": "", "days": -1})],
    "numbers": [("set", {"i": 123456789012345678901234567890, "f": -1.5e300, "flag": True, "nothing": None})],
    "nested": [("set", {"o": {"k": [1, {"z": None}], "t": {"u": False}}, "l": [[], {}, "x"]})],
    "quotes and newlines": [("run", {"code": "if a < b & c:\n\tprint(\"it's\\n\", {'k': [1]})\n"})],
    "tags inside text": [("run", {"code": "</tool_call> <think> </arg_value> ``` </invoke> ]]>"})],
}


def _json_call(call: Call, key: str = "arguments") -> str:
    return json.dumps({"name": call[0], key: call[1]}, ensure_ascii=False)


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _many(one: Callable[[Call], str], before: str = "", after: str = "", joint: str = "\n") -> Callable[..., str]:
    return lambda calls: before + joint.join(map(one, calls)) + after


def _qwen_xml(call: Call) -> str:
    inside = "".join(f"<parameter={key}>\n{_value(value)}\n</parameter>\n" for key, value in call[1].items())
    return f"<tool_call>\n<function={call[0]}>\n{inside}</function>\n</tool_call>"


def _glm5(call: Call) -> str:
    inside = "".join(f"<arg_key>{key}</arg_key>\n<arg_value>{_value(v)}</arg_value>\n" for key, v in call[1].items())
    return f"<tool_call>{call[0]}\n{inside}</tool_call>"


def _deepseek_r1(call: Call) -> str:
    arguments = json.dumps(call[1], ensure_ascii=False)
    return f"<｜tool▁call▁begin｜>function<｜tool▁sep｜>{call[0]}\n```json\n{arguments}\n```<｜tool▁call▁end｜>"


def _deepseek_v3_1(call: Call) -> str:
    arguments = json.dumps(call[1], ensure_ascii=False)
    return f"<｜tool▁call▁begin｜>{call[0]}<｜tool▁sep｜>{arguments}<｜tool▁call▁end｜>"


def _dsml(mark: str, outer: str) -> Callable[..., str]:
    def one(call: Call) -> str:
        inside = "".join(
            f'<{mark}parameter name="{key}" string="{"true" if isinstance(value, str) else "false"}">'
            f"{_value(value)}</{mark}parameter>\n"
            for key, value in call[1].items()
        )
        return f'<{mark}invoke name="{call[0]}">\n{inside}</{mark}invoke>'

    return _many(one, f"<{mark}{outer}>\n", f"\n</{mark}{outer}>")


def _minimax(call: Call) -> str:
    inside = "".join(f'<parameter name="{key}">{_value(value)}</parameter>\n' for key, value in call[1].items())
    return f'<invoke name="{call[0]}">\n{inside}</invoke>'


def _xml(value: Any) -> str:
    if isinstance(value, dict):
        return "".join(f"<{key}>{_xml(item)}</{key}>" for key, item in value.items())
    if isinstance(value, list):
        return "".join(f"<item>{_xml(item)}</item>" for item in value)
    return _value(value).replace("&", "&amp;").replace("<", "&lt;")


def _minimax_m3(call: Call) -> str:
    return f'<invoke name="{call[0]}">\n' + "".join(f"<{k}>{_xml(v)}</{k}>\n" for k, v in call[1].items()) + "</invoke>"


def _minicpm5(call: Call) -> str:
    def written(value: Any) -> str:
        text = _value(value)
        return f"<![CDATA[{text}]]>" if any(mark in text for mark in "<&\n") and "]]>" not in text else text

    inside = "".join(f'<param name="{key}">{written(value)}</param>' for key, value in call[1].items())
    return f'<function name="{call[0]}">{inside}</function>'


def _gemma_value(value: Any) -> str:
    if isinstance(value, str):
        return f'<|"|>{value}<|"|>'
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{_gemma_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_gemma_value, value)) + "]"
    return json.dumps(value)


def _gemma(call: Call) -> str:
    return f"<|tool_call>call:{call[0]}{_gemma_value(call[1])}<tool_call|>"


def _kimi_kind(value: Any) -> str:
    kinds = {bool: "boolean", str: "string", type(None): "null", dict: "object", list: "array"}
    return kinds.get(type(value), "number")


def _kimi_k3(call: Call) -> str:
    inside = "".join(
        f'<|open|>argument key="{key}" type="{_kimi_kind(value)}"<|sep|>{_value(value)}<|close|>argument<|sep|>'
        for key, value in call[1].items()
    )
    return f'<|open|>call tool="{call[0]}" index="1"<|sep|>{inside}<|close|>call<|sep|>'


def _qwen(call: Call) -> str:
    return f"<tool_call>\n{_json_call(call)}\n</tool_call>"


def _deepseek_v3(call: Call) -> str:
    return f"```json\n{_json_call(call, 'parameters')}\n```"


#: Each form: the server's parser for it, and the function that writes calls.
FORMS: dict[str, tuple[str, Callable[..., str]]] = {
    "qwen": ("qwen", _many(_qwen)),
    "qwen_xml": ("qwen", _many(_qwen_xml)),
    "glm4": ("glm4", lambda calls: f"{calls[0][0]}\n{json.dumps(calls[0][1], ensure_ascii=False)}"),
    "glm5": ("glm5", _many(_glm5)),
    "llama3": ("llama3", lambda calls: _json_call(calls[0], "parameters")),
    "deepseek_r1": ("deepseek-r1", _many(_deepseek_r1, "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>")),
    "deepseek_v3": ("deepseek-v3", _many(_deepseek_v3)),
    "deepseek_v3_1": (
        "deepseek-v3.1",
        _many(_deepseek_v3_1, "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>", joint=""),
    ),
    "deepseek_v3_2": ("deepseek-v3.2", _dsml("｜DSML｜", "function_calls")),
    "deepseek_v3_2_plain": ("deepseek-v3.2", _dsml("", "function_calls")),
    "deepseek_v4": ("deepseek-v4", _dsml("｜DSML｜", "tool_calls")),
    "deepseek_v4_plain": ("deepseek-v4", _dsml("", "tool_calls")),
    "deepseek_v4_1": ("deepseek-v4.1", _dsml("｜DSML｜ ", "calls")),
    "kimi_k3": ("kimi-k3", _many(_kimi_k3, "<|open|>tools<|sep|>", "<|close|>tools<|sep|>", joint="")),
    "minimax": ("minimax", _many(_minimax, "<minimax:tool_call>\n", "\n</minimax:tool_call>")),
    "minimax_m3": ("minimax_m3", _many(_minimax_m3, "<minimax:tool_call>\n", "\n</minimax:tool_call>")),
    "minicpm5": ("minicpm5", _many(_minicpm5)),
    "gemma": ("gemma", _many(_gemma, joint="")),
}


def _answers(write: Callable[..., str]) -> Iterator[tuple[str, str]]:
    for name, calls in CALLS.items():
        yield name, write(calls)
    one, two = write([ADD]), write([ADD, SUM])
    yield "words before", "I will add them.\n\n" + one
    yield "words after", one + "\n\nThat is all."
    yield "words between", f"First this:\n{one}\nThen that:\n{write([NOW])}"
    for tenths in range(1, 10):
        yield f"cut after {tenths} tenths", two[: len(two) * tenths // 10]
    yield "no call", "Two and two make four: 2 < 3 & {1, 2}."
    yield "nothing", ""
    yield "the opening tag in prose", f"Write `{one.split(chr(10))[0][:24].split('{')[0]}` before a call, and no more."
    yield "a call quoted in code", f"For example:\n\n```text\n{one}\n```\n\nThat is how."


ANSWERS: dict[str, list[tuple[str, str]]] = {form: list(_answers(write)) for form, (_, write) in FORMS.items()}


def thoughts(start: str, end: str) -> Iterator[tuple[str, str]]:
    """Yield answers of a family that writes its reasoning between these tags."""
    if start == "analysis":
        analysis, final = "<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"
        yield "raw channels", f"{analysis}Two and two.{final}Four."
        yield "raw channels, end token", f"{analysis}Two and two.{final}Four.<|return|>"
        yield "raw channels, no thought", "<|channel|>final<|message|>Four."
        yield "raw channels, only a thought", f"{analysis}Two and"
        yield "the word analysis in the answer", f"{analysis}Hm.{final}My analysis is done."
    yield "a thought and an answer", f"{start}Two and two.{end}Four."
    yield "only a thought", f"{start}Two and"
    if start != "analysis":
        yield "layout around the tags", f"{start}\nTwo and two.\n{end}\n\nFour.\n"
        yield "without the opening tag", f"Two and two.{end}Four."
        yield "a tag in the answer", f"{start}Hm.{end}Write {start} first."
        yield "an empty thought", f"{start}\n\n{end}\n\nFour."
        yield "no thought", "Four."
