"""Decode a response body within a size limit. Pure."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping

from xinference_bridge.errors import XinferenceProtocolError

#: Maximum bytes outside of the body: status line, headers, chunk sizes, trailers.
MOST_OVERHEAD = 1024 * 1024
#: Maximum compressed bytes without content, against a flood of empty gzip blocks.
_MOST_WITHOUT_CONTENT = 1024 * 1024
_DIGITS = re.compile(r"[0-9]{1,18}")
_GZIP_OR_ZLIB, _RAW_DEFLATE = 32 + zlib.MAX_WBITS, -zlib.MAX_WBITS


class BodyReader:
    """Decodes the bytes of one body and counts them after decoding.

    The request asks for `identity`, but a proxy may compress anyway, and a hostile server packs 6 GB into 10 MB.
    """

    __slots__ = (
        "_begun", "_decoder", "_encoding", "_limit", "_request_id", "_size", "_url", "_without_content", "length",
    )  # fmt: skip

    def __init__(self, headers: Mapping[str, str], limit: int | None, url: str, request_id: str) -> None:
        """Check the headers.

        Args:
            headers: The response's headers, by lower-case names.
            limit: Maximum bytes of the content; None is no limit.
            url: The URL of the request, for errors.
            request_id: The request's id, for errors.

        Raises:
            XinferenceProtocolError: The length is malformed or above the limit, or the encoding is unknown.
        """
        self._limit = limit
        self._url = url
        self._request_id = request_id
        self._size = self._without_content = 0
        self._begun = False
        self._encoding = headers.get("content-encoding", "identity").strip().lower() or "identity"
        self._decoder = None
        if self._encoding in {"gzip", "x-gzip", "deflate"}:
            self._decoder = zlib.decompressobj(_GZIP_OR_ZLIB)
        elif self._encoding != "identity":
            raise self._unreadable("only gzip and deflate are read")
        self.length = self._length(headers)
        """The length from the header, if the body is not encoded."""

    def _length(self, headers: Mapping[str, str]) -> int | None:
        stated = headers.get("content-length")
        if stated is None or "transfer-encoding" in headers:
            return None
        if not _DIGITS.fullmatch(stated.strip()):
            msg = f"{self._url} sent a malformed Content-Length: {stated[:60]!r}"
            raise XinferenceProtocolError(msg, url=self._url, request_id=self._request_id)
        length = int(stated)
        if self._limit is not None and length > self._limit:
            raise self._too_large()
        return length if self._decoder is None else None

    def feed(self, data: bytes) -> bytes:
        """Return the content of these bytes, which may be empty within a compressed body.

        Raises:
            XinferenceProtocolError: The content is above the limit, or cannot be decoded.
        """
        if self._decoder is not None:
            return self._decoded(data)
        self._size += len(data)
        if self._limit is not None and self._size > self._limit:
            raise self._too_large()
        return data

    def end(self) -> None:
        """Finish the body.

        Raises:
            XinferenceProtocolError: A compressed body was cut off.
        """
        decoder = self._decoder
        if decoder is not None and self._begun and not decoder.eof:
            raise self._unreadable("it is cut off")

    def _decoded(self, data: bytes) -> bytes:
        content = b""
        self._without_content += len(data)
        while data and self._decoder is not None:
            room = 0 if self._limit is None else self._limit - self._size - len(content) + 1
            try:
                content += self._decoder.decompress(data, room)
            except zlib.error as broken:
                if self._encoding == "deflate" and not self._begun:
                    self._decoder = zlib.decompressobj(_RAW_DEFLATE)  # as some servers understand "deflate"
                    self._begun = True
                    continue
                raise self._unreadable(str(broken)) from None
            if self._limit is not None and self._size + len(content) > self._limit:
                raise self._too_large()
            data = self._decoder.unused_data
            if data:  # one more member of a gzip file
                self._decoder = zlib.decompressobj(_GZIP_OR_ZLIB)
        self._begun = True
        self._size += len(content)
        if content:
            self._without_content = 0
        elif self._without_content > _MOST_WITHOUT_CONTENT:
            raise self._unreadable(f"{_MOST_WITHOUT_CONTENT} bytes of it hold no content")
        return content

    def _unreadable(self, why: str) -> XinferenceProtocolError:
        msg = (
            f"{self._url} answered with the content-encoding {self._encoding[:40]!r}, which cannot be read ({why}). "
            "The request asked for identity: configure the proxy in front of the server not to change responses."
        )
        return XinferenceProtocolError(msg, url=self._url, request_id=self._request_id)

    def _too_large(self) -> XinferenceProtocolError:
        msg = (
            f"The answer of {self._url} has more than {self._limit} bytes. If that is right, raise the connection's "
            "max_response_bytes=; else check that the URL is a Xinference server's."
        )
        return XinferenceProtocolError(msg, url=self._url, request_id=self._request_id)
