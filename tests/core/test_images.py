"""Images generated and edited by the lab's Stable Diffusion, and documents read by its OCR model, sync and async."""

from __future__ import annotations

from typing import Any

import pytest

from tests.core.media_calls import BLUE, ENGLISH, MODES, PDF, RED, call
from xinference_bridge import (
    XinferenceBadRequestError,
    XinferenceConfigurationError,
    XinferenceConnection,
    XinferenceModelTypeError,
)

pytestmark = pytest.mark.parametrize("mode", MODES)
QUICK: dict[str, Any] = {"size": "64x64", "num_inference_steps": 2}
JPEG = b"\xff\xd8\xff"


@pytest.fixture
def image(lab: Any) -> Any:
    """The handle of a model of the lab by its UID."""
    return XinferenceConnection(lab.url, api_key=lab.api_key, timeout=1200).image


@pytest.fixture
def nowhere() -> Any:
    """A handle that must not ask anything."""
    return XinferenceConnection("http://nowhere.invalid:9997").image("m")


@pytest.mark.server
def test_a_prompt_becomes_as_many_images_as_asked_for(mode, image):
    made = call(mode, image("tiny-sd"), "generate", "a cat", n=2, negative_prompt="a dog", **QUICK)
    assert [(one.mime_type, one.data[:3]) for one in made] == [("image/jpeg", JPEG)] * 2
    assert made[0].data_url.startswith("data:image/jpeg;base64,/9j/")


@pytest.mark.server
def test_an_image_is_varied_and_its_masked_part_painted_anew(mode, image):
    # One of them each way: a diffusion takes a minute on a busy machine.
    model = image("tiny-sd")
    made = (
        call(mode, model, "vary", RED, prompt="a cat", **QUICK)
        if mode == "sync"
        else call(mode, model, "inpaint", RED, BLUE, "a cat", **QUICK)
    )
    assert [one.data[:3] for one in made] == [JPEG]


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
        ("whisper", "generate", ("a cat",), "of type audio with the abilities audio2text"),
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
