"""The LangChain classes for audio, images and documents, on the lab's Whisper, Kokoro, Stable Diffusion and OCR."""

# LangChain types what it returns more widely than what a test knows of it.
# mypy: no-check-untyped-defs

from __future__ import annotations

import io
import wave

import pytest
from langchain_core.document_loaders import BaseBlobParser
from langchain_core.documents.base import Blob
from langchain_core.load import dumpd
from langchain_core.messages import AIMessageChunk, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompt_values import StringPromptValue
from langchain_core.runnables import Runnable

from langchain_xinference_bridge import (
    ChatXinference,
    XinferenceImages,
    XinferenceOCR,
    XinferenceSpeech,
    XinferenceTranscriber,
)
from langchain_xinference_bridge.errors import XinferenceConfigurationError, XinferenceModelTypeError
from tests.core.media_calls import BLUE, ENGLISH, PDF, RED
from xinference_bridge.models.audio import AudioHandle
from xinference_bridge.models.image import ImageHandle
from xinference_bridge.protocol.image import GeneratedImage
from xinference_bridge.protocol.transcript import Segment, Transcription, Word

SAID = "The capital of France is Paris."
NOWHERE = "http://nowhere.invalid:9997"


@pytest.fixture
def patient(connection):
    """The lab's connection, for models that take their time on a busy machine."""
    return connection.model_copy(update={"timeout": 1500.0})


def test_the_classes_are_langchain_s_own_kinds():
    assert issubclass(XinferenceTranscriber, BaseBlobParser)
    assert issubclass(XinferenceOCR, BaseBlobParser)
    assert issubclass(XinferenceSpeech, Runnable)
    assert issubclass(XinferenceImages, Runnable)


HEARD = Transcription(SAID, "en", 2.3, [Segment(0.0, 2.0, SAID)], [Word("The", 0.0, 0.14), Word("capital", 0.14, 0.6)])


@pytest.mark.parametrize(
    ("settings", "contents", "metadata"),
    [
        ({}, [SAID], {"language": "en", "duration": 2.3}),
        ({"timestamps": "segment"}, [SAID], {"language": "en", "start": 0.0, "end": 2.0}),
        ({"timestamps": "word"}, ["The", "capital"], {"language": "en", "start": 0.0, "end": 0.14}),
        ({"format": "srt"}, [HEARD.to_srt()], {"language": "en", "duration": 2.3}),
        ({"format": "vtt", "timestamps": "word"}, [HEARD.to_vtt()], {"language": "en", "duration": 2.3}),
    ],
    ids=["text", "segments", "words", "srt", "vtt"],
)
@pytest.mark.parametrize("task", ["transcribe", "translate"])
async def test_what_was_heard_becomes_documents(monkeypatch, *, task, settings, contents, metadata):
    asked = []

    async def heard(_self, _file, **keywords):
        asked.append(keywords["timestamps"])
        return HEARD

    monkeypatch.setattr(
        AudioHandle, task, lambda _self, _file, **keywords: asked.append(keywords["timestamps"]) or HEARD
    )
    monkeypatch.setattr(AudioHandle, f"a{task}", heard)
    transcriber = XinferenceTranscriber(NOWHERE, "m", task=task, **settings)
    documents = transcriber.parse(Blob.from_data(b"RIFF"))
    assert [document.page_content for document in documents] == contents
    assert documents[0].metadata == metadata
    assert await transcriber.aparse(Blob.from_data(b"RIFF")) == documents
    wanted = settings.get("timestamps") or ("segment" if "format" in settings else None)
    assert asked == [wanted] * 2


@pytest.mark.parametrize("timestamps", ["segment", "word"])
async def test_a_text_without_times_is_not_lost(monkeypatch, timestamps):
    async def heard(_self, _file, **_):
        return Transcription(SAID)

    monkeypatch.setattr(AudioHandle, "transcribe", lambda _self, _file, **_: Transcription(SAID))
    monkeypatch.setattr(AudioHandle, "atranscribe", heard)
    transcriber = XinferenceTranscriber(NOWHERE, "m", timestamps=timestamps)
    (document,) = transcriber.parse(Blob.from_data(b"RIFF"))
    assert document.page_content == SAID
    assert "start" not in document.metadata
    assert await transcriber.aparse(Blob.from_data(b"RIFF")) == [document]


@pytest.mark.server
async def test_a_text_a_message_and_a_prompt_are_spoken(patient):
    speech = XinferenceSpeech(model="kokoro", connection=patient, voice="af_heart", format="wav")
    for said in ("Hello.", StringPromptValue(text="Hello.")):
        assert speech.invoke(said).startswith(b"RIFF")
    assert (await speech.ainvoke(HumanMessage("Hello."), format="flac")).startswith(b"fLaC")


@pytest.mark.server
async def test_a_text_is_streamed_by_its_sentences(patient):
    speech = XinferenceSpeech(model="kokoro", connection=patient, format="wav")
    pieces = list(speech.stream("Hello. How are you?"))
    assert len(pieces) == 2
    with wave.open(io.BytesIO(b"".join(pieces))) as samples:
        assert samples.getframerate() == 24000
    assert len([piece async for piece in speech.astream("Hello. How are you?")]) == 2


@pytest.mark.server
async def test_a_chain_ends_in_speech(patient):
    chat = ChatXinference(model="tiny-chat", connection=patient, temperature=0, max_tokens=50)
    chain = chat | StrOutputParser() | XinferenceSpeech(model="kokoro", connection=patient)
    question = "What is the capital of France?"
    assert chain.invoke(question).startswith(b"\xff")
    assert [piece[:1] for piece in chain.stream(question)] == [b"\xff"]
    assert [piece[:1] async for piece in chain.astream(question)] == [b"\xff"]


async def test_the_sentences_of_a_streamed_answer_are_spoken_as_they_come(monkeypatch):
    events: list[str] = []
    speech = XinferenceSpeech(NOWHERE, "m")

    def written():
        for piece in ("One. T", "wo. Thr", "ee."):
            events.append(f"written {piece}")
            yield AIMessageChunk(piece)

    async def awritten():
        for piece in written():
            yield piece

    def speak(_handle, text, *_):
        events.append(f"spoken {text}")
        return text.encode()

    async def aspeak(handle, text, *rest):
        return speak(handle, text, *rest)

    monkeypatch.setattr(AudioHandle, "_speak", speak)
    monkeypatch.setattr(AudioHandle, "_aspeak", aspeak)
    assert list(speech.transform(written())) == [b"One.", b"Two.", b"Three."]
    wanted = list(events)
    assert wanted.index("spoken One.") < wanted.index("written ee.")
    events.clear()
    assert [piece async for piece in speech.atransform(awritten())] == [b"One.", b"Two.", b"Three."]
    assert sorted(events) == sorted(wanted)


@pytest.mark.slow
@pytest.mark.server
async def test_an_image_is_a_document(patient):
    ocr = XinferenceOCR(model="jina-ocr", connection=patient)
    blob = Blob.from_path(RED)
    [document] = ocr.lazy_parse(blob)
    assert "Seen: red, 32x32." in document.page_content
    assert document.metadata == {"source": str(RED)}
    assert await ocr.aparse(blob) == [document]
    assert "> Only the table" in ocr.read(RED, prompt="Only the table")


@pytest.mark.server
async def test_a_page_of_a_pdf_is_a_document(patient):
    ocr = XinferenceOCR(model="jina-ocr", connection=patient, mode="page")
    documents = ocr.parse(Blob.from_data(PDF))
    assert [document.metadata["page"] for document in documents] == [1, 2]
    assert ["178x89" in document.page_content for document in documents] == [False, True]
    [second] = await XinferenceOCR(model="jina-ocr", connection=patient, mode="page", pages=[2]).aparse(
        Blob.from_data(PDF)
    )
    assert second == documents[1]


async def test_an_input_with_an_image_is_edited_and_one_with_a_mask_inpainted(monkeypatch):
    asked: list[tuple[str, object]] = []
    made = [GeneratedImage(b"\xff\xd8\xff", "image/jpeg")]
    for verb in ("generate", "edit", "inpaint"):

        async def answered(_self, *args, verb=verb, **_):
            asked.append((verb, args))
            return made

        monkeypatch.setattr(ImageHandle, verb, lambda _self, *args, verb=verb, **_: asked.append((verb, args)) or made)
        monkeypatch.setattr(ImageHandle, f"a{verb}", answered)
    images = XinferenceImages(NOWHERE, "m")
    inputs = ["a cat", {"prompt": "a cat", "image": RED}, {"prompt": "a cat", "image": RED, "mask": BLUE}]
    for given in inputs:
        assert images.invoke(given)[0]["base64"] == "/9j/"
        assert (await images.ainvoke(given))[0]["base64"] == "/9j/"
    [block] = images.invoke({"prompt": "a dog", "image": images.invoke("a cat")[0]})
    assert asked.pop() == ("edit", ("data:image/jpeg;base64,/9j/", "a dog"))
    assert asked.pop() == ("generate", ("a cat",))
    assert HumanMessage(content=[block]).content_blocks == [block]
    wanted = [("generate", ("a cat",)), ("edit", (RED, "a cat")), ("inpaint", (RED, BLUE, "a cat"))]
    assert asked == [one for one in wanted for _ in range(2)]


@pytest.mark.slow
@pytest.mark.server
async def test_a_model_of_another_kind_is_named(connection):
    with pytest.raises(XinferenceModelTypeError, match=r"'whisper' .* of type audio .* a text-to-speech model"):
        XinferenceSpeech(model="whisper", connection=connection).invoke("Hello.")
    with pytest.raises(XinferenceModelTypeError, match="a speech-to-text model"):
        await XinferenceTranscriber(model="kokoro", connection=connection).atranscribe(ENGLISH)
    with pytest.raises(XinferenceModelTypeError, match="an OCR model"):
        XinferenceOCR(model="tiny-chat", connection=connection).read(RED)
    with pytest.raises(XinferenceModelTypeError, match="an image generation model"):
        await XinferenceImages(model="jina-ocr", connection=connection).ainvoke("a cat")


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (lambda: XinferenceSpeech(NOWHERE, "m").invoke("Hi.", spede=2), "no parameter 'spede'"),
        (lambda: XinferenceSpeech(NOWHERE, "m").invoke(7), "must be a string, a message or a prompt, got int"),
        (lambda: XinferenceSpeech(NOWHERE, "m").invoke(""), "text to speak is empty"),
        (lambda: list(XinferenceSpeech(NOWHERE, "m").stream("")), "text to speak is empty"),
        (lambda: XinferenceSpeech(NOWHERE, "m", speed=0), "speed"),
        (lambda: XinferenceSpeech(NOWHERE, "m", vioce="x"), "voice"),  # type: ignore[call-arg]
        (lambda: XinferenceTranscriber(NOWHERE, "m", format="doc"), "format"),  # type: ignore[arg-type]
        (lambda: XinferenceTranscriber(NOWHERE, "m").transcribe(RED), "must be an audio file"),
        (lambda: XinferenceTranscriber(NOWHERE, "m").transcribe(ENGLISH, task="listen"), "task must be"),
        (lambda: XinferenceTranscriber(NOWHERE, "m").parse(Blob.from_data("text")), "the blob holds text"),
        (lambda: XinferenceOCR(NOWHERE, "m").parse(Blob.from_path(ENGLISH)), "must be an image or a PDF"),
        (lambda: XinferenceImages(NOWHERE, "m").invoke({"image": RED}), "got the keys"),
        (lambda: XinferenceImages(NOWHERE, "m").invoke({"prompt": "x", "mask": RED}), "a mask and no image"),
        (
            lambda: XinferenceImages(NOWHERE, "m", negative_prompt="x").invoke({"prompt": "a", "image": RED}),
            "without negative_prompt",
        ),
    ],
    ids=range(14),
)
def test_bad_input_is_named_before_it_is_sent(ask, told):
    with pytest.raises(XinferenceConfigurationError, match=told):
        ask()


@pytest.mark.parametrize("kind", [XinferenceTranscriber, XinferenceSpeech, XinferenceImages, XinferenceOCR])
def test_an_object_written_out_keeps_no_secret(kind):
    written = str(dumpd(kind(NOWHERE, "m", "sk-secret")))
    assert "m" in written
    assert "sk-secret" not in written
