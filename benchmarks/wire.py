"""Bare calls: the cost of the wire, with only orjson.

The session does not read the environment (`trust_env=False`), which saves a fifth of a bare `requests` call and makes
the floor stricter.
"""

from __future__ import annotations

import asyncio
import binascii
from array import array
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import aiohttp
import orjson
import requests

from benchmarks.stub_server import API_KEY

_HEADERS = {"Authorization": f"Bearer {API_KEY}", "Content-Type": "application/json"}

#: The texts that all contenders embed, and the floor's number of texts per request, which is our default.
TEXTS = [f"Document {number}: " + "the bridge over the river was built of stone. " * 4 for number in range(2048)]
BATCH = 64
PROMPT = "Which bridges stood over the river in the year of the flood, and who built them?"
CALLERS = 300


class Wire:
    """Bare calls to one server: one session, no lookups and no checks."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers.update(_HEADERS)
        self._async: aiohttp.ClientSession | None = None

    def chat(self, body: dict[str, Any]) -> str:
        """Return the text of one answer."""
        answer = self.session.post(f"{self.url}/v1/chat/completions", data=orjson.dumps(body))
        return str(orjson.loads(answer.content)["choices"][0]["message"]["content"])

    def completion(self, body: dict[str, Any]) -> str:
        """Return the text of one completion."""
        answer = self.session.post(f"{self.url}/v1/completions", data=orjson.dumps(body))
        return str(orjson.loads(answer.content)["choices"][0]["text"])

    def stream(self, body: dict[str, Any]) -> Iterator[str]:
        """Yield the pieces of text of one streamed answer."""
        with self.session.post(f"{self.url}/v1/chat/completions", data=orjson.dumps(body), stream=True) as answer:
            for line in answer.iter_lines(chunk_size=65536):
                if line.startswith(b"data: {"):
                    choices = orjson.loads(line[6:])["choices"]
                    if choices and (text := choices[0]["delta"].get("content")):
                        yield text

    def embed(self, model: str, texts: Sequence[str], batch: int) -> list[list[float]]:
        """Return one vector per text, with sequential requests."""
        vectors = []
        for start in range(0, len(texts), batch):
            body = {"model": model, "input": texts[start : start + batch], "encoding_format": "base64"}
            answer = self.session.post(f"{self.url}/v1/embeddings", data=orjson.dumps(body))
            for entry in orjson.loads(answer.content)["data"]:
                vectors.append(array("f", binascii.a2b_base64(entry["embedding"])).tolist())  # noqa: PERF401
        return vectors

    def embed_lists(self, model: str, texts: Sequence[str], batch: int) -> list[list[float]]:
        """Return one vector per text, requested as lists of numbers, as simple clients do."""
        vectors = []
        for start in range(0, len(texts), batch):
            body = {"model": model, "input": texts[start : start + batch]}
            answer = self.session.post(f"{self.url}/v1/embeddings", data=orjson.dumps(body))
            vectors += [entry["embedding"] for entry in orjson.loads(answer.content)["data"]]
        return vectors

    async def achat(self, body: dict[str, Any]) -> str:
        """Async version of `chat`."""
        async with self._session().post(f"{self.url}/v1/chat/completions", data=orjson.dumps(body)) as answer:
            return str(orjson.loads(await answer.read())["choices"][0]["message"]["content"])

    async def astream(self, body: dict[str, Any]) -> AsyncIterator[str]:
        """Async version of `stream`."""
        async with self._session().post(f"{self.url}/v1/chat/completions", data=orjson.dumps(body)) as answer:
            async for line in answer.content:
                if line.startswith(b"data: {"):
                    choices = orjson.loads(line[6:])["choices"]
                    if choices and (text := choices[0]["delta"].get("content")):
                        yield text

    def _session(self) -> aiohttp.ClientSession:
        if self._async is None:
            self._async = aiohttp.ClientSession(headers=_HEADERS, read_bufsize=2**18)
        return self._async

    async def aclose(self) -> None:
        """Close the sockets."""
        self.session.close()
        if self._async is not None:
            await self._async.close()


def spent(stream: Iterator[object]) -> int:
    """Read a stream to its end and return the number of pieces."""
    return sum(1 for _ in stream)


async def gathered(model: Any, callers: int = CALLERS) -> None:
    """Make this many concurrent calls of a LangChain model."""
    await asyncio.gather(*(model.ainvoke(PROMPT) for _ in range(callers)))
