"""Recordings and scanned pages as LlamaIndex documents, and an index built from them."""

# mypy: no-check-untyped-defs

from __future__ import annotations

import asyncio
import pickle
from pathlib import Path

import orjson
import pytest
from llama_index.core import SimpleDirectoryReader, VectorStoreIndex
from llama_index.core.readers.base import BaseReader

from llamaindex_xinference_bridge import XinferenceAudioReader, XinferenceOCRReader
from tests.support.fault_proxy import fault_server, http
from xinference_bridge import XinferenceConfigurationError, XinferenceConnection, XinferenceError

DATA = Path(__file__).parents[1] / "data"
ENGLISH = DATA / "capital_en.wav"
HEARD = "The capital of France is Paris."
VERBOSE = {
    "text": f" {HEARD}",
    "language": "en",
    "segments": [
        {"start": 0.0, "end": 1.2, "text": " The capital of France"},
        {"start": 1.2, "end": 2.0, "text": " is Paris."},
    ],
    "words": [{"word": " The", "start": 0.0, "end": 0.2}, {"word": " capital", "start": 0.2, "end": 0.6}],
}


@pytest.fixture
def patient(lab) -> XinferenceConnection:
    """The lab's connection; a small machine takes its time to listen."""
    return XinferenceConnection(lab.url, api_key=lab.api_key, timeout=3000, max_retries=0)


@pytest.fixture
def server():
    with fault_server() as running:
        for path in ("/v1/audio/transcriptions", "/v1/audio/translations"):
            running.on(path, http(200, orjson.dumps(VERBOSE)))
        running.on("/v1/images/ocr", http(200, b'"# A page"'))
        yield running


@pytest.fixture(params=["sync", "async"])
def load(request):
    """Reads a file by `load_data`, or by its async version."""

    def documents(reader, file, **more):
        if request.param == "sync":
            return reader.load_data(file, **more)
        return asyncio.run(reader.aload_data(file, **more))

    return documents


@pytest.fixture
def _loop_that_is_closed():
    """LlamaIndex's sync calls make an event loop where the thread has none, and leave it open."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()


@pytest.mark.server
@pytest.mark.usefixtures("_loop_that_is_closed")
def test_an_index_of_recordings_is_asked(patient, embed_model, llm):
    reader = XinferenceAudioReader(model_uid="whisper", connection=patient, timestamps="segment", language="en")
    documents = SimpleDirectoryReader(
        input_files=[str(ENGLISH)], file_extractor={".wav": reader}, raise_on_error=True
    ).load_data()
    [document] = documents
    assert (document.text, document.metadata["start"], document.metadata["end"]) == (HEARD, 0.0, 2.0)
    assert document.metadata["file_name"] == "capital_en.wav"
    answer = (
        VectorStoreIndex.from_documents(documents, embed_model=embed_model)
        .as_query_engine(llm=llm)
        .query("What is the capital of France?")
    )
    assert answer.source_nodes[0].node.text == HEARD
    assert "Paris" in str(answer)


@pytest.mark.server
def test_a_scanned_page_is_a_document(connection, load):
    reader = XinferenceOCRReader(model_uid="jina-ocr", connection=connection)
    [document] = load(reader, DATA / "red.png", extra_info={"source": "scanner"})
    assert "Seen: red, 32x32." in document.text
    assert (document.metadata["source"], document.metadata["file_name"]) == ("scanner", "red.png")


@pytest.mark.server
def test_a_model_that_does_not_hear_is_named(connection, load):
    with pytest.raises(XinferenceError, match=r"'minilm' .* speech-to-text model"):
        load(XinferenceAudioReader(model_uid="minilm", connection=connection), ENGLISH)


def test_they_are_readers_of_llamaindex():
    for kind in (XinferenceAudioReader, XinferenceOCRReader):
        reader = kind(model_uid="m", server_url="http://h:1", api_key="sk-secret")
        assert isinstance(reader, BaseReader)
        assert pickle.loads(pickle.dumps(reader)).connection == reader.connection
        assert "sk-secret" not in reader.to_json()
        with pytest.raises(XinferenceConfigurationError, match="requires model_uid="):
            kind()
        with pytest.raises(XinferenceConfigurationError, match=r"languge|pagess"):
            kind(model_uid="m", **{"languge" if kind is XinferenceAudioReader else "pagess": 1})


@pytest.mark.fault_server
@pytest.mark.parametrize(
    ("timestamps", "texts", "starts"),
    [
        (None, [HEARD], [None]),
        ("segment", ["The capital of France", "is Paris."], [0.0, 1.2]),
        ("word", ["The", "capital"], [0.0, 0.2]),
    ],
)
def test_a_recording_is_one_document_or_one_a_segment_or_word(server, load, timestamps, texts, starts):
    reader = XinferenceAudioReader(model_uid="w", server_url=server.url, timestamps=timestamps)
    documents = load(reader, ENGLISH)
    assert [document.text for document in documents] == texts
    assert [document.metadata.get("start") for document in documents] == starts
    assert all("start" not in document.get_content("embed") for document in documents)


@pytest.mark.fault_server
def test_a_reader_that_translates_asks_for_english(server, load):
    reader = XinferenceAudioReader(model_uid="w", server_url=server.url, task="translate", language="fr")
    load(reader, ENGLISH.read_bytes())
    [seen] = server.seen("/v1/audio/translations")
    assert b'name="language"\r\n\r\nfr' in seen.body


@pytest.mark.fault_server
def test_documents_come_lazily_too(server):
    reader = XinferenceAudioReader(model_uid="w", server_url=server.url, timestamps="segment")
    assert [document.text for document in reader.lazy_load_data(ENGLISH)] == ["The capital of France", "is Paris."]
    assert len(list(asyncio.run(reader.alazy_load_data(ENGLISH)))) == 2


@pytest.mark.fault_server
def test_a_file_on_another_file_system_is_read_there(server, load):
    from fsspec.implementations.memory import MemoryFileSystem

    remote = MemoryFileSystem()
    remote.pipe("/talks/capital.wav", ENGLISH.read_bytes())
    reader = XinferenceAudioReader(model_uid="w", server_url=server.url)
    [document] = load(reader, Path("/talks/capital.wav"), fs=remote)
    assert (document.text, document.metadata["file_name"]) == (HEARD, "capital.wav")


@pytest.mark.fault_server
def test_the_pages_are_those_of_pdfs(server, load, tmp_path):
    reader = XinferenceOCRReader(model_uid="o", server_url=server.url, pages=[2], prompt="Only the table")
    pdf = tmp_path / "a.pdf"
    pdf.write_bytes(b"%PDF-1.7 ".ljust(64))
    load(reader, pdf)
    load(reader, DATA / "red.png")
    first, second = (seen.body for seen in server.seen("/v1/images/ocr"))
    assert b'"pages"' in first
    assert b'"pages"' not in second
    assert b"Only the table" in second


@pytest.mark.fault_server
def test_a_file_that_is_no_recording_is_named(server, load):
    with pytest.raises(XinferenceConfigurationError, match="must be an audio file"):
        load(XinferenceAudioReader(model_uid="w", server_url=server.url), DATA / "red.png")
    with pytest.raises(XinferenceConfigurationError, match="file must be a path or bytes, got int"):
        load(XinferenceAudioReader(model_uid="w", server_url=server.url), 7)
