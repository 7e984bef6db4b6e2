"""Images generated and edited by the lab's Stable Diffusion, and documents read by its OCR model, sync and async."""

from __future__ import annotations

import re
from typing import Any

import orjson
import pytest

from tests.core.asks import connection_to
from tests.core.media_calls import BLUE, ENGLISH, MODES, PDF, RED, call, recorded_body
from tests.support.fault_proxy import http
from xinference_bridge import (
    XinferenceBadRequestError,
    XinferenceConfigurationError,
    XinferenceConnection,
    XinferenceModelTypeError,
    XinferenceProtocolError,
)

pytestmark = pytest.mark.parametrize("mode", MODES)
JPEG = b"\xff\xd8\xff"


@pytest.fixture
def image(lab: Any) -> Any:
    """The handle of a model of the lab by its UID."""
    return XinferenceConnection(lab.url, api_key=lab.api_key, timeout=1200).image


@pytest.fixture
def nowhere() -> Any:
    """A handle that must not send any request."""
    return XinferenceConnection("http://nowhere.invalid:9997").image("m")


@pytest.mark.fault_server
class TestRequests:
    """What is sent to the endpoints of 4.1.0; they answer what the lab's Stable Diffusion did."""

    @pytest.fixture(autouse=True)
    def _drawn(self, server):
        for path in ("generations", "edits", "inpainting", "variations"):
            server.on(f"/v1/images/{path}", http(200, recorded_body("test_stable_diffusion_draws_a_jpeg")))

    def test_a_prompt_becomes_images(self, server, mode):
        handle = connection_to(server).image("m")
        [made] = call(mode, handle, "generate", "a cat", n=1, size="64x64", negative_prompt="a dog", seed=7)
        assert (made.mime_type, made.data[:3]) == ("image/jpeg", JPEG)
        assert made.data_url.startswith("data:image/jpeg;base64,/9j/")
        sent = orjson.loads(server.seen("/v1/images/generations")[0].body)
        kwargs = orjson.loads(sent.pop("kwargs"))
        assert sent == {"model": "m", "prompt": "a cat", "n": 1, "size": "64*64", "response_format": "b64_json"}
        assert kwargs == {"seed": 7, "negative_prompt": "a dog"}

    @pytest.mark.parametrize(
        ("verb", "args", "keywords", "path", "files"),
        [
            ("edit", (RED, "a cat"), {}, "edits", ["image"]),
            ("edit", ([RED, BLUE], "a cat"), {"mask": BLUE}, "edits", ["image", "image", "mask"]),
            ("inpaint", (RED, BLUE, "a cat"), {"seed": 7}, "inpainting", ["image", "mask_image"]),
            ("vary", (RED,), {"prompt": "a cat", "strength": 0.5}, "variations", ["image"]),
        ],
        ids=["edit", "edit with a mask", "inpaint", "vary"],
    )
    def test_an_image_becomes_others(self, server, mode, *, verb, args, keywords, path, files):
        [made] = call(mode, connection_to(server).image("m"), verb, *args, size=(64, 64), **keywords)
        assert made.data.startswith(JPEG)
        body = server.seen(f"/v1/images/{path}")[0].body
        assert re.findall(rb'name="(\w+)"; filename', body) == [name.encode() for name in files]
        fields = dict(re.findall(rb'name="(\w+)"\r\n\r\n(.*)\r\n', body))
        more = orjson.loads(fields.pop(b"kwargs", b"{}"))
        assert fields == {
            b"model": b"m",
            b"prompt": b"a cat",
            b"n": b"1",
            b"size": b"64*64",
            b"response_format": b"b64_json",
        }
        assert set(more) == set(keywords) - {"mask", "prompt"}

    @pytest.mark.parametrize(
        "answer",
        [
            {},
            {"data": []},
            {"data": [{"url": "images/x.jpg"}]},
            {"data": [{"b64_json": "?"}]},
            {"data": [{"b64_json": ""}]},
        ],
    )
    def test_an_answer_without_images_is_named(self, server, mode, answer):
        server.on("/v1/images/generations", http(200, orjson.dumps(answer)))
        with pytest.raises(XinferenceProtocolError, match="without"):
            call(mode, connection_to(server).image("m"), "generate", "a cat")


@pytest.mark.server
def test_the_text_of_an_image_is_read(mode, image):
    assert "Seen: red, 32x32." in call(mode, image("jina-ocr"), "ocr", RED)
    assert "> Only the table" in call(mode, image("jina-ocr"), "ocr", RED.read_bytes(), prompt="Only the table")


@pytest.mark.server
def test_the_pages_of_a_pdf_are_read_or_those_asked_for(mode, image):
    whole = call(mode, image("jina-ocr"), "ocr", PDF)
    assert whole.index("89x89") < whole.index("178x89")
    assert "89x89" not in call(mode, image("jina-ocr"), "ocr", PDF, pages=[2]).replace("178x89", "")


@pytest.mark.server
@pytest.mark.parametrize(
    ("first", "keywords", "told"),
    [
        (PDF, {"pages": [9]}, "Page 9 is out of range"),
        (b"%PDF-1.4 junk", {}, "cannot open the PDF"),
        (RED.read_bytes()[:60], {}, "cannot decode the image"),
    ],
    ids=["page", "broken PDF", "broken image"],
)
def test_a_document_that_cannot_be_read_is_the_caller_s_error(mode, image, first, keywords, told):
    with pytest.raises(XinferenceBadRequestError, match=told):
        call(mode, image("jina-ocr"), "ocr", first, **keywords)


@pytest.mark.server
@pytest.mark.parametrize(
    ("uid", "verb", "args", "needs"),
    [
        ("jina-ocr", "generate", ("a cat",), "needs an image generation model. Running image generation models: tiny"),
        ("jina-ocr", "edit", (RED, "a cat"), "needs an image editing model"),
        ("jina-ocr", "inpaint", (RED, BLUE, "a cat"), "needs an inpainting model"),
        ("tiny-sd", "ocr", (RED,), "needs an OCR model. Running OCR models: jina-ocr"),
        ("whisper", "generate", ("a cat",), "of type audio with the ability audio2text"),
        ("tiny-chat", "ocr", (RED,), "of type LLM"),
    ],
    ids=["generate", "edit", "inpaint", "ocr", "sound", "chat"],
)
def test_a_model_of_another_kind_is_named_with_those_that_could(mode, image, *, uid, verb, args, needs):
    with pytest.raises(XinferenceModelTypeError, match=needs):
        call(mode, image(uid), verb, *args)


@pytest.mark.parametrize(
    ("verb", "args", "keywords", "told"),
    [
        ("generate", ("",), {}, "prompt is empty"),
        ("generate", (None,), {}, "prompt must be a string, got NoneType"),
        ("generate", (["a cat"],), {}, "prompt must be a string, got list"),
        ("generate", ("a cat",), {"size": "-64x64"}, "size must be positive, got -64x64"),
        ("generate", ("a cat",), {"size": (0, 64)}, "size must be positive"),
        ("generate", ("a cat",), {"size": "large"}, "size must be such as '512x512'"),
        ("generate", ("a cat",), {"n": 0}, "n must be 1 or more"),
        ("generate", ("a cat",), {"n": "2"}, "n must be an integer"),
        ("generate", ("a cat",), {"seed": float("inf")}, "cannot be sent as JSON"),
        ("edit", (ENGLISH, "a cat"), {}, "the image must be an image, got a file of type audio/wav"),
        ("edit", ([RED, b"x"], "a cat"), {}, "image 1 must be an image"),
        ("edit", ([], "a cat"), {}, "list of images is empty"),
        ("inpaint", (RED, b"", "a cat"), {}, "the mask is empty"),
        ("ocr", (b"text",), {}, "must be an image or a PDF"),
        ("ocr", (RED,), {"pages": 1}, "pages is for PDFs"),
        ("ocr", (PDF,), {"pages": [0]}, "a page number must be 1 or more"),
        ("ocr", (PDF,), {"pages": "1-2"}, "pages must be page numbers"),
    ],
)
def test_bad_input_is_named_before_it_is_sent(mode, nowhere, *, verb, args, keywords, told):
    with pytest.raises(XinferenceConfigurationError, match=told):
        call(mode, nowhere, verb, *args, **keywords)
