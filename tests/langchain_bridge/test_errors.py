"""A failure is raised once, as the core's error and as LangChain's matching error."""

# LangChain types what it returns more widely than what a test knows of it.
# mypy: no-check-untyped-defs

from __future__ import annotations

import pickle
import re
import socket

import pytest
from langchain_core import exceptions as langchain
from langchain_core.messages import HumanMessage

from langchain_xinference_bridge import ChatXinference, XinferenceEmbeddings, XinferenceLLM, XinferenceRerank, errors
from langchain_xinference_bridge.errors import error_for_langchain, translated_errors
from tests.langchain_bridge.conftest import chat_on
from xinference_bridge import errors as core

CORE = [kind for kind in vars(core).values() if isinstance(kind, type) and issubclass(kind, core.XinferenceError)]
#: `ModelError` and its tree came with langchain-core 1.6; before that, an error is the core's alone.
HAS_TREE = hasattr(langchain, "ModelError")
MATCHING = {
    "XinferenceAuthenticationError": "ModelAuthenticationError",
    "XinferencePermissionError": "ModelPermissionDeniedError",
    "XinferenceRateLimitError": "ModelRateLimitError",
    "XinferenceModelNotFoundError": "ModelNotFoundError",
    "XinferenceBadRequestError": "ModelInvalidRequestError",
    "XinferenceContextOverflowError": "ContextOverflowError",
    "XinferenceServerError": "ModelAPIError",
    "XinferenceConnectionError": "ModelConnectionError",
    "XinferenceTimeoutError": "ModelTimeoutError",
}


@pytest.mark.parametrize("kind", CORE, ids=lambda kind: kind.__name__)
def test_every_error_of_the_core_is_one_of_langchains_too(kind):
    original = kind("what and what next", url="http://example.org", model_uid="m", status_code=400, retry_after=3.0)
    error = error_for_langchain(original)
    assert type(error) is getattr(errors, kind.__name__)
    assert isinstance(error, kind)
    assert isinstance(error, errors.XinferenceError)
    theirs = getattr(langchain, MATCHING.get(kind.__name__, "ModelError"), None)
    assert theirs is None or isinstance(error, theirs)
    assert theirs is not None or not HAS_TREE
    assert vars(error).items() >= vars(original).items()
    assert error.is_retryable == original.retryable
    assert str(error) == "what and what next"
    assert error_for_langchain(error) is error


@pytest.mark.parametrize("kind", CORE, ids=lambda kind: kind.__name__)
def test_an_error_survives_a_process_pool(kind):
    error = error_for_langchain(kind("message", model_uid="m", retry_after=3.0))
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert vars(again) == vars(error)


def test_an_error_is_told_once_with_the_reason_below_it():
    def fails():
        try:
            raise OSError("refused")
        except OSError as reason:
            raise core.XinferenceConnectionError("cannot reach") from reason

    with pytest.raises(errors.XinferenceConnectionError) as told, translated_errors:
        fails()
    assert isinstance(told.value.__cause__, OSError)
    assert told.value.__suppress_context__


def test_errors_of_other_packages_pass_unchanged():
    with pytest.raises(KeyError), translated_errors:
        raise KeyError("x")


@pytest.mark.server
@pytest.mark.parametrize(
    ("kind", "ask"),
    [
        (ChatXinference, lambda model: model.invoke("x")),
        (ChatXinference, lambda model: list(model.stream("x"))),
        (XinferenceLLM, lambda model: model.invoke("x")),
        (XinferenceEmbeddings, lambda model: model.embed_query("x")),
        (XinferenceRerank, lambda model: model.rerank("x", ["y"])),
    ],
    ids=["chat", "stream", "llm", "embeddings", "rerank"],
)
def test_a_model_that_does_not_run_is_named_with_those_that_do(connection, kind, ask):
    with pytest.raises(
        errors.XinferenceModelNotFoundError, match=r"No model 'nope' runs at .*Running .*models: .*(tiny|minilm)"
    ):
        ask(kind(model="nope", connection=connection))


@pytest.mark.server
async def test_a_model_of_another_type_is_named_with_those_that_could(connection):
    with pytest.raises(errors.XinferenceModelTypeError, match=r"'minilm'.*embedding.*needs a chat model.*tiny-chat"):
        await chat_on("minilm", connection).ainvoke("x")
    with pytest.raises(errors.XinferenceModelTypeError, match=r"'tiny-chat'.*type LLM.*minilm"):
        await XinferenceEmbeddings(model="tiny-chat", connection=connection).aembed_query("x")


@pytest.mark.fault_server
def test_a_server_that_is_not_there_is_told_with_what_to_look_at():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.close()
        with pytest.raises(errors.XinferenceConnectionError, match="Cannot reach a Xinference server at") as told:
            ChatXinference(url, "m", max_retries=0).invoke("x")
    assert "Traceback" not in str(told.value)


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.parametrize("length", [6000, 30_000])
def test_a_prompt_longer_than_the_context_names_both_sizes(chat, length):
    # The transformers engine would cut it and answer; llama.cpp answers a 500, streamed a 200 with an error inside.
    prompt = "word " * length
    for ask in (lambda: chat.invoke(prompt), lambda: list(chat.stream(prompt))):
        with pytest.raises(langchain.ContextOverflowError, match="4096 tokens") as told:
            ask()
        # The prompt's size in tokens where the engine counts them, else in bytes.
        assert any(int(number) > length for number in re.findall(r"\d{4,}", str(told.value)))


@pytest.mark.server
@pytest.mark.parametrize(
    ("block", "named"),
    [
        ({"type": "image", "url": "http://example.org/a.png"}, "image_url.*'vision'"),
        ({"type": "audio", "base64": "UklG", "mime_type": "audio/wav"}, "audio_url.*'audio'"),
        ({"type": "video", "url": "http://example.org/a.mp4"}, "video_url.*'video'"),
    ],
    ids=["image", "audio", "video"],
)
def test_media_that_the_model_has_no_ability_for_is_an_error_and_not_dropped(chat, block, named):
    # The transformers engine drops an image for a text-only model in silence, llama.cpp answers an opaque 500.
    with pytest.raises(errors.XinferenceUnsupportedError, match=named):
        chat.invoke([HumanMessage([{"type": "text", "text": "What is this?"}, block])])


@pytest.mark.server
def test_a_misspelt_parameter_of_a_call_is_an_error(chat):
    with pytest.raises(errors.XinferenceConfigurationError, match="did you mean 'temperature'"):
        chat.invoke("x", temprature=0)
