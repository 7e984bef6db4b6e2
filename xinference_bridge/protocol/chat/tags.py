r"""Reasoning and tool calls that a model writes into its text, between tags, cut out of it while it streams.

Whitespace that touches a tag belongs to the layout, not to the content: a chat template has the model write
`<think>\n…\n</think>\n\nParis.`, and a stream must end in the same words as the answer that the server parsed itself.
"""

from __future__ import annotations

import re
from typing import Literal

Kind = Literal["text", "reasoning", "tool_call"]
Start = Literal["text", "reasoning", "undecided"]

_THINK = "<think>"
_END_THINK = "</think>"
_TOOL = "<tool_call>"
_END_TOOL = "</tool_call>"

# The states. Each looks for its own tags alone.
_START, _UNDECIDED, _REASONING, _TEXT, _INSIDE_CALL = range(5)
_TAGS = {
    _START: (_THINK,),
    _UNDECIDED: (_THINK, _END_THINK),
    _REASONING: (_END_THINK,),
    _TEXT: (_TOOL, _END_TOOL),
    _INSIDE_CALL: (_END_TOOL,),
}
_FIND = {state: re.compile("|".join(map(re.escape, tags))) for state, tags in _TAGS.items()}
_LONGEST = len(_END_TOOL)
_WORDS = re.compile(r"\S")


class TagSplitter:
    """Cuts `<think>…</think>` and `<tool_call>…</tool_call>` out of text that comes in pieces.

    The pieces of a kind, joined, are the same however the text was cut. `start` says what an answer without an
    opening `<think>` begins with: "text"; "reasoning", where the chat template has written the opening tag already; or
    "undecided", where only a `</think>` tells, and everything is held back until it comes or the answer ends.
    A tool call is told once, whole: the inside of its tag.
    """

    __slots__ = ("_empty", "_gap", "_inside", "_said", "_skip", "_space", "_start", "_state", "_tail", "_tools")

    def __init__(self, *, tools: bool, start: Start = "text") -> None:
        self._tools = tools
        self._start: Start = start
        self._state = _START
        self._empty = True  # nothing is held in `_space` or `_tail`: text may pass at once
        self._tail = ""  # the end of the text so far, where a tag may have begun
        self._space: list[str] = []  # whitespace before `_tail`: layout if a tag follows, content if words do
        self._inside: list[str] = []  # of a tool call, or of an answer of which nobody knows yet what it is
        self._skip = start == "reasoning"  # a tag was just passed: whitespace is layout
        self._said = False  # words of the current kind have been told
        self._gap = ""  # whitespace that stood between words before a tag: it parts them if words follow

    @property
    def plain(self) -> bool:
        """Whether nothing is looked for any more, so that text may bypass `feed`."""
        return self._state == _TEXT and not self._tools and self._empty and not self._skip

    def feed(self, text: str) -> list[tuple[Kind, str]]:
        """What is certain after this piece of text; a tool call only when its tag has closed."""
        if not text:
            return []
        if self._empty and not self._skip:
            state = self._state
            if state == _TEXT:
                if not self._tools or ("<" not in text and not text[-1].isspace()):
                    self._said = True
                    return [("text", text)]
            elif state == _REASONING:
                if "<" not in text and not text[-1].isspace():
                    self._said = True
                    return [("reasoning", text)]
            elif (
                state == _START
                and self._start == "text"
                and not self._tools
                and not (text[0] == "<" or text[0].isspace())
            ):  # how nearly every answer begins
                self._state = _TEXT
                self._said = True
                return [("text", text)]
        out: list[tuple[Kind, str]] = []
        self._read(self._tail + text if self._tail else text, out)
        return out

    def close(self) -> list[tuple[Kind, str]]:
        """What was held back, now that nothing follows; an unclosed tool call's inside is told too."""
        out: list[tuple[Kind, str]] = []
        tail, self._tail = self._tail, ""
        if self._state == _INSIDE_CALL:
            # An answer cut at its length limit within the closing tag still holds a whole call.
            inside = "".join(self._inside) + ("" if tail.startswith("</") else tail)
            self._inside.clear()
            out.append(("tool_call", inside.strip()))
            self._state = _TEXT
            return out
        if self._state == _START and self._start == "reasoning":
            self._state = _REASONING
        elif self._state == _UNDECIDED:
            self._inside.append(tail)
            self._decide_for_text(out)
            tail, self._tail = self._tail, ""
            if self._state == _INSIDE_CALL:
                self._tail = tail
                return out + self.close()
        if tail:
            self._say(tail, out)
        if not self._skip and self._space:
            out.append((self._kind(), "".join(self._space)))
        self._space.clear()
        self._empty = True
        return out

    def stop_reasoning(self) -> list[tuple[Kind, str]]:
        """Looks for no `<think>` from here on, since the server tells reasoning apart; returns what was held for it."""
        out: list[tuple[Kind, str]] = []
        if self._state == _START:
            self._begin_text()
            if self._tail:
                tail, self._tail = self._tail, ""
                self._read(tail, out)
        elif self._state == _UNDECIDED:
            self._inside.append(self._tail)
            self._tail = ""
            self._decide_for_text(out)
        elif self._state == _REASONING:
            tail, self._tail = self._tail, ""
            if tail:
                self._say(tail, out)
            self._space.clear()
            self._begin_text()
            self._empty = True
        return out

    def _kind(self) -> Kind:
        return "reasoning" if self._state == _REASONING else "text"

    def _open_reasoning(self) -> None:
        self._space.clear()
        self._start = "reasoning"
        self._skip = True
        self._said = False
        self._gap = ""

    def _begin_text(self) -> None:
        self._state = _TEXT
        self._skip = self._said = False
        self._gap = ""

    def _decide_for_text(self, out: list[tuple[Kind, str]]) -> None:
        held = "".join(self._inside)
        self._inside.clear()
        self._begin_text()
        self._read(held, out)

    def _say(self, words: str, out: list[tuple[Kind, str]]) -> None:
        """Tells words, after the whitespace that was held before them unless a tag stood there."""
        space = "".join(self._space)
        self._space.clear()
        if self._skip:
            # "It is\n<tool_call>…</tool_call>\nfine" must not become "It isfine".
            space = (self._gap or space) if self._said else ""
            self._skip = False
            self._gap = ""
        out.append((self._kind(), space + words))
        self._said = True

    def _pass_tag(self) -> None:
        """Drops the whitespace before a tag, and asks for the same after it."""
        space = "".join(self._space)
        self._space.clear()
        if not (self._skip and self._gap):
            self._gap = space
        self._skip = True

    def _read(self, data: str, out: list[tuple[Kind, str]]) -> None:  # noqa: C901, PLR0912 - a state machine
        """Reads `data`, which begins where a tag may begin, and keeps in `_tail` what may become one."""
        pos = 0
        end = len(data)
        self._tail = ""
        while pos < end:
            state = self._state
            if state == _START:
                pos = self._read_start(data, pos)
                continue
            if state == _TEXT and not self._tools:
                self._stream(data[pos:], out, hold=False)
                break
            found = _FIND[state].search(data, pos)
            if found is not None:
                stop = found.start()
            else:
                stop = _partial_tag(data, pos, _TAGS[state])
                self._tail = data[stop:]
            if state in (_INSIDE_CALL, _UNDECIDED):
                self._inside.append(data[pos:stop])
            elif stop > pos:
                self._stream(data[pos:stop], out, hold=True)
            if found is None:
                break
            pos = found.end()
            tag = found.group()
            if state == _UNDECIDED:
                if tag == _THINK:
                    # An opening tag after words is quoted, and so is the closing one that follows: this is text.
                    self._inside.append(tag)
                    self._decide_for_text(out)
                    # Only the tags of text can be cut at the end of what was held, and none begins with "<think>".
                    continue
                held = "".join(self._inside).strip()
                self._inside.clear()
                if held:
                    out.append(("reasoning", held))
                self._after_reasoning()
            elif state == _REASONING:
                self._after_reasoning()
            elif state == _INSIDE_CALL:
                out.append(("tool_call", "".join(self._inside).strip()))
                self._inside.clear()
                self._state = _TEXT
            else:
                # llama.cpp leaves a stray closing tag beside a call that it parsed itself: passed over like the others.
                self._pass_tag()
                if tag == _TOOL:
                    self._state = _INSIDE_CALL
        self._empty = not (self._tail or self._space)

    def _read_start(self, data: str, pos: int) -> int:
        """Where to read on, once the first words tell what the answer begins with."""
        found = _WORDS.search(data, pos)
        words = found.start() if found else len(data)
        if words > pos:
            self._space.append(data[pos:words])
        if not found:
            return words
        if data.startswith(_THINK, words):
            # Read on as after an opening tag, so that a second one is dropped: 4.1.0 writes "<think>\n" before answers
            # whose first token is not the whole tag, and the model's own follows, cut as "<", "think>".
            self._open_reasoning()
            return words + len(_THINK)
        if len(data) - words < len(_THINK) and _THINK.startswith(data[words:]):
            self._tail = data[words:]
            return len(data)
        if self._start == "reasoning":
            self._state = _REASONING
        elif self._start == "undecided":
            self._state = _UNDECIDED
            self._inside = self._space
            self._space = []
        else:
            self._state = _TEXT
        return words

    def _after_reasoning(self) -> None:
        self._space.clear()
        self._state = _START  # some models reason twice before they answer
        self._start = "text"
        self._skip = True
        self._said = False
        self._gap = ""

    def _stream(self, segment: str, out: list[tuple[Kind, str]], *, hold: bool) -> None:
        """Tells a segment without tags, all but its trailing whitespace, which a tag may still follow."""
        words = segment.rstrip() if hold else segment
        lead = len(words) - len(words.lstrip()) if self._skip else 0
        if lead:
            self._space.append(words[:lead])
            words = words[lead:]
        if words:
            self._say(words, out)
        rest = len(segment) - len(words) - lead
        if rest:
            self._space.append(segment[len(segment) - rest :])


def _partial_tag(data: str, pos: int, tags: tuple[str, ...]) -> int:
    """Where a suffix of `data[pos:]` begins that may still become one of the tags; its length if there is none."""
    at = data.rfind("<", max(pos, len(data) - _LONGEST))
    if at >= 0:
        suffix = data[at:]
        for tag in tags:
            if tag.startswith(suffix):
                return at
    return len(data)
