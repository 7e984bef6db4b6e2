"""Speech and images as tools of an agent: files stay in the folder that the constructor names."""

# mypy: no-check-untyped-defs

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import orjson
import pytest
from llama_index.core.tools.tool_spec.base import BaseToolSpec

from llamaindex_xinference_bridge import XinferenceToolSpec
from tests.support.fault_proxy import fault_server, http
from xinference_bridge import XinferenceConfigurationError

DATA = Path(__file__).parents[1] / "data"
PNG = (DATA / "red.png").read_bytes()
ALL = {"text_to_speech_model": "k", "transcription_model": "w", "image_model": "sd"}


@pytest.fixture
def server():
    with fault_server() as running:
        running.on("/v1/audio/speech", http(200, b"RIFF....WAVE", kind="audio/wav"))
        running.on("/v1/audio/transcriptions", http(200, b'{"text": " Hello."}'))
        image = {"b64_json": base64.b64encode(PNG).decode()}
        running.on("/v1/images/generations", http(200, orjson.dumps({"created": 1, "data": [image]})))
        yield running


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "talk.wav").write_bytes((DATA / "capital_en.wav").read_bytes())
    (tmp_path / "secret.wav").write_bytes((DATA / "capital_en.wav").read_bytes())
    return tmp_path / "media"


@pytest.fixture(params=["sync", "async"])
def use(request):
    """Calls a tool of the list by its name, as an agent does."""

    def used(spec, name, *arguments):
        [tool] = [tool for tool in spec.to_tool_list() if tool.metadata.name == name]
        if request.param == "sync":
            return tool.call(*arguments).raw_output
        return asyncio.run(tool.acall(*arguments)).raw_output

    return used


@pytest.mark.server
def test_a_real_model_speaks_into_the_folder(connection, folder, use):
    spec = XinferenceToolSpec(folder, text_to_speech_model="kokoro", audio_format="wav", connection=connection)
    path = Path(use(spec, "text_to_speech", "Hello."))
    assert path.parent == folder
    assert path.read_bytes().startswith(b"RIFF")


def test_a_tool_is_offered_where_its_model_is_named(folder):
    spec = XinferenceToolSpec(folder, image_model="sd", server_url="http://h:1")
    assert isinstance(spec, BaseToolSpec)
    [tool] = spec.to_tool_list()
    assert tool.metadata.name == "generate_image"
    assert tool.metadata.get_parameters_dict()["required"] == ["prompt"]
    assert "Generate an image from a description." in tool.metadata.description
    assert len(XinferenceToolSpec(folder, server_url="http://h:1", **ALL).to_tool_list()) == 3
    with pytest.raises(XinferenceConfigurationError, match="transcribe needs transcription_model="):
        spec.transcribe("talk.wav")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "needs text_to_speech_model=, transcription_model= or image_model="),
        ({"image_model": "sd", "folder": "no/such"}, "folder must be an existing folder, and 'no/such' is not"),
        ({"image_model": "sd", "folder": ""}, "folder must be an existing folder, and '' is not"),
        ({"image_model": "sd", "folder": "x" * 5000}, "folder must be an existing folder"),
        ({"image_model": "sd", "folder": None}, "folder must be a path, got NoneType"),
        ({"image_model": 5}, "image_model must be a string, got int"),
        ({"transcription_model": ""}, "transcription_model is empty"),
    ],
)
def test_a_constructor_call_that_offers_nothing_is_refused(tmp_path, settings, words):
    with pytest.raises(XinferenceConfigurationError, match=words):
        XinferenceToolSpec(**{"folder": tmp_path, **settings})


@pytest.mark.fault_server
def test_files_are_new_ones_in_the_folder_and_their_paths_come_back(server, folder, use):
    spec = XinferenceToolSpec(folder, server_url=server.url, voice="af_heart", image_size="64x64", **ALL)
    spoken, again = Path(use(spec, "text_to_speech", "Hi")), Path(use(spec, "text_to_speech", "Hi"))
    drawn = Path(use(spec, "generate_image", "a cat"))
    assert len({spoken, again, drawn}) == 3
    assert {path.parent for path in (spoken, again, drawn)} == {folder}
    assert (spoken.suffix, drawn.suffix, drawn.read_bytes()) == (".mp3", ".png", PNG)
    assert orjson.loads(server.seen("/v1/audio/speech")[0].body)["voice"] == "af_heart"
    assert orjson.loads(server.seen("/v1/images/generations")[0].body)["size"] == "64*64"


@pytest.mark.fault_server
@pytest.mark.parametrize("written", ["talk.wav", "{folder}/talk.wav"])
def test_a_recording_of_the_folder_is_found_by_its_name_or_its_path(server, folder, use, written):
    spec = XinferenceToolSpec(folder, server_url=server.url, **ALL)
    assert use(spec, "transcribe", written.format(folder=folder)) == "Hello."


@pytest.mark.fault_server
@pytest.mark.parametrize("written", ["talk.wav", "media/talk.wav"])
def test_the_working_directory_hides_no_recording_of_the_folder(server, folder, use, written, monkeypatch):
    (folder.parent / "talk.wav").write_bytes((folder.parent / "secret.wav").read_bytes())
    monkeypatch.chdir(folder.parent)
    spec = XinferenceToolSpec("media", server_url=server.url, **ALL)
    assert use(spec, "transcribe", written) == "Hello."


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("x" * 5000, "cannot be read from .*: File name too long"),
        (None, "path must be a string, got NoneType"),
        (5, "path must be a string, got int"),
        ("", "path is empty"),
        ("secret.wav", "the audio cannot be read from '.*media/secret.wav'"),  # whether it is outside is not told
    ],
    ids=["long", "none", "number", "empty", "outside"],
)
def test_a_path_that_names_no_recording_is_told_in_words_that_the_agent_can_read(
    folder, use, written, words, monkeypatch
):
    monkeypatch.chdir(folder.parent)
    spec = XinferenceToolSpec(folder, server_url="http://h:1", **ALL)
    with pytest.raises(XinferenceConfigurationError, match=words) as told:
        use(spec, "transcribe", written)
    assert len(str(told.value)) < 400


@pytest.mark.fault_server
@pytest.mark.parametrize("written", ["../secret.wav", "{folder}/../secret.wav", "/etc/passwd", "link.wav"])
def test_no_path_that_a_model_writes_leads_out_of_the_folder(server, folder, use, written):
    (folder / "link.wav").symlink_to(folder.parent / "secret.wav")
    spec = XinferenceToolSpec(folder, server_url=server.url, **ALL)
    with pytest.raises(XinferenceConfigurationError, match="is not in a folder that folder= allows"):
        use(spec, "transcribe", written.format(folder=folder))
    assert not server.requests
