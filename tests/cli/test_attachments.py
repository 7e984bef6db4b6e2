"""Images and recordings in a conversation: `/image`, `/audio`, `--image`, `--audio`."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from tests.cli.test_chat import asked, streamed
from tests.cli.tools import model, run, to_lab, xinference
from xinference_bridge import XinferenceConfigurationError, XinferenceConnection
from xinference_bridge.cli.conversation import Conversation, obey

DATA = Path(__file__).parents[1] / "data"
RED, SPEECH = DATA / "red.png", DATA / "capital_en.wav"
RED_URL = "data:image/png;base64," + base64.b64encode(RED.read_bytes()).decode()
PART = {"type": "image_url", "image_url": {"url": RED_URL}}


@pytest.fixture
def conversation():
    with XinferenceConnection("http://127.0.0.1:1") as connection:
        yield Conversation(connection, "sees")


@pytest.mark.server
def test_a_real_model_is_shown_an_image(lab):
    told = ["--message", "What is this?", "--temperature", "0", "--max-tokens", "8"]
    red = run("chat", *to_lab(lab), "tiny-vl", "--image", RED, *told)
    blue = run("chat", *to_lab(lab), "tiny-vl", "--image", DATA / "blue.png", *told)
    assert (red.status, blue.status, red.err) == (0, 0, "")
    assert red.out.strip() != blue.out.strip()


def test_an_image_goes_along_with_the_next_message_and_stays_in_the_history(conversation):
    assert obey(conversation, f"/image {RED}").startswith("goes along with the next message: image, 0.1 KiB")
    [message] = conversation.call("What is this?").messages
    assert message["content"] == [PART, {"type": "text", "text": "What is this?"}]
    conversation.keep("What is this?", "Red.")
    assert [turn["content"] for turn in conversation.call("And now?").messages] == [
        [PART, {"type": "text", "text": "What is this?"}],
        "Red.",
        "And now?",
    ]


def test_several_files_go_along_and_are_taken_back(conversation):
    obey(conversation, f"/image {RED}")
    assert "image, 0.1 KiB; audio, 72.2 KiB" in obey(conversation, f"/audio {SPEECH}")
    assert [part["type"] for part in conversation.attachments] == ["image_url", "audio_url"]
    assert obey(conversation, "/audio -") == "/audio takes the name of a file"
    assert conversation.call("Hi").messages == [{"role": "user", "content": "Hi"}]


@pytest.mark.parametrize("typed", ["'{}'", '"{}"', "{}"])
def test_a_path_that_was_dragged_into_the_terminal_is_understood(conversation, tmp_path, typed):
    path = tmp_path / "a dot.png"
    path.write_bytes(RED.read_bytes())
    written = str(path).replace(" ", "\\ ") if typed == "{}" else str(path)
    obey(conversation, f"/image {typed.format(written)}")
    assert conversation.attachments == [PART]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (f"/image {SPEECH}", "must be an image, got a file of type audio/wav"),
        (f"/audio {RED}", "must be an audio file, got a file of type image/png"),
        ("/image nothing.png", "cannot be read"),
        ("/image .", "is a directory"),
    ],
)
def test_another_file_is_refused_and_nothing_is_attached(conversation, line, words):
    with pytest.raises(XinferenceConfigurationError, match=words):
        obey(conversation, line)
    assert conversation.attachments == []


def test_clear_takes_the_attachments_away(conversation):
    obey(conversation, f"/image {RED}")
    obey(conversation, "/clear")
    assert conversation.attachments == []


def test_a_saved_conversation_keeps_its_images(conversation, tmp_path):
    obey(conversation, f"/image {RED}")
    conversation.keep("What is this?", "Red.")
    obey(conversation, f"/save {tmp_path / 'talk.json'}")
    other = Conversation(conversation.connection, "sees")
    obey(other, f"/load {tmp_path / 'talk.json'}")
    assert other.turns == conversation.turns
    assert json.loads((tmp_path / "talk.json").read_text())["messages"][0]["content"][0] == PART


@pytest.mark.fault_server
def test_a_model_that_sees_nothing_says_so_before_anything_is_sent(server):
    xinference(server, model("c"))
    server.on("/v1/chat/completions", streamed({"content": "Hello."}))
    ran = run("chat", "-e", server.url, "c", "--image", RED, "-m", "Hi")
    assert ran.status == 1
    assert "Use a model with the ability 'vision'" in ran.err
    assert asked(server) == []
