"""A conversation as a value: what was said, what is asked next, and the commands that change it. Prints nothing."""

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


class ConversationEnd(Exception):  # noqa: N818 - no error: the person has said goodbye
    """The person wants to leave."""


@dataclass
class Conversation:
    """What the model is told: the system text, the turns so far, the parameters that were set."""

    connection: XinferenceConnection
    uid: str
    system: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    turns: list[WireMessage] = field(default_factory=list)
    file: Path | None = None
    """Where it was saved or loaded last."""
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
        """Remember a turn. Reasoning is no part of it: the models' templates leave earlier reasoning out."""
        self.turns += [self._said(message), {"role": "assistant", "content": answer}]
        self.attachments.clear()

    def _said(self, message: str) -> WireMessage:
        content = [*self.attachments, text_part(message)] if self.attachments else message
        return {"role": "user", "content": content}

    def think(self, wanted: bool) -> None:
        """Let a hybrid model reason before it answers, or not."""
        self.parameters["enable_thinking"] = wanted


@dataclass(frozen=True, slots=True)
class SlashCommand:
    """A command of the conversation: what it takes, what it does, and the reply to print."""

    takes: str
    help: str
    run: Callable[[Conversation, str], str]


def obey(conversation: Conversation, line: str) -> str:
    """Do what `/command argument` says, and return the reply.

    Raises:
        ConversationEnd: The person leaves.
        XinferenceError: The argument is invalid, or the server says no; nothing has changed.
    """
    name, _, argument = line.removeprefix("/").strip().partition(" ")
    command = COMMANDS.get(name.lower()) or _ALIASES.get(name.lower())
    if command is None:
        return f"no command /{name}{did_you_mean(f'/{name}', [f'/{known}' for known in COMMANDS])}"
    return command.run(conversation, argument.strip())


def _help(_conversation: Conversation, _argument: str) -> str:
    width = max(len(f"/{name} {command.takes}") for name, command in COMMANDS.items())
    lines = [f"{f'/{name} {command.takes}':<{width}}  {command.help}" for name, command in COMMANDS.items()]
    lines.append(f"{chr(34) * 3:<{width}}  begins and ends a message of several lines")
    lines.append(f"{'Ctrl-C':<{width}}  stops an answer; the part that came is kept")
    return "\n".join(lines)


def _clear(conversation: Conversation, _argument: str) -> str:
    conversation.turns.clear()
    conversation.attachments.clear()
    return "cleared: the conversation starts again"


def _system(conversation: Conversation, argument: str) -> str:
    if argument:
        conversation.system = None if argument == "-" else argument
    return f"system: {conversation.system}" if conversation.system else "no system text"


def _temperature(conversation: Conversation, argument: str) -> str:
    return _set(conversation, f"temperature {argument}")


def _max_tokens(conversation: Conversation, argument: str) -> str:
    return _set(conversation, f"max_tokens {argument}")


def _think(conversation: Conversation, argument: str) -> str:
    if argument not in ("on", "off"):
        return "/think takes on or off"
    conversation.think(argument == "on")
    return f"thinking is {argument}, where the model can choose"


def _set(conversation: Conversation, argument: str) -> str:
    """`NAME VALUE` sets, `NAME -` leaves it to the server again, `NAME` or nothing shows."""
    name, _, value = argument.strip().partition(" ")
    if value == "-":
        conversation.parameters.pop(name, None)
    elif value:
        conversation.parameters[name] = parameter_value(name, value.strip())
    elif name and name not in NAMES:
        raise XinferenceConfigurationError(f"no parameter {name!r}{did_you_mean(name, NAMES)}")
    shown = {name: conversation.parameters.get(name)} if name else conversation.parameters
    words = (
        f"{key}: {'the default of the server' if held is None else json.dumps(held)}" for key, held in shown.items()
    )
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
    """`FILE` attaches, `-` takes all attachments away, nothing lists them."""
    if argument == "-":
        conversation.attachments.clear()
    elif argument:
        conversation.attachments.append(attached(unquoted(argument), family))
    listed = "; ".join(map(in_words, conversation.attachments))
    return f"goes along with the next message: {listed}" if listed else f"/{family} takes the name of a file"


def _save(conversation: Conversation, argument: str) -> str:
    path = Path(argument).expanduser() if argument else conversation.file
    if path is None:
        return "/save takes the name of a file"
    save(conversation, path)
    return f"saved to {path}: {_counted(conversation)}"


def _load(conversation: Conversation, argument: str) -> str:
    if not argument:
        return "/load takes the name of a file that /save wrote"
    path = Path(argument).expanduser()
    load(conversation, path)
    return f"loaded from {path}: {_counted(conversation)}"


def _counted(conversation: Conversation) -> str:
    count = len(conversation.turns)
    return f"{count} message{'' if count == 1 else 's'}"


def _exit(_conversation: Conversation, _argument: str) -> str:
    raise ConversationEnd


COMMANDS = {
    "help": SlashCommand("", "this list", _help),
    "clear": SlashCommand("", "forget the conversation", _clear),
    "system": SlashCommand("TEXT", "the system prompt; - for none", _system),
    "temperature": SlashCommand("NUMBER", "sampling temperature; - for the server's default", _temperature),
    "max_tokens": SlashCommand("NUMBER", "the longest answer, in tokens; - for the server's default", _max_tokens),
    "think": SlashCommand("on|off", "whether a hybrid model reasons first", _think),
    "set": SlashCommand("NAME VALUE", "any other parameter, such as top_p 0.9", _set),
    "model": SlashCommand("UID", "go on with another model", _model),
    "models": SlashCommand("", "the chat models that run", _models),
    "image": SlashCommand("FILE", "send an image along with the next message; - takes it back", _image),
    "audio": SlashCommand("FILE", "send a recording along with the next message; - takes it back", _audio),
    "save": SlashCommand("FILE", "write the conversation to a file", _save),
    "load": SlashCommand("FILE", "go on with a conversation that was saved", _load),
    "exit": SlashCommand("", "leave; so do exit, quit and Ctrl-D", _exit),
}
#: Typed alone, each leaves: what people type first who look for the way out.
FAREWELLS = frozenset({"exit", "quit", "bye"})
_ALIASES = {"quit": COMMANDS["exit"], "bye": COMMANDS["exit"], "?": COMMANDS["help"]}
