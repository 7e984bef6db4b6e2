"""Parse a call from the model's text. Nearly valid JSON is repaired. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from xinference_bridge.protocol.exact_json import loads_exact, too_deep

NAMELESS = "the call names no function"
CUT = "the answer ended before the call did"


@dataclass(frozen=True, slots=True)
class WrittenCall:
    """A call found in the text: `arguments` is the JSON text of an object, unless `error` says why it is not."""

    name: str
    arguments: str
    error: str | None = None


class Offered:
    """The tools that the model was offered: their names, and which of their parameters are text."""

    __slots__ = ("_texts", "names")

    def __init__(self, tools: Iterable[Any] = ()) -> None:
        self.names: frozenset[str] = frozenset()
        self._texts: set[tuple[str, str]] = set()
        names = []
        for tool in tools:
            function = tool.get("function") if isinstance(tool, Mapping) else None
            name = function.get("name") if isinstance(function, Mapping) else None
            if not isinstance(name, str) or not isinstance(function, Mapping):
                continue
            names.append(name)
            schema = function.get("parameters")
            properties = schema.get("properties") if isinstance(schema, Mapping) else None
            if isinstance(properties, Mapping):
                self._texts |= {(name, key) for key, value in properties.items() if _is_text(value)}
        self.names = frozenset(names)

    def is_text(self, name: str, parameter: str) -> bool:
        """Return whether the tool declares this parameter as a string: then `404` is text, and not a number."""
        return (name, parameter) in self._texts


def _is_text(schema: Any) -> bool:
    return isinstance(schema, Mapping) and schema.get("type") == "string"


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


# As the server's own tool parser: a newline within a string, which models write in code, is let pass.
LENIENT = json.JSONDecoder(strict=False, parse_constant=_refuse)
_STRICT = json.JSONDecoder(parse_constant=_refuse)


def json_text(value: Any) -> str:
    """Return the value as JSON text; integers of any size are kept to the digit."""
    return json.dumps(value, ensure_ascii=False)


def is_json(text: str) -> bool:
    """Return whether the text is one JSON value."""
    return _why_not_json(text) is None


def _why_not_json(text: str) -> str | None:
    """Return why the text cannot be read as it will be, if it cannot. The bridges read calls with `loads_exact`."""
    try:
        if not too_deep(text):
            _STRICT.decode(text)  # whose reasons are the clearer ones
        loads_exact(text)
    except (ValueError, RecursionError) as error:
        return str(error)
    return None


def object_text(pairs: Iterable[tuple[str, str]]) -> str:
    """Return the JSON text of an object, from its keys and the JSON text of their values; the last of a key holds."""
    return "{" + ", ".join(f"{json_text(key)}: {value}" for key, value in dict(pairs).items()) + "}"


def value_text(raw: str, *, is_text: bool) -> str:
    """Return a parameter's raw text as JSON text: as it stands when it is JSON and not declared as text."""
    return raw.strip() if not is_text and is_json(raw.strip()) else json_text(raw)


# A string, and the quote that closes it.
_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*("?)', re.DOTALL)
_MARKS = re.compile(r'["{}\[\]]')


def json_depth(text: str) -> tuple[bool, int]:
    """Return whether the text ends within a string, and how many brackets are open."""
    depth = 0
    for mark, _, depth in _brackets(text):
        if mark == '"':
            return True, depth
    return False, depth


def json_ends(text: str) -> list[int]:
    """Return where each bracket that stands alone is closed: the ends of the values one after another."""
    return [end for mark, end, depth in _brackets(text) if mark in "}]" and depth <= 0]


def _brackets(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield each bracket outside strings, its end and the depth after it; last a quote, if it is never closed."""
    depth = position = 0
    while (mark := _MARKS.search(text, position)) is not None:
        position = mark.end()
        if mark.group() == '"':
            string = _STRING.match(text, mark.start())
            if string is None or not string.group(1):
                yield '"', position, depth
                return
            position = string.end()
        else:
            depth += 1 if mark.group() in "{[" else -1
            yield mark.group(), position, depth


_NEXT_VALUE = re.compile(r"[^\s,;]")


def read_objects(text: str) -> list[tuple[Any, str]] | None:
    """Return each JSON value of a text and its own words: one, or several one after another; None if it is not JSON."""
    found = []
    position = 0
    while match := _NEXT_VALUE.search(text, position):
        try:
            value, position = LENIENT.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            return None
        found.append((value, text[match.start() : position]))
    return found or None


def repaired(text: str) -> Any:
    """Return the value of what is nearly JSON (unquoted keys, trailing commas, single quotes); None if it is not."""
    # Loaded only for an answer that needs it.
    from json_repair import repair_json

    try:
        return LENIENT.decode(repair_json(text, ensure_ascii=False, skip_json_loads=True))
    except (ValueError, RecursionError):
        return None


_NAMES = ("name", "tool_name", "function", "tool")
_ARGUMENTS = ("arguments", "parameters", "args", "tool_arguments", "input")
_ARGUMENTS_KEY = re.compile(rf'"(?:{"|".join(_ARGUMENTS)})"\s*:\s*')


def calls_of_value(value: Any, words: str, *, bare: bool = False) -> list[WrittenCall] | None:
    """Return the calls that a JSON value is; None when it is none. A `bare` one must have a key for its arguments."""
    if type(value) is list:
        calls: list[WrittenCall] = []
        for item in value:
            inner = calls_of_value(item, words, bare=bare)
            if inner is None:
                return None
            calls += inner
        return calls or None
    if type(value) is not dict:
        return None
    if type(value.get("tool_calls")) is list:
        return calls_of_value(value["tool_calls"], words, bare=bare)
    if type(value.get("function")) is dict:
        return calls_of_value(value["function"], words, bare=bare)
    name = next((value[key] for key in _NAMES if type(value.get(key)) is str), "")
    key = next((key for key in _ARGUMENTS if key in value), None)
    if not name or (bare and key is None):
        return None
    arguments = value[key] if key is not None else {}
    if type(arguments) is str:
        # Some models write the arguments as a string of JSON, as the wire does.
        return [WrittenCall(name, arguments or "{}", why_unreadable(arguments or "{}"))]
    text = json_text({} if arguments is None else arguments)
    own = next(_own_texts(words, arguments), None) if arguments is not None else None
    return [WrittenCall(name, own or text, why_unreadable(own or text))]


def _own_texts(words: str, arguments: Any) -> Iterator[str]:
    """Yield the model's own JSON of the arguments: its spacing and numbers are what a parsing server would pass on."""
    for found in _ARGUMENTS_KEY.finditer(words):
        try:
            value, end = _STRICT.raw_decode(words, found.end())
            same = value == arguments
        except (ValueError, RecursionError):
            continue
        if same:
            yield words[found.end() : end]


def why_unreadable(arguments: str) -> str | None:
    """Return None when this is the JSON text of an object, else the reason."""
    if (wrong := _why_not_json(arguments)) is not None:
        return f"the arguments are not JSON: {wrong}"
    return None if arguments.lstrip().startswith("{") else "the arguments are not a JSON object"


def named_call(name: str, arguments: str) -> WrittenCall:
    """Return the call of this name; arguments that are nearly JSON are repaired."""
    if is_json(arguments) or not isinstance(value := repaired(arguments), dict):
        return WrittenCall(name, arguments, why_unreadable(arguments) if name else NAMELESS)
    return WrittenCall(name, json_text(value), None if name else NAMELESS)


_CONSTANT = re.compile(r"\b(?:NaN|Infinity)\b")
_NAME = re.compile(r"""["']?(?:name|function)["']?\s*:\s*["']([^"'\\]+)["']""")
_ARGUMENTS_BEGIN = re.compile(r"""["']?(?:arguments|parameters)["']?\s*:\s*""")


def calls_of_json(inside: str, *, bare: bool = False, closed: bool = True) -> list[WrittenCall] | None:
    """Return the calls in JSON text; what is nearly JSON is repaired, unless the answer broke off in it.

    None when this is no call at all.
    """
    objects = read_objects(inside)
    if objects is not None:
        calls: list[WrittenCall] = []
        for value, words in objects:
            inner = calls_of_value(value, words, bare=bare)
            if inner is None:
                return None
            calls += inner
        return calls
    if _CONSTANT.search(_STRING.sub('""', inside)):
        return None if bare else [WrittenCall("", inside, "the arguments are not JSON: it has no NaN or Infinity")]
    in_string, depth = json_depth(inside)
    if closed or not (in_string or depth > 0):
        if bare and ((ends := json_ends(inside)) == [] or inside[ends[-1] :].strip()):
            return None  # words follow it
        return calls_of_value(repaired(inside), inside, bare=bare)
    # To complete it would be to guess: `"b": 2` may have been about to become 23.
    return _calls_before_the_cut(inside)


_BETWEEN = re.compile(r"[\s,\[]*")


def _calls_before_the_cut(inside: str) -> list[WrittenCall]:
    """Return the whole calls of JSON that broke off, and the last one as far as it came."""
    calls: list[WrittenCall] = []
    position = 0
    while (begin := _BETWEEN.match(inside, position)) is not None and begin.end() < len(inside):
        try:
            value, position = LENIENT.raw_decode(inside, begin.end())
        except (ValueError, RecursionError):
            position = begin.end()
            break
        calls += calls_of_value(value, inside[begin.end() : position]) or []
    rest = inside[position:]
    if not rest.strip(" \n\t,[]"):
        return calls
    name, begin = _NAME.search(rest), _ARGUMENTS_BEGIN.search(rest)
    if name is None:
        return [*calls, WrittenCall("", rest, CUT)]
    return [*calls, WrittenCall(name.group(1), rest[begin.end() :] if begin else "", CUT)]
