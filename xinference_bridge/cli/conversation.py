"""A conversation: its turns, its parameters and the commands that change it. Prints nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from xinference_bridge.cli.attachments import attached, in_words, unquoted
from xinference_bridge.cli.model_argument import uid_of
from xinference_bridge.cli.parameter_values import NAMES, parameter_value
from xinference_bridge.cli.saved_conversation import load, save
from xinference_bridge.connection import XinferenceConnection
from xinference_bridge.errors import XinferenceConfigurationError
from xinference_bridge.models.chat import ChatHandle
from xinference_bridge.protocol.chat.messages import WireMessage, text_part
from xinference_bridge.protocol.chat.request import ChatCall
from xinference_bridge.protocol.http import JSON
from xinference_bridge.suggestions import did_you_mean


class ConversationEnd(Exception):  # noqa: N818 - not an error: it ends the conversation
    """The user leaves the conversation."""


@dataclass
class Conversation:
    """The system prompt, the turns so far and the parameters of a conversation."""

    connection: XinferenceConnection
    uid: str
    system: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    turns: list[WireMessage] = field(default_factory=list)
    file: Path | None = None
    """Where it was last saved or loaded."""
    attachments: list[JSON] = field(default_factory=list)
    """Parts of the next message: images and recordings."""

    @property
    def model(self) -> ChatHandle:
        """The model that answers."""
        return ChatHandle(self.connection, self.uid)

    def call(self, message: str) -> ChatCall:
        """The request for an answer to this message."""
        first: list[WireMessage] = [{"role": "system", "content": self.system}] if self.system else []
        return ChatCall([*first, *self.turns, self._said(message)], dict(self.parameters))

    def keep(self, message: str, answer: str) -> None:
        """Add a turn, without its reasoning: most chat templates leave earlier reasoning out."""
        self.turns += [self._said(message), {"role": "assistant", "content": answer}]
        self.attachments.clear()

    def _said(self, message: str) -> WireMessage:
        content = [*self.attachments, text_part(message)] if self.attachments else message
        return {"role": "user", "content": content}

    def think(self, wanted: bool) -> None:
        """Turn a hybrid model's reasoning on or off."""
        self.parameters["enable_thinking"] = wanted


@dataclass(frozen=True, slots=True)
class SlashCommand:
    """A slash command: its argument, its help text and its implementation, which returns the reply."""

    takes: str
    help: str
    run: Callable[[Conversation, str], str]


def obey(conversation: Conversation, line: str) -> str:
    """Run `/command argument` and return the reply.

    Raises:
        ConversationEnd: The user leaves.
        XinferenceError: The argument is invalid, or a request failed; nothing has changed.
    """
    name, _, argument = line.removeprefix("/").strip().partition(" ")
    command = COMMANDS.get(name.lower()) or _ALIASES.get(name.lower())
    if command is None:
        return f"unknown command /{name}{did_you_mean(f'/{name}', [f'/{known}' for known in COMMANDS])}"
    return command.run(conversation, argument.strip())


def _help(_conversation: Conversation, _argument: str) -> str:
    width = max(len(f"/{name} {command.takes}") for name, command in COMMANDS.items())
    lines = [f"{f'/{name} {command.takes}':<{width}}  {command.help}" for name, command in COMMANDS.items()]
    lines.append(f"{chr(34) * 3:<{width}}  begins and ends a multi-line message")
    lines.append(f"{'Ctrl-C':<{width}}  stops an answer; its text so far is kept")
    return "\n".join(lines)


def _clear(conversation: Conversation, _argument: str) -> str:
    conversation.turns.clear()
    conversation.attachments.clear()
    return "cleared: the conversation starts over"


def _system(conversation: Conversation, argument: str) -> str:
    if argument:
        conversation.system = None if argument == "-" else argument
    return f"system: {conversation.system}" if conversation.system else "no system prompt"


def _temperature(conversation: Conversation, argument: str) -> str:
    return _set(conversation, f"temperature {argument}")


def _max_tokens(conversation: Conversation, argument: str) -> str:
    return _set(conversation, f"max_tokens {argument}")


def _think(conversation: Conversation, argument: str) -> str:
    if argument not in ("on", "off"):
        return "/think needs on or off"
    conversation.think(argument == "on")
    return f"thinking is {argument}, if the model is hybrid"


def _set(conversation: Conversation, argument: str) -> str:
    """`NAME VALUE` sets a parameter, `NAME -` resets it, `NAME` or no argument shows values."""
    name, _, value = argument.strip().partition(" ")
    if value == "-":
        conversation.parameters.pop(name, None)
    elif value:
        conversation.parameters[name] = parameter_value(name, value.strip())
    elif name and name not in NAMES:
        raise XinferenceConfigurationError(f"unknown parameter {name!r}{did_you_mean(name, NAMES)}")
    shown = {name: conversation.parameters.get(name)} if name else conversation.parameters
    default = "the server's default"
    words = [f"{key}: {default if held is None else json.dumps(held)}" for key, held in shown.items()]
    return ", ".join(words) or "nothing is set: the server's defaults apply"


def _model(conversation: Conversation, argument: str) -> str:
    if argument:
        conversation.uid = uid_of(conversation.connection, argument, "chat")
    return f"model: {conversation.uid}"


def _models(conversation: Conversation, _argument: str) -> str:
    able = [model.uid for model in conversation.connection.models() if model.can("chat")]
    return f"chat models: {', '.join(able)}"


def _image(conversation: Conversation, argument: str) -> str:
    return _attach(conversation, argument, "image")


def _audio(conversation: Conversation, argument: str) -> str:
    return _attach(conversation, argument, "audio")


def _attach(conversation: Conversation, argument: str, family: Literal["image", "audio"]) -> str:
    """`FILE` attaches a file, `-` removes all attachments, no argument lists them."""
    if argument == "-":
        conversation.attachments.clear()
    elif argument:
        conversation.attachments.append(attached(unquoted(argument), family))
    listed = "; ".join(map(in_words, conversation.attachments))
    return f"goes along with the next message: {listed}" if listed else f"/{family} takes the name of a file"


def _save(conversation: Conversation, argument: str) -> str:
    path = Path(argument).expanduser() if argument else conversation.file
    if path is None:
        return "/save needs a file name"
    save(conversation, path)
    return f"saved to {path}: {_counted(conversation)}"


def _load(conversation: Conversation, argument: str) -> str:
    if not argument:
        return "/load needs the name of a file that /save wrote"
    path = Path(argument).expanduser()
    load(conversation, path)
    return f"loaded from {path}: {_counted(conversation)}"


def _counted(conversation: Conversation) -> str:
    count = len(conversation.turns)
    return f"{count} message{'' if count == 1 else 's'}"


def _exit(_conversation: Conversation, _argument: str) -> str:
    raise ConversationEnd


COMMANDS = {
    "help": SlashCommand("", "show this list", _help),
    "clear": SlashCommand("", "clear the conversation", _clear),
    "system": SlashCommand("TEXT", "set the system prompt; - removes it", _system),
    "temperature": SlashCommand("NUMBER", "set the sampling temperature; - resets it", _temperature),
    "max_tokens": SlashCommand("NUMBER", "limit the answer, in tokens; - resets it", _max_tokens),
    "think": SlashCommand("on|off", "turn a hybrid model's reasoning on or off", _think),
    "set": SlashCommand("NAME VALUE", "set any other parameter, such as top_p 0.9", _set),
    "model": SlashCommand("UID", "switch to another model", _model),
    "models": SlashCommand("", "list the running chat models", _models),
    "image": SlashCommand("FILE", "send an image with the next message; - removes it", _image),
    "audio": SlashCommand("FILE", "send a recording with the next message; - removes it", _audio),
    "save": SlashCommand("FILE", "save the conversation to a file", _save),
    "load": SlashCommand("FILE", "load a saved conversation", _load),
    "exit": SlashCommand("", "leave (exit, quit and Ctrl-D do too)", _exit),
}
#: Words that end the conversation without a slash.
FAREWELLS = frozenset({"exit", "quit", "bye"})
_ALIASES = {"quit": COMMANDS["exit"], "bye": COMMANDS["exit"], "?": COMMANDS["help"]}
