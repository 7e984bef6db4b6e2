"""Whisper base transcribes, and a tiny Stable Diffusion generates, through every class of both bridges and the core."""

# The frameworks type what they return more widely than what a test knows of it.
# mypy: no-check-untyped-defs

from __future__ import annotations

import asyncio
import base64
import io
from pathlib import Path

import pytest
from langchain_core.documents.base import Blob
from langchain_core.messages import HumanMessage
from llama_index.core import SimpleDirectoryReader
from PIL import Image

from langchain_xinference_bridge import XinferenceImages, XinferenceTranscriber
from llamaindex_xinference_bridge import XinferenceAudioReader, XinferenceToolSpec
from xinference_bridge import XinferenceConnection

pytestmark = pytest.mark.server
DATA = Path(__file__).parent / "data"
ENGLISH, FRENCH, RED = DATA / "capital_en.wav", DATA / "capital_fr.wav", DATA / "red.png"
SAID = "The capital of France is Paris."
STEPS = {"num_inference_steps": 2}
MODES = pytest.mark.parametrize("mode", ["sync", "async"])


@pytest.fixture
def patient(lab):
    """The lab's connection, for models that take their time on a busy machine."""
    with XinferenceConnection(server_url=lab.url, api_key=lab.api_key, timeout=900) as connection:
        yield connection


def size_of(image: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(image)) as opened:
        width, height = opened.size
    return width, height


@MODES
def test_the_core_hears_segments_and_words_and_translates(patient, mode):
    audio = patient.audio("whisper")
    hear = audio.transcribe if mode == "sync" else audio.atranscribe
    translate = audio.translate if mode == "sync" else audio.atranslate

    def told(answer):
        return answer if mode == "sync" else asyncio.run(answer)

    by_segment = told(hear(ENGLISH, timestamps="segment"))
    assert "".join(segment.text for segment in by_segment.segments).strip() == by_segment.text == SAID
    assert by_segment.to_srt().startswith("1\n00:00:00,000 --> 00:00:0")
    by_word = told(hear(ENGLISH, timestamps="word"))
    assert [word.word.strip() for word in by_word.words] == SAID.split()
    assert all(word.start <= word.end for word in by_word.words)
    assert "the capital" in told(translate(FRENCH)).text.lower()


@MODES
def test_langchain_makes_a_document_of_a_recording_and_one_of_each_segment(patient, mode):
    transcriber = XinferenceTranscriber(model="whisper", connection=patient, timestamps="segment")
    [document] = transcriber.lazy_parse(Blob.from_path(ENGLISH))
    assert document.page_content == SAID
    assert 0 == document.metadata["start"] < document.metadata["end"]
    translator = XinferenceTranscriber(model="whisper", connection=patient, task="translate")
    heard = translator.transcribe(FRENCH) if mode == "sync" else asyncio.run(translator.atranscribe(FRENCH))
    assert "the capital" in heard.text.lower()


def test_llamaindex_reads_a_recording_in_a_folder_word_by_word(patient):
    reader = XinferenceAudioReader(model_uid="whisper", connection=patient, timestamps="word")
    documents = SimpleDirectoryReader(input_files=[ENGLISH], file_extractor={".wav": reader}).load_data()
    assert [document.text.strip() for document in documents] == SAID.split()


@MODES
def test_an_agents_tools_hear_and_paint(patient, tmp_path, mode):
    (tmp_path / "talk.wav").write_bytes(ENGLISH.read_bytes())
    models = {"transcription_model": "whisper", "image_model": "tiny-sd"}
    spec = XinferenceToolSpec(tmp_path, **models, image_size="64x64", connection=patient)
    tools = {tool.metadata.name: tool for tool in spec.to_tool_list()}

    def use(name, *arguments):
        tool = tools[name]
        return (tool.call(*arguments) if mode == "sync" else asyncio.run(tool.acall(*arguments))).raw_output

    assert SAID in str(use("transcribe", "talk.wav"))
    painted = Path(str(use("generate_image", "a cat")))
    assert painted.parent == tmp_path
    assert size_of(painted.read_bytes()) == (64, 64)


@MODES
def test_langchain_paints_blocks_that_go_back_into_a_message(patient, mode):
    images = XinferenceImages(model="tiny-sd", connection=patient, size="64x64", n=2, model_kwargs=STEPS)
    blocks = images.invoke("a cat") if mode == "sync" else asyncio.run(images.ainvoke("a cat"))
    assert [size_of(base64.b64decode(block["base64"])) for block in blocks] == [(64, 64)] * 2
    assert HumanMessage(content=blocks).content_blocks == blocks


@MODES
def test_the_core_paints_over_an_image_and_in_its_mask(patient, mode):
    handle = patient.image("tiny-sd")

    def told(answer):
        return answer if mode == "sync" else asyncio.run(answer)

    [painted] = told((handle.generate if mode == "sync" else handle.agenerate)("a cat", size="64x64", **STEPS))
    assert size_of(painted.data) == (64, 64)
    [inpainted] = told(
        (handle.inpaint if mode == "sync" else handle.ainpaint)(RED, RED, "a dog", size="64x64", **STEPS)
    )
    assert size_of(inpainted.data) == (64, 64)
