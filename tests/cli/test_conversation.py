"""A conversation's parameters are checked as they are typed; it is saved, loaded and left."""

from __future__ import annotations

import json
import sys
from contextlib import suppress

import pytest

from tests.cli.test_chat import asked, at_a_terminal, converse, talker
from tests.cli.tools import model, run, without_colours, xinference
from xinference_bridge.cli.conversation import Conversation, obey
from xinference_bridge.cli.history import history_file, input_history
from xinference_bridge.cli.parameters import PARAMETERS, parameter_from_text
from xinference_bridge.connection import XinferenceConnection
from xinference_bridge.integration.parameters import CHAT

__all__ = ["talker"]


@pytest.fixture
def conversation():
    with XinferenceConnection("http://127.0.0.1:1") as connection:
        yield Conversation(connection, "c")


def test_the_parameters_are_those_that_the_bridges_know():
    assert PARAMETERS.keys() == CHAT


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("/set temprature 1", "no parameter 'temprature'; did you mean 'temperature'?"),
        ("/set temperature hot", "temperature takes a number of 0 or more, not hot"),
        ("/temperature -1", "temperature takes a number of 0 or more, not -1"),
        ("/max_tokens 1.5", "max_tokens takes a whole number of 1 or more, not 1.5"),
        ("/set top_p 2", "top_p takes a number from 0 to 1, not 2"),
        ("/set seed true", "seed takes a whole number, not true"),
        ("/set enable_thinking maybe", "enable_thinking takes true or false, not maybe"),
        ("/set response_format json", 'response_format takes a JSON object, as {"name": 1}, not json'),
    ],
)
def test_a_wrong_value_is_told_and_not_kept(conversation, line, reply):
    assert obey(conversation, line) == reply
    assert conversation.parameters == {}


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [("temperature", "0.5", 0.5), ("stop", "END", "END"), ("stop", '["a"]', ["a"]), ("user", "7", "7")],
)
def test_a_value_is_read_as_its_parameter_takes_it(name, text, value):
    assert parameter_from_text(name, text) == value


def test_a_conversation_is_saved_and_loaded(conversation, tmp_path):
    conversation.keep("Hi", "Hello.")
    obey(conversation, "/system Be terse.")
    obey(conversation, "/temperature 0")
    path = tmp_path / "chat.json"
    assert obey(conversation, f"/save {path}") == f"saved to {path}: 2 messages"
    assert json.loads(path.read_text())["model"] == "c"
    other = Conversation(conversation.connection, "d")
    assert obey(other, f"/load {path}") == f"loaded {path}: 2 messages; it was with c"
    assert (other.turns, other.system, other.parameters) == (conversation.turns, "Be terse.", {"temperature": 0})


@pytest.mark.parametrize("content", ["no", "{}", '{"messages": [1], "parameters": {}}', '{"messages": []}'])
def test_another_file_is_neither_loaded_nor_overwritten(conversation, tmp_path, content):
    path = tmp_path / "notes.json"
    path.write_text(content)
    told = f"{path} is not a conversation that /save wrote"
    assert obey(conversation, f"/load {path}") == told
    assert obey(conversation, f"/save {path}") == told
    assert path.read_text() == content


def test_a_file_that_is_not_there_is_told(conversation, tmp_path):
    assert obey(conversation, f"/load {tmp_path}/none") == f"{tmp_path}/none: No such file or directory"
    assert obey(conversation, "/save") == "/save takes the name of a file"


@pytest.mark.parametrize("word", ["exit", "quit", " Exit ", "bye"])
def test_a_word_alone_leaves(conversation, monkeypatch, capsys, word):
    with suppress(StopIteration):
        converse(conversation, monkeypatch, capsys, word, AssertionError("it went on"))


@pytest.mark.fault_server
def test_the_only_chat_model_is_taken_and_of_several_one_has_to_be_named(server, talker):
    assert run("chat", "-e", talker.url, "-m", "Hi").out == "Hello.\n"
    assert asked(talker)[0]["model"] == "c"
    xinference(server, model("a"), model("b"), model("v", "embedding"))
    ran = run("chat", "-e", server.url, "-m", "Hi")
    assert ran.status == 2
    assert ran.err == "error: 2 chat models run: a, b. Name one: xinference-bridge chat UID\n"
    xinference(server, model("v", "embedding"))
    assert "no chat model runs at" in run("chat", "-e", server.url, "-m", "Hi").err


@pytest.mark.fault_server
def test_a_terminal_shows_that_the_model_is_waited_for(talker):
    shown = at_a_terminal("chat", "-e", talker.url, "--no-reasoning", typed=["Hi\n", "exit\n"])
    assert "waiting for the model" in without_colours(shown)
    assert "Hello." in without_colours(shown)


@pytest.mark.skipif(sys.platform == "win32", reason="no readline there")
def test_what_was_typed_is_there_the_next_time(monkeypatch, tmp_path):
    import readline

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with input_history():
        readline.add_history("What is the capital of France?")
    readline.clear_history()
    assert history_file().stat().st_mode & 0o777 == 0o600
    with input_history():
        assert readline.get_history_item(readline.get_current_history_length()) == "What is the capital of France?"
