"""The commands of a conversation: parameters are checked, conversations are saved, typed lines are kept."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from tests.cli.test_chat import CHAT, asked, at_a_terminal, converse, streamed, talker  # noqa: F401 - a fixture
from tests.cli.tools import model, run, without_colours, xinference
from tests.support.fault_proxy import http
from xinference_bridge.cli.conversation import Conversation, obey
from xinference_bridge.cli.history import history_file
from xinference_bridge.cli.parameter_values import NAMES
from xinference_bridge.connection import XinferenceConnection
from xinference_bridge.errors import XinferenceConfigurationError

pytestmark = pytest.mark.fault_server


@pytest.fixture
def conversation(talker):  # noqa: F811
    with XinferenceConnection(talker.url) as connection:
        yield Conversation(connection, "c")


# Parameters


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("/set tempratur 1", "unknown parameter 'tempratur'; did you mean 'temperature'?"),
        ("/set tempratur", "unknown parameter 'tempratur'; did you mean 'temperature'?"),
        ("/set temperature hot", "temperature must be a number from 0 to 2, got hot"),
        ("/temperature -1", "temperature must be a number from 0 to 2, got -1"),
        ("/set temperature 9", "temperature must be a number from 0 to 2, got 9"),
        ("/temperature true", "temperature must be a number from 0 to 2, got true"),
        ("/set top_p 1.5", "top_p must be a number from 0 to 1, got 1.5"),
        ("/max_tokens 0", "max_tokens must be an integer, 1 or greater, got 0"),
        ("/set max_tokens 2.5", "max_tokens must be an integer, 1 or greater, got 2.5"),
        ("/set stop 7", 'stop must be a string or a JSON list of strings, such as ["END"], got 7'),
        ("/set enable_thinking maybe", "enable_thinking must be on or off, got maybe"),
        (
            "/set response_format json",
            'response_format must be a JSON object, such as {"type": "json_object"}, got json',
        ),
    ],
)
def test_a_value_that_no_model_takes_is_refused_and_nothing_is_set(conversation, line, complaint):
    with pytest.raises(XinferenceConfigurationError) as caught:
        obey(conversation, line)
    assert str(caught.value) == complaint
    assert conversation.parameters == {}


@pytest.mark.parametrize(
    ("line", "parameters"),
    [
        ("/set top_p 0.5", {"top_p": 0.5}),
        ("/set top_k -1", {"top_k": -1}),
        ("/set stop END", {"stop": "END"}),
        ('/set stop ["END", "."]', {"stop": ["END", "."]}),
        ("/set enable_thinking off", {"enable_thinking": False}),
        ("/set logprobs on", {"logprobs": True}),
        ('/set response_format {"type": "json_object"}', {"response_format": {"type": "json_object"}}),
        ("/set reasoning_effort low", {"reasoning_effort": "low"}),
    ],
)
def test_a_value_is_read_as_json_where_it_is_json(conversation, line, parameters):
    obey(conversation, line)
    assert conversation.parameters == parameters
    obey(conversation, f"/set {next(iter(parameters))} -")
    assert conversation.parameters == {}


def test_set_accepts_the_parameters_that_the_bridges_accept():
    assert {"temperature", "top_p", "seed", "enable_thinking", "reasoning_effort"} <= set(NAMES)


# Saved, loaded, left


def test_a_conversation_that_was_saved_goes_on_elsewhere(conversation, tmp_path):
    for line in ("/system Be terse.", "/temperature 0"):
        obey(conversation, line)
    conversation.keep("Hi", "Hello.")
    path = tmp_path / "talk.json"
    assert obey(conversation, f"/save {path}") == f"saved to {path}: 2 messages"
    other = Conversation(conversation.connection, "another")
    assert obey(other, f"/load {path}") == f"loaded from {path}: 2 messages"
    assert (other.uid, other.system, other.parameters) == ("another", "Be terse.", {"temperature": 0})
    assert other.turns == conversation.turns
    other.keep("And now?", "Now.")
    assert obey(other, "/save") == f"saved to {path}: 4 messages"
    assert json.loads(path.read_text())["messages"] == other.turns


def test_another_file_is_not_written_over(conversation, tmp_path):
    path = tmp_path / "thesis.txt"
    path.write_text("years of work")
    with pytest.raises(XinferenceConfigurationError, match="is not a saved conversation; choose another name"):
        obey(conversation, f"/save {path}")
    assert path.read_text() == "years of work"


@pytest.mark.parametrize("content", [None, "years of work", "{}", '{"format": "xinference-bridge conversation 1"}'])
def test_a_file_that_is_not_a_conversation_is_not_loaded(conversation, tmp_path, content):
    path = tmp_path / "talk.json"
    if content is not None:
        path.write_text(content)
    conversation.keep("Hi", "Hello.")
    with pytest.raises(XinferenceConfigurationError, match=str(path)):
        obey(conversation, f"/load {path}")
    assert len(conversation.turns) == 2


@pytest.mark.parametrize("command", ["/save", "/load"])
def test_without_a_name_they_say_what_they_take(conversation, command):
    assert obey(conversation, command).startswith(f"{command} needs ")


@pytest.mark.parametrize("word", ["exit", "quit", " EXIT ", "/exit"])
def test_exit_leaves_with_and_without_a_slash(conversation, talker, monkeypatch, capsys, word):  # noqa: F811
    converse(conversation, monkeypatch, capsys, word, "not said any more")
    assert asked(talker) == []


def test_an_invalid_command_prints_an_error_and_the_conversation_continues(conversation, talker, monkeypatch, capsys):  # noqa: F811
    printed = converse(conversation, monkeypatch, capsys, "/set top_p 7", "Hi")
    assert "error: top_p must be a number from 0 to 1, got 7" in printed.err
    assert printed.out == "Hello.\n"


# At a terminal


@pytest.mark.slow
def test_it_says_that_it_waits_and_then_takes_the_sign_away(talker):  # noqa: F811
    talker.on("/v1/chat/completions", (0.3, streamed({"content": "</think>Hello."})))
    printed = at_a_terminal("chat", "-e", talker.url, "c", "--no-reasoning", typed=["Hi\n", "\x04"])
    assert "waiting for the first token" in printed
    assert "\x1b[2K" in printed.partition("waiting for the first token")[2].partition("Hello.")[0]
    assert "Hello." in without_colours(printed)


@pytest.mark.slow
def test_hidden_reasoning_is_mentioned(talker):  # noqa: F811
    printed = at_a_terminal("chat", "-e", talker.url, "c", "--no-reasoning", typed=["Hi\n", "\x04"])
    assert "thinking" in printed
    assert "They greet" not in printed


@pytest.mark.slow
def test_the_history_is_kept_and_readable_only_by_its_owner(talker):  # noqa: F811
    at_a_terminal("chat", "-e", talker.url, "c", typed=["Hi there\n", "\x04"])
    assert "Hi there" in history_file().read_text().splitlines()
    assert stat.S_IMODE(history_file().stat().st_mode) == 0o600
    again = at_a_terminal("chat", "-e", talker.url, "c", typed=["\x1b[A\n", "\x04"])
    assert "Hi there" in again
    assert [call["messages"][-1]["content"] for call in asked(talker)] == ["Hi there", "Hi there"]


def test_a_pipe_keeps_no_history_and_shows_no_sign(talker):  # noqa: F811
    ran = run("chat", "-e", talker.url, "c", "-m", "Hi")
    assert (ran.out, ran.err) == ("Hello.\n", "")
    assert not history_file().exists()


# Which model


def test_the_only_chat_model_need_not_be_named(server):
    xinference(server, model("e", "embedding"), model("c"))
    server.on("/v1/chat/completions", streamed({"content": "Hello."}))
    assert run("chat", "-e", server.url, "-m", "Hi").out == "Hello.\n"
    assert asked(server)[0]["model"] == "c"


@pytest.mark.parametrize(
    ("models", "words"),
    [
        ([model("a"), model("b")], "several chat models are running; name one of a, b"),
        ([model("e", "embedding")], "no chat model is running at"),
        ([], "no chat model is running at"),
    ],
)
def test_none_or_several_are_listed(server, models, words):
    xinference(server, *models)
    ran = run("chat", "-e", server.url, "-m", "Hi")
    assert ran.status == 1
    assert words in ran.err


def test_a_file_that_is_nested_too_deeply_is_not_loaded(conversation, tmp_path):
    path = tmp_path / "deep.json"
    path.write_text("[" * 100_000 + "]" * 100_000)
    with pytest.raises(XinferenceConfigurationError, match="is not a conversation that /save wrote"):
        obey(conversation, f"/load {path}")


def test_an_attachment_that_was_refused_does_not_fail_the_next_message(conversation, talker, monkeypatch, capsys):  # noqa: F811
    def answer(request):
        refused = request.path == CHAT and b"audio_url" in request.body
        return (http(400, b'{"detail": "this model takes no audio"}'),) if refused else None

    talker.answer = answer
    sound = Path(__file__).parents[1] / "data" / "capital_en.wav"
    printed = converse(conversation, monkeypatch, capsys, f"/audio {sound}", "What is said?", "Hi")
    assert "The attachments are removed" in printed.err
    assert printed.out == "Hello.\n"
