"""A chat at a terminal, in a pipe, and for one message."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from typing import Any

import orjson
import pytest

from tests.cli.tools import COMMAND, model, run, to_lab, without_colours, xinference
from tests.support.fault_proxy import CLOSE, STREAM_END, STREAM_HEAD, event
from xinference_bridge.cli import chat
from xinference_bridge.cli.console import output
from xinference_bridge.cli.conversation import Conversation, ConversationEnd, obey
from xinference_bridge.connection import XinferenceConnection

CHAT = "/v1/chat/completions"


def streamed(*deltas: dict[str, Any]) -> bytes:
    chunks = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    usage = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}}
    return (
        STREAM_HEAD
        + b"".join(event(orjson.dumps(c).decode()) for c in [*chunks, last, usage])
        + event("[DONE]")
        + STREAM_END
    )


@pytest.fixture
def talker(server):
    """A server with one chat model, which reasons and then answers "Hello."."""
    xinference(server, model("c", model_ability=["chat", "reasoning"]))
    server.on(CHAT, streamed({"reasoning_content": "They greet."}, {"content": "Hel"}, {"content": "lo."}))
    return server


def asked(server) -> list[dict[str, Any]]:
    return [orjson.loads(request.body) for request in server.seen(CHAT)]


@pytest.mark.server
def test_a_message_is_answered_on_standard_output(lab):
    ran = run("chat", *to_lab(lab), "tiny-chat", "--message", "What is the capital of France?", "--temperature", "0")
    assert ran.status == 0
    assert "Paris" in ran.out
    assert ran.err == ""


@pytest.mark.fault_server
def test_a_pipe_gets_the_answer_alone_and_the_reasoning_where_it_is_asked_for(talker):
    assert run("chat", "-e", talker.url, "c", "-m", "Hi").out == "Hello.\n"
    assert run("chat", "-e", talker.url, "c", "-m", "Hi", "--reasoning").out == "They greet.\n\nHello.\n"


@pytest.mark.fault_server
def test_what_is_piped_in_is_the_message_or_is_added_to_it(talker):
    run("chat", "-e", talker.url, "c", piped="Once upon a time\n")
    run("chat", "-e", talker.url, "c", "-m", "Sum up:", piped="Once upon a time\n")
    assert [call["messages"][-1]["content"] for call in asked(talker)] == [
        "Once upon a time",
        "Sum up:\n\nOnce upon a time",
    ]


@pytest.mark.fault_server
def test_nothing_to_say_is_a_usage_error(talker):
    ran = run("chat", "-e", talker.url, "c")
    assert ran.status == 2
    assert "nothing to send" in ran.err
    assert asked(talker) == []


@pytest.mark.fault_server
def test_what_was_not_set_is_not_sent(talker):
    run("chat", "-e", talker.url, "c", "-m", "Hi")
    options = ["--system", "Be terse.", "--temperature", "0", "--max-tokens", "5", "--no-think"]
    run("chat", "-e", talker.url, "c", "-m", "Hi", *options)
    bare, full = asked(talker)
    assert bare.keys() == {"model", "messages", "stream", "stream_options"}
    assert full["messages"][0] == {"role": "system", "content": "Be terse."}
    assert (full["temperature"], full["max_tokens"], full["enable_thinking"]) == (0, 5, False)


@pytest.mark.fault_server
def test_a_stream_that_breaks_keeps_what_came_and_ends_with_an_error(talker):
    talker.on(CHAT, (STREAM_HEAD + event('{"choices": [{"index": 0, "delta": {"content": "</think>Hel"}}]}'), CLOSE))
    ran = run("chat", "-e", talker.url, "c", "-m", "Hi")
    assert ran.status == 1
    assert "Hel" in ran.out
    assert ran.err.startswith("error: ")
    assert ran.err.count("\n") == 1


# The conversation


@pytest.fixture
def conversation(talker):
    with XinferenceConnection(talker.url) as connection:
        yield Conversation(connection, "c")


@pytest.mark.fault_server
def test_commands_change_what_is_asked_next(conversation):
    conversation.keep("Hi", "Hello.")
    for line in ("/system Be terse.", "/temperature 0", "/set top_p 0.5", '/set stop ["x"]', "/think off"):
        obey(conversation, line)
    call = conversation.call("And now?")
    assert [message["role"] for message in call.messages] == ["system", "user", "assistant", "user"]
    assert call.parameters == {"temperature": 0, "top_p": 0.5, "stop": ["x"], "enable_thinking": False}
    for line in ("/clear", "/system -", "/temperature -"):
        obey(conversation, line)
    assert [message["role"] for message in conversation.call("And now?").messages] == ["user"]
    assert "temperature" not in conversation.parameters


@pytest.mark.fault_server
def test_an_unknown_command_is_answered_with_the_nearest(conversation):
    assert obey(conversation, "/temprature 1") == "unknown command /temprature; did you mean '/temperature'?"


@pytest.mark.fault_server
def test_help_lists_every_command_and_exit_leaves(conversation):
    text = obey(conversation, "/help")
    assert all(f"/{name}" in text for name in ("clear", "system", "temperature", "model", "exit"))
    for word in ("/exit", "/quit"):
        with pytest.raises(ConversationEnd):
            obey(conversation, word)


def converse(conversation, monkeypatch, capsys, *lines):
    """A conversation of these lines; an exception among them is raised instead of a line."""
    waiting = iter([*lines, EOFError()])

    def read(_prompt=""):
        line = next(waiting)
        if isinstance(line, BaseException):
            raise line
        return line

    monkeypatch.setattr("builtins.input", read)
    chat._converse(conversation, output(), reasoning=False, debug=False)
    return capsys.readouterr()


@pytest.mark.fault_server
def test_the_banner_and_the_answer_do_not_steer_a_terminal(conversation, talker, monkeypatch, capsys):
    conversation.uid = "evil\x1b[2J\u202e\x9b"
    printed = converse(conversation, monkeypatch, capsys)
    assert "evil" in printed.err
    assert not set("\x1b\u202e\x9b") & set(printed.out + printed.err)


@pytest.mark.fault_server
def test_a_turn_is_remembered_without_its_reasoning(conversation, talker, monkeypatch, capsys):
    printed = converse(conversation, monkeypatch, capsys, "Hi", "  ", '"""And', 'now?"""', "//not a command")
    assert printed.out == "Hello.\n" * 3
    assert "(4 tokens" in printed.err
    last = [(message["role"], message["content"]) for message in asked(talker)[-1]["messages"]]
    assert last == [
        ("user", "Hi"),
        ("assistant", "Hello."),
        ("user", "And\nnow?"),
        ("assistant", "Hello."),
        ("user", "/not a command"),
    ]


@pytest.mark.fault_server
def test_after_an_error_the_conversation_goes_on_without_that_turn(conversation, talker, monkeypatch, capsys):
    good = streamed({"content": "</think>Yes."})
    talker.on(CHAT, b"HTTP/1.1 400 Bad\r\ncontent-length: 16\r\n\r\n" + b'{"detail":"no!"}', good)
    printed = converse(conversation, monkeypatch, capsys, "first", "second", KeyboardInterrupt(), "third")
    assert "error: " in printed.err
    assert "no!" in printed.err
    assert [message["content"] for message in asked(talker)[-1]["messages"]] == ["second", "Yes.", "third"]


@pytest.mark.fault_server
def test_ctrl_c_stops_an_answer_and_keeps_what_came(conversation, talker, monkeypatch, capsys):
    def stop_at_the_second_piece(self, text):
        self.text += text
        if self.text == "Hello.":
            raise KeyboardInterrupt

    monkeypatch.setattr(chat._Answer, "_say", stop_at_the_second_piece)
    printed = converse(conversation, monkeypatch, capsys, "Hi")
    assert "(stopped)" in printed.err
    assert conversation.turns[-1] == {"role": "assistant", "content": "Hello."}
    assert len(asked(talker)) == 1


@pytest.mark.slow
@pytest.mark.fault_server
def test_at_a_terminal_reasoning_is_dimmed_and_control_characters_are_shown(talker):
    talker.on(CHAT, streamed({"reasoning_content": "They greet."}, {"content": "He\x1b[2Jllo."}))
    printed = at_a_terminal("chat", "-e", talker.url, "c", typed=["Hi\n", "\x04"])
    assert "\x1b[2;3mThey greet.\x1b[0m" in printed
    assert "\x1b[2J" not in printed
    assert "He\\x1b[2Jllo." in without_colours(printed)


def at_a_terminal(*arguments: str, typed: list[str]) -> str:
    """What a terminal shows of the command while this is typed, each piece at its prompt."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"}
    process = subprocess.Popen(
        [*COMMAND, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=environment, close_fds=True
    )
    os.close(theirs)
    shown, until, prompts = b"", time.monotonic() + 90, 0
    try:
        while time.monotonic() < until:
            if select.select([ours], [], [], 0.1)[0]:
                try:
                    piece = os.read(ours, 65536)
                except OSError:  # Linux: the other side has closed
                    break
                if not piece:
                    break
                shown += piece
            if shown.count("\u203a ".encode()) > prompts and typed:
                prompts = shown.count("\u203a ".encode())
                os.write(ours, typed.pop(0).encode())
        assert process.wait(timeout=60) == 0, shown.decode()
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    return shown.decode()


@pytest.mark.fault_server
def test_a_temperature_that_no_model_takes_is_a_usage_error(talker):
    assert run("chat", "-e", talker.url, "c", "-m", "Hi", "--temperature", "5").status == 2


@pytest.mark.fault_server
def test_a_typed_line_that_is_not_utf_8_does_not_end_the_conversation(conversation, talker, monkeypatch, capsys):
    broken = UnicodeDecodeError("utf-8", b"caf\xe9", 3, 4, "unexpected end of data")
    printed = converse(conversation, monkeypatch, capsys, broken, "Hi")
    assert "the line is not UTF-8" in printed.err
    assert printed.out == "Hello.\n"
