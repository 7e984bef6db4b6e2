"""Fixes vcrpy 8 for concurrent clients, streams and uploads, once per process."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from typing import Any

import aiohttp
from vcr import patch
from vcr.stubs import VCRConnection, VCRHTTPResponse, aiohttp_stubs


@functools.cache
def fix_vcrpy() -> None:
    """Patch vcrpy in this process. Further calls do nothing."""
    # vcrpy removes its patches from the whole process while one thread connects, so that requests of other threads
    # reach the real server: of 64 posts from 16 threads, 4 or 5 were recorded. The patches can stay, because vcrpy
    # connects with the original class, which it keeps.
    patch.force_reset = contextlib.nullcontext
    # Streams are read with urllib3's `read1(amount, decode_content=…)`. vcrpy passes the second argument to BytesIO.
    VCRHTTPResponse.read1 = lambda self, amount=-1, **_: self._content.read1(amount)
    VCRConnection.request = _without_chunks(VCRConnection.request)
    aiohttp_stubs.vcr_request = _with_whole_uploads(aiohttp_stubs.vcr_request)


class _Collector:
    """Collects what an aiohttp payload writes."""

    def __init__(self) -> None:
        self.body = bytearray()

    async def write(self, data: bytes) -> None:
        self.body += data


async def _whole(data: Any) -> tuple[Any, str | None]:
    """Return aiohttp's `data` argument as the bytes to send and their content type. JSON stays unchanged."""
    if isinstance(data, Mapping) and any(not isinstance(value, str) for value in data.values()):
        data = aiohttp.FormData(data)
    if isinstance(data, aiohttp.FormData):
        data = data()
    if isinstance(data, aiohttp.payload.Payload):
        collector = _Collector()
        await data.write(collector)  # type: ignore[arg-type]
        return bytes(collector.body), data.headers.get("Content-Type")
    if hasattr(data, "read"):
        return data.read(), None
    if isinstance(data, AsyncIterable):
        return b"".join([piece async for piece in data]), None
    return data, None


def _with_whole_uploads(
    patched: Callable[..., Callable[..., Awaitable[Any]]],
) -> Callable[..., Callable[..., Awaitable[Any]]]:
    """Pass an upload to vcrpy's aiohttp stub as bytes, where aiohttp would read it piece by piece."""

    @functools.wraps(patched)
    def made(cassette: Any, real_request: Any) -> Callable[..., Awaitable[Any]]:
        request = patched(cassette, real_request)

        @functools.wraps(request)
        async def sent(session: aiohttp.ClientSession, method: str, url: Any, **options: Any) -> Any:
            if options.get("data") is not None:
                options["data"], kind = await _whole(options["data"])
                headers = dict(options.get("headers") or {})
                if kind is not None and "content-type" not in {name.lower() for name in headers}:
                    options["headers"] = headers | {"Content-Type": kind}
            return await request(session, method, url, **options)

        return sent

    return made


def _without_chunks(request: Callable[..., None]) -> Callable[..., None]:
    """Drop the header for chunked encoding, because vcrpy forwards a chunked body in one piece."""

    @functools.wraps(request)
    def sent(
        connection: Any, method: str, url: str, body: Any = None, headers: Any = None, *args: Any, **kwargs: Any
    ) -> None:
        kept = {name: value for name, value in (headers or {}).items() if name.lower() != "transfer-encoding"}
        request(connection, method, url, body, kept, *args, **kwargs)

    return sent
