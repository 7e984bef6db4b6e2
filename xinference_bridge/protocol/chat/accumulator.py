"""Converts the chunks of an answer to deltas and the final message, for streamed and complete answers.

A complete answer is read as one chunk, so that the joined deltas of a stream equal the answer without streaming.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from xinference_bridge.errors import XinferenceStreamError
from xinference_bridge.protocol.chat.channels import ChannelSplitter, Said
from xinference_bridge.protocol.chat.logprobs import check_logprobs
from xinference_bridge.protocol.chat.result import ChatDelta, ChatResult, Usage
from xinference_bridge.protocol.chat.tags import Piece, Start, TagSplitter
from xinference_bridge.protocol.chat.tool_calls import ToolCallReader
from xinference_bridge.protocol.chat.tool_forms.written import Offered
from xinference_bridge.protocol.shape_errors import wrong_shape


class ChatAccumulator:
    """Reads the chunks of one answer in order and returns the delta of each.

    `tools`: the tools of the request, whose calls may be in the text; True to look only for tags.
    `start`: what an answer without an opening tag begins with (see TagSplitter). `family`: the model's, for its tags.
    `completion`: whether the chunks are those of `/v1/completions`, whose text is returned unchanged.
    """

    __slots__ = (
        "_after_thought",
        "_calls",
        "_completion",
        "_family",
        "_finish_reason",
        "_first",
        "_gap",
        "_last",
        "_logprobs",
        "_plain",
        "_reasoning",
        "_served_channels",
        "_served_thought",
        "_splitter",
        "_text",
        "_tools",
        "_usage",
        "done",
    )

    def __init__(
        self,
        *,
        tools: bool | Iterable[Any],
        start: Start = "text",
        completion: bool = False,
        family: str | None = None,
    ) -> None:
        self.done: bool = False
        self._family = family
        self._completion = completion
        self._tools: bool | tuple[Any, ...] = tools if isinstance(tools, bool) else tuple(tools)
        self._served_thought = False  # the server separated the reasoning
        self._splitter = TagSplitter(tools=self._tools, start=start, family=family)
        self._served_channels: ChannelSplitter | None = None
        if self._tools and family == "gpt-oss":
            # The server's parser of channels knows none for calls, and leaves them in the reasoning (4.1.0).
            offered = Offered(self._tools if isinstance(self._tools, tuple) else ())
            self._served_channels = ChannelSplitter(offered, thinking=True)
        self._plain = completion  # the text need not be parsed
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._gap = ""
        self._after_thought = False
        self._calls = ToolCallReader()
        self._finish_reason: str | None = None
        self._usage: Usage | None = None
        self._logprobs: list[dict[str, Any]] | None = None
        self._first: Mapping[str, Any] | None = None
        self._last: Mapping[str, Any] = {}

    @property
    def text(self) -> str:
        """The answer's text so far, without text that is held back."""
        return "".join(self._text)

    def mark_done(self) -> None:
        """Record that the server sent `[DONE]`."""
        self.done = True

    # One function on purpose: it runs once per token, and a call costs as much as four lookups.
    def feed(self, event: Mapping[str, Any]) -> ChatDelta | None:  # noqa: C901, PLR0912, PLR0915
        """Return the delta of this chunk, or None. Raise XinferenceProtocolError for an invalid chunk."""
        if type(event) is not dict and not isinstance(event, Mapping):
            raise wrong_shape("a chunk", "an object", event)
        self._last = event
        if self._first is None:
            self._first = event
            self._calls.answer_id = event.get("id")
        usage = event.get("usage")
        if usage is not None:
            # Not summed: the transformers engine sends the same usage in its last two chunks.
            self._usage = _usage_from_wire(usage) or self._usage
        choices = event.get("choices")
        if type(choices) is not list:
            if choices is None:
                return None  # a gateway's own chunk, or one with only usage
            raise wrong_shape("choices", "a list", choices)
        if not choices:
            return None  # llama.cpp's last chunk with usage
        choice = choices[0]
        if type(choice) is not dict:
            raise wrong_shape("a choice", "an object", choice)
        if choice.get("index"):
            # Xinference ignores `n`, so a second choice comes from another server and was not requested.
            choice = _choice_zero(choices)
            if choice is None:
                return None
        reason = choice.get("finish_reason")
        if reason is not None and self._finish_reason is None:
            # The first one counts: the transformers engine streams "length", then "stop".
            if type(reason) is not str:
                raise wrong_shape("finish_reason", "a string", reason)
            self._finish_reason = reason or None
        logprobs = choice.get("logprobs")
        if logprobs is not None:
            logprobs = self._take_logprobs(logprobs)

        delta: Any = None
        if self._completion:
            content = choice.get("text")
        else:
            delta = choice.get("delta")
            if not delta:
                if delta is not None and type(delta) is not dict:
                    raise wrong_shape("delta", "an object", delta)
                return None if logprobs is None else ChatDelta(logprobs=logprobs)
            if type(delta) is not dict:
                raise wrong_shape("delta", "an object", delta)
            content = delta.get("content")
            if (
                delta.get("tool_calls")
                or delta.get("reasoning_content")
                or delta.get("reasoning")
                or delta.get("function_call")
            ):
                return self._take_rich(delta, content, logprobs)

        if not content:
            if content is not None and type(content) is not str:
                raise wrong_shape("content", "a string", content)
            return None if logprobs is None else ChatDelta(logprobs=logprobs)
        if type(content) is not str:
            raise wrong_shape("content", "a string", content)
        if self._after_thought and not (content := self._begun(content)):
            return None if logprobs is None else ChatDelta(logprobs=logprobs)
        if self._plain:
            self._text.append(content)
            return ChatDelta(content, "", [], logprobs)
        if delta is not None and "reasoning_content" in delta:
            # The server parses reasoning, and marks each piece as not being any.
            pieces = self._splitter.expect_text() + self._splitter.feed(content)
        else:
            pieces = self._splitter.feed(content)
        if len(pieces) == 1:
            piece = pieces[0]
            if piece[0] == "text":
                if not self._tools:  # with tools, tags are parsed to the end
                    self._plain = self._splitter.plain
                self._text.append(piece[1])
                return ChatDelta(piece[1], "", [], logprobs)
            if piece[0] == "reasoning":
                self._reasoning.append(piece[1])
                return ChatDelta("", piece[1], [], logprobs)
        out = ChatDelta(logprobs=logprobs)
        self._add(pieces, out)
        return out if out.text or out.reasoning or out.tool_calls or logprobs is not None else None

    def finish(self) -> ChatDelta:
        """Return the text that was held back, and the complete answer as `final`.

        Raises XinferenceStreamError with the text so far if the stream had neither a finish_reason nor `[DONE]`.
        """
        out = ChatDelta()
        self._close(out)
        if self._finish_reason is None and not self.done:
            error = XinferenceStreamError(
                f"The stream ended before the answer did, after {sum(map(len, self._text))} characters of text: "
                "the server, or a proxy before it, hung up. What came is in `partial_text`."
            )
            error.partial_text = self.text
            raise error
        raw = {key: value for key, value in self._last.items() if key != "choices"}
        out.final = self._result(out, self._last, raw)
        return out

    def whole(self, body: Mapping[str, Any], choice: Mapping[str, Any]) -> ChatResult:
        """Return the answer of one choice, read like the only chunk of a stream."""
        message = choice.get("delta") or {}
        calls, content = message.get("tool_calls"), message.get("content")
        if calls and type(content) is str and not _MAY_CALL.search(content):
            # As in a stream, where the text comes before the calls: white space between them is layout.
            text = {name: value for name, value in message.items() if name != "tool_calls"}
            self.feed({**body, "choices": [{**choice, "delta": text, "finish_reason": None}]})
            choice = {**choice, "delta": {"tool_calls": calls}, "logprobs": None}
        self.feed({**body, "choices": [choice]})
        out = ChatDelta()
        self._close(out)
        return self._result(out, body, dict(body))

    def _close(self, out: ChatDelta) -> None:
        """Emit what was held back. An answer that the server took for reasoning is emitted as text too.

        4.1.0 hands the answer over as reasoning when a model with thinking on answers without a thought, and with
        tools and `enable_thinking: false`, its calls included.
        """
        finished = self._finish_reason not in (None, "length")
        if self._served_channels is not None:
            self._add(self._served_channels.close(finished=finished and not self._text), out)
        self._add(self._splitter.close(finished=finished), out)
        if self._served_thought and finished and not self._calls.any and not "".join(self._text).strip():
            answer = TagSplitter(tools=self._tools, family=self._family)
            self._add(answer.feed("".join(self._reasoning)) + answer.close(finished=True), out)

    def _result(self, out: ChatDelta, last: Mapping[str, Any], raw: dict[str, Any]) -> ChatResult:
        reason = self._finish_reason
        calls = self._calls.finish(out.tool_calls, cut=reason == "length")
        if calls and reason in ("stop", "function_call"):
            reason = "tool_calls"  # from a server that parsed the calls itself
        first: Mapping[str, Any] = self._first if self._first is not None else {}
        return ChatResult(
            text=self.text,
            reasoning="".join(self._reasoning),
            tool_calls=calls,
            finish_reason=reason,
            usage=self._usage,
            logprobs=self._logprobs,
            id=_either(first, last, "id", (str,)),
            created=_either(first, last, "created", (int,)),
            model_replica=_either(first, last, "model_replica", (str, int)),
            system_fingerprint=_either(first, last, "system_fingerprint", (str,)),
            raw=raw,
        )

    def _take_rich(
        self, delta: dict[str, Any], content: Any, logprobs: list[dict[str, Any]] | None
    ) -> ChatDelta | None:
        """Read a delta with more than text."""
        out = ChatDelta(logprobs=logprobs)
        reasoning = delta.get("reasoning_content") or delta.get("reasoning")
        if reasoning:
            if type(reasoning) is not str:
                raise wrong_shape("reasoning_content", "a string", reasoning)
            # The server separates reasoning, so tags in `content` belong to the answer.
            self._served_thought = True
            self._add(self._splitter.stop_reasoning(), out)
            if self._served_channels is None:
                self._think(reasoning, out)
            else:
                self._add(self._served_channels.feed(reasoning), out)
                self._after_thought = not self._text
        calls = delta.get("tool_calls")
        if calls:
            if type(calls) is not list:
                raise wrong_shape("tool_calls", "a list", calls)
            self._calls.take_all(calls, out.tool_calls)
            self._splitter.pass_call()
        legacy = delta.get("function_call")
        if legacy:
            self._calls.take_all([{"index": 0, "function": legacy}], out.tool_calls)
            self._splitter.pass_call()
        if content is not None:
            if type(content) is not str:
                raise wrong_shape("content", "a string", content)
            self._add(self._splitter.feed(self._begun(content)), out)
        self._plain = self._splitter.plain
        return out if out.text or out.reasoning or out.tool_calls or logprobs is not None else None

    def _think(self, reasoning: str, out: ChatDelta) -> None:
        r"""Take a piece of what the server calls reasoning, without the white space that stood by its tags.

        4.1.0 cuts at the tags alone: "\nTwo and two make four.\n", and then "\n\n2 + 2 is 4." as content.
        """
        piece = self._gap + reasoning
        if not self._reasoning:
            piece = piece.lstrip()
        kept = piece.rstrip()
        self._gap = piece[len(kept) :]
        self._after_thought = not self._text
        if kept:
            self._reasoning.append(kept)
            out.reasoning += kept

    def _begun(self, content: str) -> str:
        """Return the text without the whitespace between the reasoning and the answer."""
        if self._after_thought:
            content = content.lstrip()
            self._after_thought = not content
        return content

    def _add(self, pieces: list[Piece] | list[Said], out: ChatDelta) -> None:
        for piece in pieces:
            if piece[0] == "text":
                self._text.append(piece[1])
                out.text += piece[1]
            elif piece[0] == "reasoning":
                self._reasoning.append(piece[1])
                out.reasoning += piece[1]
            else:
                self._calls.take_written(piece[1], out.tool_calls)

    def _take_logprobs(self, wire: Any) -> list[dict[str, Any]] | None:
        """Return the entries of this chunk, one per token; None if it has none."""
        if type(wire) is not dict:
            raise wrong_shape("logprobs", "an object", wire)
        entries = wire.get("content")
        if entries is None:
            entries = _legacy_logprobs(wire)
        if type(entries) is not list:
            raise wrong_shape("logprobs.content", "a list", entries)
        if not entries:
            return None
        check_logprobs(entries)
        if self._logprobs is None:
            self._logprobs = []
        self._logprobs += entries
        return entries


#: Calls in the text follow those that the server parsed, so such text is not fed before them.
_MAY_CALL = re.compile(r"[<\[{`]")


def chat_result_from_wire(
    body: Mapping[str, Any], *, tools: bool | Iterable[Any], start: Start = "text", family: str | None = None
) -> ChatResult:
    """Return the answer of a chat call without streaming.

    Raises XinferenceProtocolError if it has no choice or is invalid.
    """
    choice = _only_choice(body)
    message = choice.get("message")
    if type(message) is not dict:
        raise wrong_shape("message", "an object", message)
    return ChatAccumulator(tools=tools, start=start, family=family).whole(body, {**choice, "delta": message})


def _only_choice(body: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(body, Mapping):
        raise wrong_shape("the answer", "an object", body)
    choices = body.get("choices")
    if type(choices) is not list or not choices:
        raise wrong_shape("choices", "a list with an entry", choices)
    choice = _choice_zero(choices)
    if choice is None:
        raise wrong_shape("choices", "a list with an entry of index 0", choices)
    return choice


def _choice_zero(choices: list[Any]) -> dict[str, Any] | None:
    for choice in choices:
        if type(choice) is not dict:
            raise wrong_shape("a choice", "an object", choice)
        if not choice.get("index"):
            return choice
    return None


def _either(first: Mapping[str, Any], last: Mapping[str, Any], key: str, kinds: tuple[type, ...]) -> Any:
    """Return the first chunk's value, or the last one's; None if its type is wrong."""
    for source in (first, last):
        value = source.get(key)
        if type(value) in kinds:
            return value
    return None


def _usage_from_wire(wire: Any) -> Usage | None:
    """Return the counts, or None without any: Xinference sends -1 for unknown numbers of tokens."""
    if type(wire) is not dict:
        raise wrong_shape("usage", "an object", wire)
    prompt, completion = _count(wire.get("prompt_tokens")), _count(wire.get("completion_tokens"))
    if prompt is None or completion is None:
        return None
    total = _count(wire.get("total_tokens"))
    return Usage(
        prompt,
        completion,
        prompt + completion if total is None else total,
        _count(_inner(wire, "prompt_tokens_details", "cached_tokens")),
        _count(_inner(wire, "completion_tokens_details", "reasoning_tokens")),
    )


def _count(value: Any) -> int | None:
    return value if type(value) is int and value >= 0 else None


def _inner(wire: dict[str, Any], outer: str, inner: str) -> Any:
    details = wire.get(outer)
    return details.get(inner) if type(details) is dict else None


def _legacy_logprobs(wire: dict[str, Any]) -> Any:
    """Convert the parallel lists of `/v1/completions` to a chat's entries; [] if there are none."""
    tokens, values, tops = wire.get("tokens"), wire.get("token_logprobs"), wire.get("top_logprobs")
    if type(tokens) is not list or type(values) is not list or len(tokens) != len(values):
        return []
    entries = [{"token": token, "logprob": value} for token, value in zip(tokens, values, strict=True)]
    if type(tops) is list and len(tops) == len(tokens):
        for entry, top in zip(entries, tops, strict=True):
            if type(top) is dict:
                entry["top_logprobs"] = [{"token": token, "logprob": value} for token, value in top.items()]
    return entries
