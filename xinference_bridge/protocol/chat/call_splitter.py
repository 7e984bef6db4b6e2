"""Extract tool calls from streamed text. Pure."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache
from typing import Literal

from xinference_bridge.protocol.chat.quoting import CodeTracker
from xinference_bridge.protocol.chat.tool_forms.form import ToolForm
from xinference_bridge.protocol.chat.tool_forms.table import forms_of
from xinference_bridge.protocol.chat.tool_forms.whole_answer import DECIDING, fenced_tags, may_be_call, read_whole
from xinference_bridge.protocol.chat.tool_forms.written import Offered, WrittenCall

Said = tuple[Literal["text"], str] | tuple[Literal["tool_call"], WrittenCall]

_BEGIN, _WHOLE, _TEXT, _CALL = range(4)

#: llama.cpp leaves this tag beside a call that it parsed itself.
_STRAY = "</tool_call>"

#: A long text is read in slices.
SLICE = 2048

#: So often a closing tag may stand in an argument before the next one closes the call all the same.
_CLOSERS_IN_ARGUMENTS = 100

#: Until this many characters it is asked whether a call follows an opening tag; what is unclear then is text.
_UNCLEAR = 400


@lru_cache(maxsize=64)
def _tags(family: str | None) -> tuple[re.Pattern[str], tuple[str, ...], int]:
    tags = tuple(sorted({*forms_of(family), _STRAY}, key=len, reverse=True))
    return re.compile("|".join(map(re.escape, tags))), tags, len(tags[0])


class CallSplitter:
    """Extracts calls from text that arrives in pieces. The joined result does not depend on how the text was split.

    A tag is text if it is quoted in code or if no call follows it. Whitespace next to a call belongs to
    the layout. A call is returned once it is complete.
    """

    __slots__ = (
        "_begun",
        "_closers",
        "_code",
        "_family",
        "_find",
        "_form",
        "_forms",
        "_gap",
        "_held",
        "_longest",
        "_offered",
        "_plausible",
        "_said",
        "_seen",
        "_skip",
        "_space",
        "_state",
        "_tags",
        "_tail",
    )

    def __init__(self, offered: Offered, family: str | None = None, *, whole: bool = True) -> None:
        self._offered = offered
        self._family = family
        self._forms = forms_of(family)
        self._find, self._tags, self._longest = _tags(family)
        self._code = CodeTracker()
        self._state = _BEGIN if whole and offered.names else _TEXT
        self._form: ToolForm = next(iter(self._forms.values()))  # of the call that is being read
        self._held: list[str] = []  # the answer that may be a call, or what follows an opening tag
        self._seen = ""  # the end of what is held, where a closing tag may have begun
        self._begun = 0  # how much is held
        self._plausible = False  # a call does follow the opening tag
        self._closers = 0
        self._tail = ""  # the end of the text, where an opening tag may have begun
        self._space = ""  # white space before `_tail`
        self._skip = False  # a call was just passed: white space is layout
        self._said = False  # whether text was emitted
        self._gap = ""  # white space that parted words from a call: it parts them from the words after it

    def feed(self, text: str) -> list[Said]:
        """Return what is certain after this piece of text."""
        if (
            self._state == _TEXT
            and text
            and "<" not in text
            and not text[-1].isspace()
            and "`" not in text
            and not (self._tail or self._space or self._skip)
        ):
            self._said = True
            self._code.add(text)
            return [("text", text)]
        out: list[Said] = []
        if text:
            self._read(text, out)
        return out

    def close(self) -> list[Said]:
        """Return what was held back, now that nothing follows."""
        out: list[Said] = []
        if self._state in (_BEGIN, _WHOLE):
            self._end_whole(out)
        while self._state == _CALL:
            self._end_call(out)
        if self._tail:
            tail, self._tail = self._tail, ""
            self._say(tail, out)
        if self._space and not self._skip:
            out.append(("text", self._space))
        self._space = ""
        return out

    def pass_call(self) -> list[Said]:
        """Note a call that the server parsed itself: white space beside it is layout, as beside one in the text."""
        out: list[Said] = []
        if self._state == _BEGIN and not "".join(self._held).strip():
            self._held.clear()
            self._state = _TEXT
        if self._state == _TEXT and not self._tail:
            self._pass_tag()
        return out

    def _read(self, text: str, out: list[Said]) -> None:
        # The output does not depend on how the text is cut. With small chunks, the time grows linearly with the text.
        for begin in range(0, len(text), SLICE):
            self._read_slice(text[begin : begin + SLICE], out)

    def _read_slice(self, data: str, out: list[Said]) -> None:
        while data:
            if self._state in (_BEGIN, _WHOLE):
                data = self._read_begin(data)
            elif self._state == _TEXT:
                data = self._read_text(data, out)
            else:
                data = self._read_call(data, out)

    def _read_begin(self, data: str) -> str:
        """Hold the answer while it may be nothing but a call; return it as text once it cannot be."""
        self._held.append(data)
        self._begun += len(data)
        if self._state == _WHOLE and self._begun > 2 * DECIDING:
            return ""
        held = "".join(self._held)
        words = held.lstrip()
        # The same for every cut: only prefixes are judged, and the shortest one that fails decides.
        if may_be_call(words, self._offered.names, self._forms):
            self._held = [held]
            if words:
                self._state = _WHOLE
            return ""
        self._held.clear()
        self._begun = 0
        self._state = _TEXT
        return held

    def _end_whole(self, out: list[Said]) -> None:
        answer = "".join(self._held)
        self._held.clear()
        self._state = _TEXT
        inner = fenced_tags(answer)
        if inner is not None:
            splitter = CallSplitter(self._offered, self._family, whole=False)
            told = splitter.feed(inner) + splitter.close()
            calls = [piece for kind, piece in told if kind == "tool_call"]
            if calls and all(kind == "tool_call" or not str(piece).strip() for kind, piece in told):
                out.extend(told_call for told_call in told if told_call[0] == "tool_call")
                return
        found = read_whole(answer, self._offered.names) if inner is None else None
        if found is None:
            self._read(answer, out)
            return
        out.extend(("tool_call", call) for call in found)
        self._skip = True

    def _read_text(self, data: str, out: list[Said]) -> str:
        if self._tail:
            data = self._tail + data
            self._tail = ""
        found = self._find.search(data)
        if found is None:
            stop = self._partial(data)
            self._tail = data[stop:]
            self._code.add(data[:stop])
            self._stream(data[:stop], out)
            return ""
        self._code.add(data[: found.start()])
        self._stream(data[: found.start()], out)
        tag, rest = found.group(), data[found.end() :]
        if self._code.in_code():
            self._code.add(tag)
            self._say(tag, out)
        elif tag == _STRAY:
            self._pass_tag()
        else:
            self._form = self._forms[tag]
            self._state = _CALL
            self._plausible = False
            self._closers = self._begun = 0
            self._held = []
            self._seen = ""
        return rest

    def _read_call(self, data: str, out: list[Said]) -> str:
        form = self._form
        if not self._plausible:
            # Judged by the shortest prefix that decides, so that it is the same at every cut.
            held = "".join(self._held) + data
            words = held.lstrip()
            if words.startswith(form.opener):
                # Of several opening tags the last one counts, for Qwen's parser too.
                self._held = []
                return words[len(form.opener) :]
            if words.startswith(form.closer):
                self._told([], out)  # nothing stands between the tags
                return words[len(form.closer) :]
            if words and form.closer.startswith(words):
                self._held = [held]
                return ""
            verdict = form.plausible(held[:_UNCLEAR])
            if verdict is None and len(held) < _UNCLEAR:
                closer = held.find(form.closer)
                if closer == -1:
                    self._held = [held]
                    return ""
                verdict = False
            if not verdict:
                return self._as_text(held, out)
            self._plausible = True
            self._held = []
            data = held
        size = len(form.closer) - 1
        window = self._seen + data
        at = window.find(form.closer)
        if at == -1:
            self._held.append(data)
            self._seen = window[-size:]
            return ""
        inside = "".join(self._held) + data
        position = len(inside) - len(window) + at
        while position != -1:
            if self._closers >= _CLOSERS_IN_ARGUMENTS or form.closes(inside[:position]):
                return self._close_call(inside[:position], inside[position + len(form.closer) :], out)
            self._closers += 1
            position = inside.find(form.closer, position + 1)
        self._held = [inside]
        self._seen = inside[-size:]
        return ""

    def _close_call(self, inside: str, rest: str, out: list[Said]) -> str:
        form = self._form
        calls = form.read(inside, self._offered, closed=True)
        if calls is None:
            return self._as_text(inside + form.closer + rest, out)
        self._told(calls, out)
        return rest

    def _end_call(self, out: list[Said]) -> None:
        """Tell a call that the end of the answer cut off; a closing tag that stood in it may have been its own."""
        form = self._form
        inside = "".join(self._held)
        self._held = []
        first = inside.find(form.closer) if self._closers else -1
        if first != -1:
            rest = self._close_call(inside[:first], inside[first + len(form.closer) :], out)
            self._read(rest, out)
            return
        cut = next((size for size in range(len(form.closer) - 1, 0, -1) if inside.endswith(form.closer[:size])), 0)
        # An answer cut within the closing tag holds a whole call.
        whole = inside[: len(inside) - cut]
        calls = form.read(whole, self._offered, closed=False) if self._plausible else None
        if calls is None:
            rest = self._as_text(inside, out)
            self._read(rest, out)
        else:
            self._told(calls, out)

    def _told(self, calls: list[WrittenCall], out: list[Said]) -> None:
        self._state = _TEXT
        self._pass_tag()
        out.extend(("tool_call", self._as_offered(call)) for call in calls)

    def _as_offered(self, call: WrittenCall) -> WrittenCall:
        """Return the call under the offered name: models trained on gpt-oss's answers write `functions.NAME`."""
        name = call.name.removeprefix("functions.")
        return (
            replace(call, name=name) if call.name not in self._offered.names and name in self._offered.names else call
        )

    def _as_text(self, rest: str, out: list[Said]) -> str:
        """Take the opening tag for words, and return what followed it."""
        form = self._form
        self._state = _TEXT
        self._held = []
        self._code.add(form.opener)
        self._say(form.opener, out)
        return rest

    def _say(self, words: str, out: list[Said]) -> None:
        space, self._space = self._space, ""
        if self._skip:
            # "It is\n<tool_call>…</tool_call>\nfine" must not become "It isfine".
            space = (self._gap or space) if self._said else ""
            self._skip = False
            self._gap = ""
        out.append(("text", space + words))
        self._said = True

    def _stream(self, segment: str, out: list[Said]) -> None:
        """Tell a segment without tags, all but its trailing white space, which a call may still follow."""
        words = segment.rstrip()
        rest = segment[len(words) :]
        if words:
            if self._skip:
                kept = words.lstrip()
                self._space += words[: len(words) - len(kept)]
                words = kept
            self._say(words, out)
        self._space += rest

    def _pass_tag(self) -> None:
        """Drop the white space before a call, and ask for the same after it."""
        if not (self._skip and self._gap):
            self._gap = self._space
        self._space = ""
        self._skip = True

    def _partial(self, data: str) -> int:
        """Return where a suffix begins that may still become a tag; the length if there is none."""
        size = len(data)
        for at in range(max(0, size - self._longest + 1), size):
            if data[at] in "<`" and any(tag.startswith(data[at:]) for tag in self._tags):
                return at
        return size
