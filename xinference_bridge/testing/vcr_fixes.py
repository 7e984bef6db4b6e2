"""What vcrpy 8 gets wrong for concurrent clients, streams and uploads, changed once for the process."""

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
    """Change vcrpy in this process; calls after the first do nothing."""
    # vcrpy lifts its patches from the whole process while one thread connects, and the requests that other threads send
    # in that moment go out for real: of 64 posts from 16 threads 4 or 5 were recorded. The patches do no harm there:
    # what vcrpy connects with is the class that it kept from before.
    patch.force_reset = contextlib.nullcontext
    # Streams are read by urllib3's `read1(amount, decode_content=…)`, whose second argument vcrpy passes on to BytesIO.
    VCRHTTPResponse.read1 = lambda self, amount=-1, **_: self._content.read1(amount)
    VCRConnection.request = _without_chunks(VCRConnection.request)
    aiohttp_stubs.vcr_request = _with_whole_uploads(aiohttp_stubs.vcr_request)


class _Collector:
    """Takes what an aiohttp payload writes."""

    def __init__(self) -> None:
        self.body = bytearray()

    async def write(self, data: bytes) -> None:
        self.body += data


async def _whole(data: Any) -> tuple[Any, str | None]:
    """What aiohttp was given as `data`, as the bytes that it would send and their content type; JSON stays as it is."""
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
    """Have vcrpy's stand-in for aiohttp see an upload as bytes, where aiohttp would read it piece by piece."""

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
    """Drop the header that announces chunks: vcrpy sends on in one piece what was to be sent in chunks."""

    @functools.wraps(request)
    def sent(
        connection: Any, method: str, url: str, body: Any = None, headers: Any = None, *args: Any, **kwargs: Any
    ) -> None:
        kept = {name: value for name, value in (headers or {}).items() if name.lower() != "transfer-encoding"}
        request(connection, method, url, body, kept, *args, **kwargs)

    return sent
