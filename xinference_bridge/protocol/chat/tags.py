r"""Reasoning and tool calls that a model writes into its text, between tags, cut out of it while it streams.

White space that touches a tag belongs to the layout, not to the content: a chat template has the model write
`<think>\n…\n</think>\n\nParis.`, and a stream must end in the same words as the answer that the server parsed itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Literal

from xinference_bridge.protocol.chat.call_splitter import SLICE, CallSplitter
from xinference_bridge.protocol.chat.channels import BEGINNINGS, ChannelSplitter, Said
from xinference_bridge.protocol.chat.thought_tags import thought_tags
from xinference_bridge.protocol.chat.tool_forms.written import Offered, WrittenCall

Kind = Literal["text", "reasoning", "tool_call"]
Piece = tuple[Literal["text", "reasoning"], str] | tuple[Literal["tool_call"], WrittenCall]
Start = Literal["text", "reasoning", "opened", "undecided"]

#: Maximum characters held back while only a closing tag can distinguish reasoning from an answer.
HELD_CHARACTERS = 200

_START, _UNDECIDED, _REASONING, _TEXT = range(4)
_WORDS = re.compile(r"\S")


class TagSplitter:
    """Extracts reasoning and tool calls from text that arrives in pieces.

    The pieces of a kind, joined, are the same however the text was cut. `start` says what an answer without an opening
    tag begins with: "text"; "reasoning", where the chat template has written the tag already; "opened", where it has
    unless the model was launched without thinking; or "undecided", where nothing is known. For the last two only a
    closing tag tells: HELD_CHARACTERS are held back for it, and then the answer goes on as reasoning where it was
    "opened", and as text where it was "undecided".

    Text is never lost to a thought that does not end: `close` tells it as text too. `tools` are those that the model
    was offered, or True where only their tags are looked for.
    """

    __slots__ = (
        "_bare",
        "_calls",
        "_channels",
        "_drops",
        "_family",
        "_held",
        "_lead",
        "_offered",
        "_opener",
        "_skip",
        "_space",
        "_start",
        "_state",
        "_tags",
        "_tail",
        "_thought",
    )

    def __init__(self, *, tools: bool | Iterable[Any], start: Start = "text", family: str | None = None) -> None:
        self._tags = thought_tags(family)
        self._drops = self._tags.find_dropped
        self._family = family
        self._offered = Offered(() if isinstance(tools, bool) else tools)
        self._calls: CallSplitter | None = None
        if tools:
            self._calls = CallSplitter(self._offered, family)
        self._channels = self._new_channels() if family == "gpt-oss" else None
        # Text needs no look.
        self._bare = self._calls is None and self._drops is None and self._channels is None
        self._start: Start = start
        self._state = _START
        self._tail = ""  # the end of the text so far, where a tag may have begun
        self._space = ""  # white space before `_tail`: layout if a tag follows, content if words do
        self._held = ""  # text that may still be reasoning or an answer
        self._skip = start == "reasoning"  # a tag was just passed: white space is layout
        self._lead = ""  # white space before a thought that may yet turn out to be the answer
        self._opener = ""  # the tag that opened this thought; "" where it stood in the prompt
        self._thought: list[str] = []  # the part of it that was emitted

    @property
    def plain(self) -> bool:
        """Whether nothing is looked for any more, so that text may bypass `feed`."""
        return self._bare and self._state == _TEXT and not self._tail

    def feed(self, text: str) -> list[Piece]:
        """Return what is certain after this piece of text; a tool call only when its tag has closed."""
        if not text:
            return []
        if self._channels is not None:
            return self._read_channels(text)
        state = self._state
        if state == _TEXT and self._drops is None:
            return [("text", text)] if self._calls is None else list(self._calls.feed(text))
        if state == _START and self._start == "text" and self._bare and not (self._tail or self._space or self._skip):
            first = text[0]
            if not first.isspace() and not any(tag[0] == first for tag in self._tags.openers):
                self._state = _TEXT  # how nearly every answer begins
                return [("text", text)]
        out: list[Piece] = []
        self._read(text, out)
        return out

    def close(self, *, finished: bool = False) -> list[Piece]:
        """Return what was held back, now that nothing follows.

        Args:
            finished: Whether the model ended by itself, rather than at its length limit. A thought that it opened and
                never closed is then told as text too.
        """
        out: list[Piece] = []
        if self._channels is not None:
            self._tell_channels(self._channels.close(finished=finished), out)
        tail, self._tail = self._tail, ""
        if self._state == _UNDECIDED:
            self._begin_text(out)
        elif self._state == _REASONING or (self._state == _START and self._start == "reasoning"):
            self._state = _REASONING
            if tail:
                self._say(tail, out)
            if self._space and not self._skip:
                self._think(self._space, out)
            thought = "".join(self._thought)
            self._thought.clear()
            if thought and (finished or not self._opener):
                self._text(self._lead + thought, out)
        elif self._state == _START:
            self._text((("" if self._skip else self._space) + tail), out)
        elif tail:
            self._text(tail, out)
        self._space = ""
        if self._calls is not None:
            out.extend(self._calls.close())
        return out

    def stop_reasoning(self) -> list[Piece]:
        """Stop looking for reasoning tags, because the server separates reasoning. Return what was held back."""
        out: list[Piece] = []
        if self._channels is not None:
            self._tell_channels(self._channels.close(finished=False), out)
            self._channels = None
        tail, self._tail = self._tail, ""
        if self._state == _UNDECIDED:
            self._begin_text(out)
        elif self._state == _REASONING:
            if tail:
                self._say(tail, out)
        elif self._state == _START:
            self._text(self._space + tail, out)
        elif tail:
            self._text(tail, out)
        self._space = ""
        self._state = _TEXT
        self._drops = None
        self._bare = self._calls is None
        return out

    def expect_text(self) -> list[Piece]:
        """Take what comes for text unless a tag opens a thought: the server said that this is no reasoning."""
        out: list[Piece] = []
        if self._channels is not None:
            self._channels.expect_text()
        elif self._state == _UNDECIDED:
            self._begin_text(out)
        elif self._state == _START and not self._opener and self._start != "text":
            self._start = "text"
            self._skip = False
        return out

    def pass_call(self) -> None:
        """Note a call that the server parsed itself."""
        if self._calls is not None:
            self._calls.pass_call()

    def _new_channels(self) -> ChannelSplitter:
        return ChannelSplitter(None if self._calls is None else self._offered)

    def _read_channels(self, text: str) -> list[Piece]:
        out: list[Piece] = []
        if self._channels is None:
            return out
        for begin in range(0, len(text), SLICE):
            self._tell_channels(self._channels.feed(text[begin : begin + SLICE]), out)
        return out

    def _tell_channels(self, told: list[Said], out: list[Piece]) -> None:
        for piece in told:
            if piece[0] == "text":
                self._text(piece[1], out)
                continue
            out.append(piece)
            if piece[0] == "tool_call":
                self.pass_call()

    def _text(self, words: str, out: list[Piece]) -> None:
        if not words:
            return
        if self._calls is None:
            out.append(("text", words))
        else:
            out.extend(self._calls.feed(words))

    def _begin_text(self, out: list[Piece]) -> None:
        held, self._held = self._held, ""
        self._state = _TEXT
        self._read(held, out)

    def _think(self, words: str, out: list[Piece]) -> None:
        out.append(("reasoning", words))
        self._thought.append(words)

    def _say(self, words: str, out: list[Piece]) -> None:
        """Tell words of a thought, after the white space that was held before them unless a tag stood there."""
        space, self._space = ("" if self._skip else self._space), ""
        self._skip = False
        self._think(space + words, out)

    def _read(self, text: str, out: list[Piece]) -> None:
        for begin in range(0, len(text), SLICE):
            self._read_slice(self._tail + text[begin : begin + SLICE], out)

    def _read_slice(self, data: str, out: list[Piece]) -> None:
        self._tail = ""
        if self._channels is not None:
            out += self._read_channels(data)
            return
        while data:
            if self._state == _START:
                data = self._read_start(data, out)
            elif self._state == _UNDECIDED:
                data = self._read_undecided(data, out)
            elif self._state == _REASONING:
                data = self._read_reasoning(data, out)
            else:
                data = self._read_text(data, out)

    def _read_start(self, data: str, out: list[Piece]) -> str:
        """Return what is left to read once the first words tell what the answer begins with."""
        found = _WORDS.search(data)
        if found is None:
            self._space += data
            return ""
        self._space += data[: found.start()]
        words = data[found.start() :]
        opener = max((tag for tag in self._tags.openers if words.startswith(tag)), key=len, default=None)
        if any(len(tag) > len(words) and tag.startswith(words) for tag in self._tags.openers):
            self._tail = words
            return ""
        if self._family is None:
            if words.startswith(BEGINNINGS):
                self._space = ""
                self._channels = self._new_channels()
                out += self._read_channels(words)
                return ""
            if any(tag.startswith(words) for tag in BEGINNINGS):
                self._tail = words
                return ""
        if opener is not None:
            # Read on as after an opening tag, so that a second one is dropped: 4.1.0 writes "<think>\n" before answers
            # whose first token is not the whole tag, and the model's own follows, cut as "<", "think>".
            self._space = ""
            self._start = "reasoning"
            self._skip = True
            self._opener = opener
            return words[len(opener) :]
        if self._start == "reasoning":
            self._state = _REASONING
            self._lead = "" if self._opener else self._space
            return words
        space, self._space = ("" if self._skip else self._space), ""
        self._skip = False
        self._state = _TEXT if self._start == "text" else _UNDECIDED
        return space + words

    def _read_undecided(self, data: str, out: list[Piece]) -> str:
        self._held += data
        found = self._tags.find_either.search(self._held, 0, HELD_CHARACTERS)
        if found is None:
            if len(self._held) < HELD_CHARACTERS:
                return ""
            held, self._held = self._held, ""
            self._state = _REASONING if self._start == "opened" else _TEXT
            self._skip = self._state == _REASONING
            return held
        held, self._held = self._held, ""
        if found.group() in self._tags.closers:
            if thought := held[: found.start()].strip():
                out.append(("reasoning", thought))
            self._after_thought()
            return held[found.end() :]
        # An opening tag after words is quoted, and so is the closing one that follows: this is text.
        self._state = _TEXT
        return held

    def _read_reasoning(self, data: str, out: list[Piece]) -> str:
        found = self._tags.find_closer.search(data)
        stop = found.start() if found else _partial(data, self._tags.closers)
        segment = data[:stop]
        words = segment.rstrip()
        rest = segment[len(words) :]
        if words:
            if self._skip:
                words = words.lstrip()
            self._say(words, out)
        self._space += rest
        if found is None:
            self._tail = data[stop:]
            return ""
        self._after_thought()
        return data[found.end() :]

    def _after_thought(self) -> None:
        self._state = _START  # some models reason twice before they answer
        self._start = "text"
        self._space = ""
        self._skip = True
        self._opener = ""
        self._thought.clear()

    def _read_text(self, data: str, out: list[Piece]) -> str:
        if self._drops is None:
            self._text(data, out)
            return ""
        found = self._drops.search(data)
        stop = found.start() if found else _partial(data, self._tags.dropped)
        self._text(data[:stop], out)
        if found is None:
            self._tail = data[stop:]
            return ""
        return data[found.end() :]


def _partial(data: str, tags: tuple[str, ...]) -> int:
    """Return where a suffix begins that may still become one of the tags; the length if there is none."""
    size = len(data)
    for at in range(max(0, size - max(map(len, tags)) + 1), size):
        suffix = data[at:]
        if any(tag.startswith(suffix) for tag in tags):
            return at
    return size
