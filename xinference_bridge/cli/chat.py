"""`chat`: one answer to a message or a pipe, or an interactive conversation. Answers are streamed."""

from __future__ import annotations

import sys
import time
from contextlib import closing

import typer
from rich.console import Console
from rich.text import Text

from xinference_bridge.cli.console import complain, messages, output, speaks_unicode
from xinference_bridge.cli.conversation import FAREWELLS, Conversation, ConversationEnd, obey
from xinference_bridge.cli.history import kept_history
from xinference_bridge.cli.inputs import piped_text
from xinference_bridge.cli.option_names import with_option_names
from xinference_bridge.cli.options import WRONG_USAGE
from xinference_bridge.errors import (
    XinferenceAuthenticationError,
    XinferenceConnectionError,
    XinferenceError,
    XinferenceTimeoutError,
)
from xinference_bridge.printable import harmless
from xinference_bridge.protocol.chat.result import ChatResult

#: After these errors the same message may succeed.
_NOT_ABOUT_THE_MESSAGE = (XinferenceAuthenticationError, XinferenceConnectionError, XinferenceTimeoutError)
_QUOTES = '"""'


def talk(conversation: Conversation, message: str | None, *, reasoning: bool | None, debug: bool = False) -> None:
    """Answer the message and the piped input, or start a conversation if there is neither.

    `reasoning=None` shows the reasoning on a terminal and hides it in a pipe.
    """
    console = output()
    shown = sys.stdout.isatty() if reasoning is None else reasoning
    if not sys.stdin.isatty():
        piped = piped_text().strip()
        message = "\n\n".join(part for part in (message, piped) if part)
        if not message:
            typer.echo("error: nothing to send: pass --message or pipe a text", err=True)
            raise typer.Exit(WRONG_USAGE)
    if message is not None:
        _Answer(console, reasoning=shown).stream(conversation, message)
        return
    _converse(conversation, console, reasoning=shown, debug=debug)


def _converse(conversation: Conversation, console: Console, *, reasoning: bool, debug: bool) -> None:
    notes = messages()
    notes.print(
        harmless(f"{conversation.model.uid} at {conversation.model.connection.server_url}. /help lists the commands."),
        style="dim",
    )
    with kept_history():
        _take_turns(conversation, console, reasoning=reasoning, debug=debug)


def _take_turns(conversation: Conversation, console: Console, *, reasoning: bool, debug: bool) -> None:
    notes = messages()
    prompt = "\u203a " if speaks_unicode(console) else "> "
    while True:
        try:
            line = _read(prompt)
        except EOFError:
            notes.print()
            return
        except UnicodeDecodeError as error:
            notes.print(f"not sent: the line is not UTF-8 ({error.reason})", style="dim")
            continue
        except KeyboardInterrupt:
            notes.print("\nType /exit or Ctrl-D to leave", style="dim")
            continue
        if not line.strip():
            continue
        if line.strip().lower() in FAREWELLS:
            return
        sends = not line.startswith("/") or line.startswith("//")
        try:
            if not sends:
                notes.print(Text(harmless(obey(conversation, line)), style="dim"))
            else:
                _turn(conversation, line.removeprefix("/") if line.startswith("//") else line, console, reasoning)
        except ConversationEnd:
            return
        except XinferenceError as error:
            complain(error, with_option_names(str(error)), debug=debug, secrets=_secrets_of(conversation))
            if (
                sends
                and conversation.attachments
                and not (error.retryable or isinstance(error, _NOT_ABOUT_THE_MESSAGE))
            ):
                conversation.attachments.clear()
                notes.print("The attachments are removed; the next message goes without them.", style="dim")


def _secrets_of(conversation: Conversation) -> list[str]:
    connection = conversation.model.connection
    return [secret.get_secret_value() for secret in (connection.api_key, connection.password) if secret is not None]


def _read(prompt: str) -> str:
    """Read one message: a line, or several lines between triple quotes."""
    line = input(prompt)
    if not line.startswith(_QUOTES):
        return line
    lines = [line.removeprefix(_QUOTES)]
    while not lines[-1].endswith(_QUOTES):
        lines.append(input("… "))
    lines[-1] = lines[-1].removesuffix(_QUOTES)
    return "\n".join(lines).strip()


def _turn(conversation: Conversation, message: str, console: Console, reasoning: bool) -> None:
    answer = _Answer(console, reasoning=reasoning)
    begun = time.monotonic()
    try:
        final = answer.stream(conversation, message)
    except KeyboardInterrupt:
        messages().print("(stopped)", style="dim")
        final = None
    if answer.text:
        conversation.keep(message, answer.text)
    if final is not None:
        messages().print(_summed_up(final, time.monotonic() - begun), style="dim")


def _summed_up(final: ChatResult, seconds: float) -> str:
    tokens = final.usage.completion_tokens if final.usage else None
    counted = [f"{tokens} tokens", f"{tokens / seconds:.0f} tokens/s"] if tokens and seconds > 0 else []
    cut = ["cut off at max_tokens"] if final.finish_reason == "length" else []
    return f"({', '.join([*counted, f'{seconds:.1f} s', *cut])})"


class _Waiting:
    """A spinner on a terminal until the first token arrives; nothing in a pipe."""

    def __init__(self, console: Console) -> None:
        notes = messages()
        spinner = "dots" if speaks_unicode(notes) else "line"
        shows = notes.is_terminal and console.is_terminal
        self._status = notes.status("waiting for the first token", spinner=spinner) if shows else None

    def __enter__(self) -> None:
        if self._status is not None:
            self._status.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def say(self, text: str) -> None:
        """Change the spinner's text, if it is shown."""
        if self._status is not None:
            self._status.update(text)

    def stop(self) -> None:
        """Remove the spinner and free its line."""
        if self._status is not None:
            self._status.stop()
            self._status = None


class _Answer:
    """One answer that is printed as it streams."""

    def __init__(self, console: Console, *, reasoning: bool) -> None:
        self._console = console
        self._reasoning = reasoning
        self._inside = False
        self._waiting = _Waiting(console)
        self.text = ""

    def stream(self, conversation: Conversation, message: str) -> ChatResult | None:
        """Print the answer as it arrives. An interrupt closes the stream."""
        final = None
        deltas_of = conversation.model.stream_chat
        try:
            with self._waiting, closing(deltas_of(conversation.call(message))) as deltas:
                for delta in deltas:
                    if delta.reasoning:
                        self._think(delta.reasoning)
                    if delta.text:
                        self._say(delta.text)
                    final = delta.final or final
        finally:
            if self.text or self._inside:
                self._console.out("", highlight=False)
        return final

    def _think(self, text: str) -> None:
        if not self._reasoning:
            self._waiting.say("thinking")
        else:
            self._inside = True
            self._write(text, "dim italic")

    def _say(self, text: str) -> None:
        if self._inside:
            self._inside = False
            self._console.out("\n", highlight=False)
        self.text += text
        self._write(text, None)

    def _write(self, text: str, style: str | None) -> None:
        # A file receives the text unchanged; a terminal would interpret control characters.
        self._waiting.stop()
        shown = harmless(text) if self._console.is_terminal else text
        self._console.out(shown, style=style, end="", highlight=False)
        self._console.file.flush()
