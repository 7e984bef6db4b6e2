"""The smallest request for each kind of model: one token, one vector, one document, a second of silence. Pure."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

from xinference_bridge.protocol.audio import speech_request, transcription_request
from xinference_bridge.protocol.chat.plan import chat_request
from xinference_bridge.protocol.completion import completion_request
from xinference_bridge.protocol.embedding import embeddings_request
from xinference_bridge.protocol.http import Request
from xinference_bridge.protocol.image import ImageCall, generation_request
from xinference_bridge.protocol.model_info import ModelInfo
from xinference_bridge.protocol.ocr import ocr_request
from xinference_bridge.protocol.rerank import rerank_request

#: Width and height that every family of image models accepts.
SMALLEST_SIZE = "256x256"
#: With the server's default of 50 steps, an image takes minutes on a CPU.
FEWEST_STEPS = 2
_RATE = 16_000
_SIDE = 56


def smallest_request(model: ModelInfo) -> Request:
    """Return the cheapest request for this model."""
    if model.type == "embedding":
        return embeddings_request(model.uid, ["ping"], {})
    if model.type == "rerank":
        return rerank_request(model.uid, "ping", ["pong"], {})
    if model.can("transcribe"):
        return transcription_request(model.uid, _InMemory(second_of_silence()), "silence.wav", "audio/wav")
    if model.can("speak"):
        return speech_request(model.uid, "Hello.")
    if model.can("generate_image"):
        return generation_request(
            model.uid, ImageCall("a cat", size=SMALLEST_SIZE, more={"num_inference_steps": FEWEST_STEPS})
        )
    if model.can("ocr"):
        return ocr_request(model.uid, _InMemory(white_image()), "page.png", "image/png")
    if model.can("chat"):
        return chat_request(model.uid, [{"role": "user", "content": "ping"}], {"max_tokens": 1})
    return completion_request(model.uid, "ping", {"max_tokens": 1})


@dataclass(frozen=True, slots=True)
class _InMemory:
    """A file of a form, in memory."""

    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)

    def open(self) -> BinaryIO:
        return BytesIO(self.data)


def second_of_silence() -> bytes:
    """Return a second of silence as a WAV file: 16 kHz, 16 bit, mono."""
    samples = bytes(2 * _RATE)
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, _RATE, 2 * _RATE, 2, 16)
    data = struct.pack("<4sI", b"data", len(samples)) + samples
    return struct.pack("<4sI4s", b"RIFF", 4 + len(form) + len(data), b"WAVE") + form + data


def white_image() -> bytes:
    """Return a white square as a PNG file."""
    rows = (b"\0" + b"\xff" * (3 * _SIDE)) * _SIDE
    header = struct.pack(">IIBBBBB", _SIDE, _SIDE, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, content) for name, content in chunks)


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
