"""Images, audio and video in a chat: every kind of block in either bridge, to every engine, and to a real model."""

# mypy: no-check-untyped-defs

from __future__ import annotations

import asyncio
import base64
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from llama_index.core.base.llms.types import (
    AudioBlock,
    CacheControl,
    CachePoint,
    ChatMessage,
    CitableBlock,
    DocumentBlock,
    ImageBlock,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)
from pydantic import ValidationError

from langchain_xinference_bridge import ChatXinference
from langchain_xinference_bridge import XinferenceLLM as CompletionModel
from langchain_xinference_bridge._messages import messages_to_wire as from_langchain
from llamaindex_xinference_bridge import XinferenceLLM
from llamaindex_xinference_bridge._messages import messages_to_wire as from_llamaindex
from tests.core.test_chat_plan import body_of, model
from xinference_bridge import XinferenceConnection, XinferenceError, XinferenceServerError
from xinference_bridge.integration.inline_media import inline_media
from xinference_bridge.protocol.chat.messages import WireMessage
from xinference_bridge.protocol.chat.plan import plan_chat
from xinference_bridge.protocol.chat.request import ChatCall

DATA = Path(__file__).parent / "data"
PNG = (DATA / "red.png").read_bytes()
WAV = (DATA / "capital_en.wav").read_bytes()[:400]
MP4 = b"\0\0\0\x18ftypisom\0\0\0\0isomiso2"
ENGINES = ("llama.cpp", "transformers", "vllm", "sglang", "mlx")


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def url(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{b64(data)}"


IMAGE, SOUND, FILM = url("image/png", PNG), url("audio/wav", WAV), url("video/mp4", MP4)
WEB = "https://example.org/file"


def openai(kind: str, target: str) -> dict[str, Any]:
    return {"type": kind, kind: {"url": target}}


def v1(kind: str, data: bytes, mime: str) -> dict[str, Any]:
    return {"type": kind, "base64": b64(data), "mime_type": mime}


def v0(kind: str, data: bytes, mime: str) -> dict[str, Any]:
    return {"type": kind, "source_type": "base64", "data": b64(data), "mime_type": mime}


def anthropic(kind: str, data: bytes, mime: str) -> dict[str, Any]:
    return {"type": kind, "source": {"type": "base64", "media_type": mime, "data": b64(data)}}


#: A block of LangChain → what it is, and its URL.
LANGCHAIN: dict[str, tuple[dict[str, Any], str, str]] = {
    "openai image": (openai("image_url", IMAGE), "image_url", IMAGE),
    "openai image as a string": ({"type": "image_url", "image_url": IMAGE}, "image_url", IMAGE),
    "openai image by url": (openai("image_url", WEB), "image_url", WEB),
    "openai audio": (
        {"type": "input_audio", "input_audio": {"data": b64(WAV), "format": "wav"}}, "audio_url", SOUND
    ),
    "audio_url": (openai("audio_url", SOUND), "audio_url", SOUND),
    "video_url": (openai("video_url", FILM), "video_url", FILM),
    "v1 image": (v1("image", PNG, "image/png"), "image_url", IMAGE),
    "v1 image by url": ({"type": "image", "url": WEB}, "image_url", WEB),
    "v1 audio": (v1("audio", WAV, "audio/wav"), "audio_url", SOUND),
    "v1 video": (v1("video", MP4, "video/mp4"), "video_url", FILM),
    "v0 image": (v0("image", PNG, "image/png"), "image_url", IMAGE),
    "v0 image by url": ({"type": "image", "source_type": "url", "url": WEB}, "image_url", WEB),
    "v0 audio": (v0("audio", WAV, "audio/wav"), "audio_url", SOUND),
    "anthropic image": (anthropic("image", PNG, "image/png"), "image_url", IMAGE),
    "anthropic image by url": ({"type": "image", "source": {"type": "url", "url": WEB}}, "image_url", WEB),
    "v1 image in a file": ({"type": "image", "url": str(DATA / "red.png")}, "image_url", IMAGE),
    "openai image in a file": (openai("image_url", (DATA / "red.png").as_uri()), "image_url", IMAGE),
}  # fmt: skip


def opened(data: bytes) -> Any:
    """The bytes as an open file, or as they are where llama-index-core takes no file, as 0.14.5 does not."""
    try:
        ImageBlock(image=BytesIO(data))
    except ValidationError:
        return data
    return BytesIO(data)


LLAMAINDEX: dict[str, tuple[Any, str, str]] = {
    "image bytes": (ImageBlock(image=PNG), "image_url", IMAGE),
    "image of an open file": (ImageBlock(image=opened(PNG)), "image_url", IMAGE),
    "image path": (ImageBlock(path=DATA / "red.png"), "image_url", IMAGE),
    "image file url": (ImageBlock(url=(DATA / "red.png").as_uri()), "image_url", IMAGE),
    "image data url": (ImageBlock(url=IMAGE), "image_url", IMAGE),
    "image url": (ImageBlock(url=WEB), "image_url", WEB),
    "audio bytes": (AudioBlock(audio=WAV, format="wav"), "audio_url", SOUND),
    "audio of an open file": (AudioBlock(audio=opened(WAV), format="wav"), "audio_url", SOUND),
    "video bytes": (VideoBlock(video=MP4, video_mimetype="video/mp4"), "video_url", FILM),
    "video url": (VideoBlock(url=WEB), "video_url", WEB),
}
#: Blocks that the server does not accept.
REFUSED: dict[str, Any] = {
    "v1 file": v1("file", b"%PDF-", "application/pdf"),
    "v1 file by id": {"type": "file", "file_id": "file-1"},
    "v1 image by id": {"type": "image", "file_id": "file-1"},
    "openai file": {"type": "file", "file": {"file_data": url("application/pdf", b"%PDF-")}},
    "anthropic document": anthropic("document", b"%PDF-", "application/pdf"),
    "anthropic image by id": {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
    "google media": {"type": "media", "mime_type": "image/png", "data": b64(PNG)},
    "bedrock image": {"image": {"format": "png", "source": {"bytes": PNG}}},
    "non-standard": {"type": "non_standard", "value": {"image": b64(PNG)}},
    "image without anything": {"type": "image"},
    "image_url without a url": {"type": "image_url", "image_url": {}},
    "input_audio without data": {"type": "input_audio", "input_audio": {"format": "wav"}},
    "DocumentBlock": DocumentBlock(data=b"%PDF-1.7", document_mimetype="application/pdf"),
    "CitableBlock": CitableBlock(title="t", source="s", content=[TextBlock(text="x")]),
    "CachePoint": CachePoint(cache_control=CacheControl(type="ephemeral")),
    "ThinkingBlock": ThinkingBlock(content="hm"),
    "ToolCallBlock": ToolCallBlock(tool_name="t", tool_kwargs={}),
    "empty ImageBlock": ImageBlock(),
    "empty AudioBlock": AudioBlock(audio=opened(b"")),
    "empty VideoBlock": VideoBlock(),
}


def wire_of(block: Any) -> list[WireMessage]:
    if isinstance(block, dict):
        return from_langchain([HumanMessage([{"type": "text", "text": "What is this?"}, block])])
    return from_llamaindex([ChatMessage(blocks=[TextBlock(text="What is this?"), block])])


def part_sent(block: Any, engine: str) -> dict[str, Any]:
    call = ChatCall(inline_media(wire_of(block), (str(DATA),)))
    plan = plan_chat("m", call, model(engine, "chat", "omni"), stream=False)
    text, part = body_of(plan)["messages"][0]["content"]
    assert text == {"type": "text", "text": "What is this?"}
    return part  # type: ignore[no-any-return]


def as_read(kind: str, target: str, engine: str) -> dict[str, Any]:
    """The part that this engine of 4.1.0 reads."""
    if kind == "audio_url" and engine == "transformers":
        return {"type": "audio", "audio_url": {"url": target}}
    if kind == "audio_url" and engine == "llama.cpp":
        return {"type": "input_audio", "input_audio": {"data": target.partition(",")[2], "format": "wav"}}
    return openai(kind, target)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", [*LANGCHAIN, *LLAMAINDEX])
def test_a_block_of_any_form_goes_out_as_the_engine_reads_it(name, engine):
    block, kind, target = (LANGCHAIN | LLAMAINDEX)[name]
    assert part_sent(block, engine) == as_read(kind, target, engine)


@pytest.mark.parametrize("name", REFUSED)
def test_a_block_that_the_server_has_no_place_for_is_refused_by_name(name):
    block = REFUSED[name]
    kind = repr(block.get("type")) if isinstance(block, dict) else type(block).__name__
    with pytest.raises(XinferenceError, match=kind):
        wire_of(block)


def test_an_image_that_a_tool_answers_with_is_sent():
    block = {"type": "image", "base64": b64(PNG), "mime_type": "image/png"}
    [wire] = from_langchain([ToolMessage([{"type": "text", "text": "Seen:"}, block], tool_call_id="1")])
    assert wire["content"] == [{"type": "text", "text": "Seen:"}, openai("image_url", IMAGE)]


def test_a_model_that_completes_text_refuses_the_images_of_messages():
    llm = XinferenceLLM("m", "http://127.0.0.1:1", is_chat_model=False)
    message = ChatMessage(blocks=[TextBlock(text="What is this?"), ImageBlock(image=PNG)])
    with pytest.raises(XinferenceError, match="ImageBlock of message 0"):
        llm.chat([message])


@pytest.mark.parametrize(
    "block", [openai("image_url", IMAGE), v1("audio", WAV, "audio/wav"), {"type": "image", "url": WEB}]
)
@pytest.mark.parametrize("method", ["invoke", "stream", "batch"])
def test_a_model_that_completes_text_refuses_the_images_of_langchain_too(method, block):
    llm = CompletionModel(model_uid="m", server_url="http://127.0.0.1:1")
    messages = [HumanMessage([{"type": "text", "text": "What is this?"}, block])]
    with pytest.raises(XinferenceError, match=f"{block['type']}' in message 0 cannot be sent"):
        list(getattr(llm, method)([messages] if method == "batch" else messages))


@pytest.mark.parametrize(
    ("value", "words"),
    [(1, "got int"), ("", "an entry must be a folder"), ([b"x"], "an entry must be a folder"), ({}, "got dict")],
)
def test_a_setting_that_says_nothing_clear_is_refused(value, words):
    for kind in (ChatXinference, XinferenceLLM):
        with pytest.raises(XinferenceError, match=f"inline_media: .*{words}"):
            kind(model_uid="m", server_url="http://h:1", inline_media=value)


def test_the_setting_is_kept_as_what_json_can_hold():
    for kind in (ChatXinference, XinferenceLLM):
        assert kind(model_uid="m", server_url="http://h:1", inline_media=DATA).inline_media == (str(DATA),)
        assert kind(model_uid="m", server_url="http://h:1", inline_media=True).inline_media is True
        assert kind(model_uid="m", server_url="http://h:1").inline_media is None


# On a real model, which accepts images and answers with random text


@pytest.fixture
def connection(lab) -> XinferenceConnection:
    return XinferenceConnection(lab.url, api_key=lab.api_key)


def langchain_answers(connection: XinferenceConnection, block: Any, mode: str, **settings: Any) -> str:
    chat = ChatXinference(model_uid="tiny-vl", connection=connection, temperature=0, max_tokens=8, **settings)
    messages = [HumanMessage([block, {"type": "text", "text": "What is this?"}])]
    if mode == "sync":
        return str(chat.invoke(messages).text)
    if mode == "stream":
        return "".join(str(chunk.text) for chunk in chat.stream(messages))

    async def answered() -> str:
        if mode == "async":
            return str((await chat.ainvoke(messages)).text)
        return "".join([str(chunk.text) async for chunk in chat.astream(messages)])

    return asyncio.run(answered())


def llamaindex_answers(connection: XinferenceConnection, block: Any, mode: str, **settings: Any) -> str:
    llm = XinferenceLLM("tiny-vl", connection=connection, temperature=0, max_tokens=8, **settings)
    messages = [ChatMessage(blocks=[block, TextBlock(text="What is this?")])]
    if mode == "sync":
        return llm.chat(messages).message.content or ""
    if mode == "stream":
        return "".join(response.delta or "" for response in llm.stream_chat(messages))

    async def answered() -> str:
        if mode == "async":
            return (await llm.achat(messages)).message.content or ""
        return "".join([response.delta or "" async for response in await llm.astream_chat(messages)])

    return asyncio.run(answered())


MODES = ("sync", "stream", "async", "async stream")


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.parametrize("mode", MODES)
def test_a_real_model_sees_an_image_whatever_form_it_is_given_in(connection, mode):
    red = DATA / "red.png"
    forms = [
        langchain_answers(connection, v1("image", PNG, "image/png"), mode),
        langchain_answers(connection, openai("image_url", red.as_uri()), mode, inline_media=[DATA]),
        llamaindex_answers(connection, ImageBlock(image=PNG), mode),
        llamaindex_answers(connection, ImageBlock(path=red), mode),
    ]
    assert forms[0]
    assert len(set(forms)) == 1
    blue = langchain_answers(connection, v1("image", (DATA / "blue.png").read_bytes(), "image/png"), mode)
    assert blue != forms[0]


@pytest.mark.server
@pytest.mark.parametrize("mode", MODES)
def test_a_failure_without_a_reason_names_the_image_as_a_likely_one(connection, mode):
    cut = connection.derive(max_retries=0)
    with pytest.raises(XinferenceServerError, match=r"The messages hold media: .* cannot be decoded"):
        langchain_answers(cut, v1("image", PNG[:40], "image/png"), mode)


@pytest.mark.server
def test_a_real_server_refuses_what_would_have_to_be_inlined(connection):
    """What the refusals here spare: an opaque 500, after all the retries."""
    import requests

    body = {"model": "tiny-vl", "max_tokens": 8}
    key = connection.api_key.get_secret_value()
    for target in ("file:///etc/hostname", "/etc/hostname", "http://127.0.0.1:9/red.png", "http://localhost:9/red.png"):
        messages = [{"role": "user", "content": [openai("image_url", target)]}]
        answer = requests.post(
            f"{connection.server_url}/v1/chat/completions",
            json={**body, "messages": messages},
            headers={"Authorization": f"Bearer {key}"},
            timeout=60,
        )
        assert answer.status_code == 500
        assert "Check the server logs" in answer.text
