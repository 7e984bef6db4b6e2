"""The channels that gpt-oss writes (OpenAI's harmony format), cut out of its text while it streams. Pure.

A message is `<|start|>assistant<|channel|>CHANNEL<|message|>WORDS<|end|>`, and the prompt ends after `assistant`:

    <|channel|>analysis<|message|>Two and two.<|end|>
    <|start|>assistant<|channel|>commentary to=functions.add <|constrain|>json<|message|>{"a": 2, "b": 2}<|call|>
    <|start|>assistant<|channel|>final<|message|>Four.<|return|>

The transformers engine of Xinference 4.1.0 decodes without the special tokens, which leaves
`analysisTwo and two.assistantcommentary to=functions.add json{"a": 2, "b": 2}`. Its parser of channels knows no
commentary: a call stays in `reasoning_content`, or in `content` when the answer begins with it.
"""

from __future__ import annotations

import re
from typing import Literal

from xinference_bridge.protocol.chat.tool_forms.written import (
    CUT,
    Offered,
    WrittenCall,
    json_depth,
    json_ends,
    named_call,
)

Said = tuple[Literal["text", "reasoning"], str] | tuple[Literal["tool_call"], WrittenCall]
Kind = Literal["analysis", "final", "call", "other"]

#: What an answer with channels begins with, where its special tokens were kept.
BEGINNINGS = ("<|channel|>", "<|start|>assistant")

#: And where they were lost.
BARE_BEGINNINGS = ("analysis", "commentary", "final", "assistant", "to=")

_TAGS = tuple(
    f"<|{name}|>" for name in ("start", "channel", "constrain", "message", "end", "return", "call", "endoftext")
)
_TAG = re.compile("|".join(map(re.escape, _TAGS)))
#: The tags that end a message; `<|message|>` and `<|constrain|>` within one are words that quote them.
_END_TAGS = tuple(tag for tag in _TAGS if tag not in ("<|message|>", "<|constrain|>"))
_END = re.compile("|".join(map(re.escape, _END_TAGS)))

#: Where a message ends that has lost its special tokens.
_MARKS = ("assistantanalysis", "assistantcommentary", "assistantfinal", "assistant to=")
_END_OR_MARK = re.compile("|".join([_END.pattern, *map(re.escape, _MARKS)]))
#: What begins such a message: the channel, which has grown together with the first word.
_BARE = re.compile(
    r"(?P<analysis>(?:assistant)?analysis)"
    r"|(?P<text>assistantfinal|assistantcommentary(?! ?to=)|(?:final|commentary)(?=[^a-z\s,.:;]))"
    r"|(?:assistant)?(?:commentary)? ?(?=to=)"
)
_BARE_HEADS = (
    *("analysis", "final", "commentary to=", "commentaryto=", "to="),
    *("assistantto=", "assistantcommentary to=", "assistantcommentaryto=", *_MARKS),
)
#: With special tokens, a header may lack the first one: `<|start|>assistant` ends the prompt.
_BARE_RECIPIENT = re.compile(r"(?=to=)")
#: The rest of a header that has lost its special tokens, up to the arguments.
_BARE_CALL = re.compile(r"\s?to=(\S+?)\s*(?:commentary|analysis)?\s*(?:json|code)?\s*(?=\{)")

_RECIPIENT = re.compile(r"\bto=([^\s<]+)")
_CHANNEL = re.compile(r"analysis|commentary|final")
_ROLE = re.compile(r"\s*(assistant\b|[\w.\-]*)")
_GLUED = ("json", "commentary", "code", "analysis")

#: A header is a few words; what is longer is none.
_HEADER_CHARACTERS = 200
#: So many ends of messages may stand in the strings of a call's arguments before the next one ends it all the same.
_ENDS_IN_ARGUMENTS = 100


class ChannelSplitter:
    """Extracts reasoning, text and calls from channels. The joined output is the same however the text is cut.

    Args:
        offered: The tools that the model was offered; None leaves calls in the text.
        thinking: Whether the text begins within a thought: the server has cut off what opened it.
    """

    __slots__ = (
        "_buffer",
        "_calls",
        "_ends",
        "_gap",
        "_head",
        "_header",
        "_joint",
        "_kind",
        "_name",
        "_offered",
        "_opener",
        "_space",
        "_tagged",
        "_texts",
        "_thought",
        "_words",
    )

    def __init__(self, offered: Offered | None, *, thinking: bool = False) -> None:
        self._offered = offered
        self._buffer = ""  # not read yet
        self._header: list[str] | None = None  # the header that is being read
        self._kind: Kind | None = "analysis" if thinking else None  # of the message that is being read
        self._tagged = False  # special tokens were seen: without them a message ends at bare words
        self._name = ""  # of the function that is being called
        self._head = ""  # how the message was opened
        self._words: list[str] = []  # the arguments
        self._ends = 0
        self._space: list[str] = []  # white space at the beginning
        self._gap = ""  # white space at the end of a thought
        self._joint: dict[str, str] = {}  # what parts the next message from the last one of its kind
        self._opener = ""
        self._thought: list[str] = []
        self._texts = self._calls = False  # whether an answer was emitted

    def expect_text(self) -> None:
        """Look only for special tokens: a server that separates reasoning has already removed the bare words."""
        self._tagged = True

    def feed(self, text: str) -> list[Said]:
        """Return what is certain after this piece of text."""
        out: list[Said] = []
        self._buffer += text
        while self._buffer and self._step(out, last=False):
            pass
        return out

    def close(self, *, finished: bool) -> list[Said]:
        """Return what was held back, now that nothing follows.

        Args:
            finished: Whether the model ended by itself: a thought after which nothing came is then told as text too.
        """
        out: list[Said] = []
        while self._buffer and self._step(out, last=True):
            pass
        if self._header is not None:
            self._end_header(out, closed=False)
        open_thought = "".join(self._thought) if self._kind == "analysis" else ""
        self._end_message(out, closed=False)
        if open_thought and finished and not (self._texts or self._calls):
            # "analysis" alone opens a thought, and may as well be the answer's first word.
            out.append(("text", self._opener + open_thought))
        return out

    def _step(self, out: list[Said], *, last: bool) -> bool:
        """Read one piece of the buffer; return False while it depends on what follows."""
        if self._header is not None:
            return self._read_header(out, last=last)
        if self._kind is not None:
            return self._read_words(out, last=last)
        return self._read_beginning(out, last=last)

    def _read_beginning(self, out: list[Said], *, last: bool) -> bool:
        words = self._buffer.lstrip()
        if space := self._buffer[: len(self._buffer) - len(words)]:
            self._space.append(space)
            self._buffer = words
        if not words:
            return False
        if (tag := _TAG.match(words)) is not None:
            self._tagged = True
            self._space.clear()
            self._buffer = words[tag.end() :]
            if tag.group() in ("<|start|>", "<|channel|>"):
                self._header = [tag.group()]
            elif tag.group() == "<|message|>":
                self._begin("final", "")
            return True
        if not last and any(tag.startswith(words) for tag in _TAGS):
            return False
        heads, begins = (("to=",), _BARE_RECIPIENT) if self._tagged else (_BARE_HEADS, _BARE)
        if not last and any(head.startswith(words) for head in heads):
            return False
        if (bare := begins.match(words)) is not None:
            return self._begin_bare(words, bare, out, last=last)
        self._begin("final", "")
        self._buffer = "".join(self._space) + words if not self._texts else words
        self._space.clear()
        return True

    def _begin_bare(self, words: str, bare: re.Match[str], out: list[Said], *, last: bool) -> bool:
        """Begin a message that has lost its special tokens; return False while its header is not whole."""
        rest = words[bare.end() :]
        if kind := bare.lastgroup:
            self._begin("analysis" if kind == "analysis" else "final", bare.group())
            self._buffer = rest
            self._space.clear()
            return True
        # Judged by the shortest beginning that decides, so that it is the same at every cut.
        tag, call = _TAG.search(rest[:_HEADER_CHARACTERS]), _BARE_CALL.match(rest[:_HEADER_CHARACTERS])
        if tag is not None and (call is None or tag.start() < call.end()):
            self._header = [bare.group() + rest[: tag.start()]]
            self._buffer = rest[tag.start() :]
            return True
        if call is None and len(rest) < _HEADER_CHARACTERS and not last:
            return False
        if call is None:
            self._begin("final", "")
            self._tell("text", bare.group(), out)
            self._buffer = rest
            return True
        self._call(call[1], bare.group() + call.group())
        self._buffer = rest[call.end() :]
        self._space.clear()
        return True

    def _read_header(self, out: list[Said], *, last: bool) -> bool:
        header = self._header
        assert header is not None  # noqa: S101 - the state says so
        tag = _TAG.search(self._buffer)
        stop = tag.start() if tag is not None else (len(self._buffer) if last else _partial(self._buffer, _TAGS))
        header.append(self._buffer[:stop])
        self._buffer = self._buffer[stop:]
        if sum(map(len, header)) > _HEADER_CHARACTERS:
            words = "".join(header)
            self._header = [words[:_HEADER_CHARACTERS]]
            self._buffer = words[_HEADER_CHARACTERS:] + self._buffer
            self._end_header(out, closed=True)
            return True
        if tag is None:
            return False
        if tag.group() == "<|message|>":
            self._buffer = self._buffer[len(tag.group()) :]
            self._open("".join(header))
        elif tag.group() in ("<|channel|>", "<|constrain|>"):
            header.append(tag.group())
            self._buffer = self._buffer[len(tag.group()) :]
        else:
            self._end_header(out, closed=True)
        return True

    def _open(self, header: str) -> None:
        """Begin the message of this header."""
        self._header = None
        role, _, rest = header.removeprefix("<|start|>").partition("<|channel|>")
        said = _ROLE.match(role)
        to = _RECIPIENT.search(header.replace("<|constrain|>", " "))
        if header.startswith("<|start|>") and said is not None and said[1] not in ("assistant", ""):
            # The model went on after its call, and wrote the tool's answer or the user's next question itself.
            self._begin("other", header)
        elif to is not None and to[1] not in ("assistant", "user", "all"):
            self._call(to[1], header + "<|message|>")
        else:
            channels = _CHANNEL.findall(rest)
            self._begin("analysis" if channels[-1:] == ["analysis"] else "final", "")

    def _end_header(self, out: list[Said], *, closed: bool) -> None:
        """Skip a header without a message. Text outside of a header is emitted as text.

        llama.cpp's issue 27720 shows what gpt-oss-20b writes: `<|channel|>??`, `<|channel|>commentary?commentary?`.
        """
        header = "".join(self._header or ())
        self._header = None
        to = _RECIPIENT.search(header)
        if to is not None and not closed:
            self._call(to[1], header)
            return
        words = _TAG.sub("", header)
        if re.search(r"[^\W\d_]{2}", _CHANNEL.sub("", words.replace("assistant", ""))):
            self._begin("final", "")
            self._tell("text", words, out)

    def _call(self, recipient: str, head: str) -> None:
        name = recipient.removeprefix("functions.")
        offered = self._offered.names if self._offered is not None else ()
        if name not in offered:
            # "<|constrain|>json" grows together with the name when the token before it is lost.
            shorter = [name.removesuffix(word) for word in _GLUED]
            name = next((one for one in shorter if one in offered), name)
        self._begin("call", head)
        self._name = name

    def _begin(self, kind: Kind, opener: str) -> None:
        self._kind = kind
        self._head = opener
        if kind == "analysis":
            self._thought.clear()
            self._opener = opener
        self._gap = ""
        self._ends = 0
        self._words.clear()

    def _read_words(self, out: list[Said], *, last: bool) -> bool:
        data = self._buffer
        ends, tails = (_END, _END_TAGS) if self._tagged else (_END_OR_MARK, _END_TAGS + _MARKS)
        end = ends.search(data)
        stop = end.start() if end is not None else (len(data) if last else _partial(data, tails))
        self._buffer = data[stop:]
        if self._kind == "call":
            self._words.append(data[:stop])
            if end is not None and self._ends < _ENDS_IN_ARGUMENTS and json_depth("".join(self._words))[0]:
                self._ends += 1
                self._words.append(end.group())  # it stands in a string
                self._buffer = self._buffer[len(end.group()) :]
                return True
        elif self._kind == "analysis":
            self._tell("reasoning", data[:stop], out)
        elif self._kind == "final":
            self._tell("text", data[:stop], out)
        if end is None:
            return False
        self._end_message(out, closed=True)
        return True

    def _end_message(self, out: list[Said], *, closed: bool) -> None:
        kind, self._kind = self._kind, None
        if kind == "call":
            self._end_call(out, closed=closed)
        elif kind == "analysis" and self._thought:
            self._joint["reasoning"] = "\n\n"
        elif kind == "final" and self._texts:
            self._joint["text"] = "\n\n"

    def _end_call(self, out: list[Said], *, closed: bool) -> None:
        words = "".join(self._words)
        self._words.clear()
        if self._offered is None:
            self._tell("text", self._head + words, out)
            return
        ends = json_ends(words)
        # Without special tokens, only its JSON shows where the call ends.
        rest = words[ends[0] :] if ends and not self._tagged else ""
        arguments = words[: len(words) - len(rest)].strip()
        whole = closed or bool(ends and not words[ends[0] :].removesuffix(rest).strip())
        call = named_call(self._name, arguments or "{}") if whole else WrittenCall(self._name, arguments, CUT)
        self._calls = True
        out.append(("tool_call", call))
        if rest.strip():
            self._tell("text", rest.strip(), out)

    def _tell(self, kind: Literal["text", "reasoning"], words: str, out: list[Said]) -> None:
        if kind == "text":
            if not words:
                return
            out.append(("text", self._joint.pop("text", "") + words))
            self._texts = True
            return
        # White space about a thought is layout.
        kept = (self._gap + words).rstrip()
        self._gap = (self._gap + words)[len(kept) :]
        if not self._thought:
            kept = kept.lstrip()
        if kept:
            joint = self._joint.pop("reasoning", "")
            out.append(("reasoning", joint + kept))
            self._thought.append(kept)


def _partial(data: str, tags: tuple[str, ...]) -> int:
    """Return where a suffix begins that may still become one of the tags; the length if there is none."""
    size = len(data)
    for at in range(max(0, size - max(map(len, tags)) + 1), size):
        suffix = data[at:]
        if any(tag.startswith(suffix) for tag in tags):
            return at
    return size
