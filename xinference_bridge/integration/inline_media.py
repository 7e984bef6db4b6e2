"""Images, audio and video that the server does not fetch, read here and sent as data URLs where that is allowed.

Xinference 4.1.0 refuses local paths, `file://` URLs and private addresses with an opaque 500.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import BeforeValidator

from xinference_bridge.connection import XinferenceConnection
from xinference_bridge.errors import XinferenceConfigurationError, XinferenceConnectionError, XinferenceError
from xinference_bridge.integration.media_files import path_of_file_url, path_within, read_file
from xinference_bridge.protocol.chat.messages import WireMessage
from xinference_bridge.protocol.http import Request
from xinference_bridge.protocol.media import MAX_MEDIA_BYTES, data_url_of, refuse_too_large

_FAMILIES = {"image_url": "image", "audio_url": "audio", "video_url": "video"}
_WEB = ("http://", "https://")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+(?=:)", re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/\s]{64,}={0,2}\s*")
#: Names of the own network: without a dot, as of a Docker service, or under a suffix that is never public.
_PRIVATE_NAME = re.compile(r"[^.]+|(.*\.)?(localhost|local|internal|lan|home\.arpa|test)|[\d.]+|0x[0-9a-f.x]+")


def _as_allowed(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    entries = [value] if isinstance(value, (str, os.PathLike)) else value
    if not isinstance(entries, (list, tuple, set, frozenset)):
        msg = f"it takes True, False, a folder or a list of folders and URL prefixes, got {type(value).__name__}"
        raise ValueError(msg)  # noqa: TRY004 - pydantic takes no TypeError
    paths = [os.fspath(entry) if isinstance(entry, (str, os.PathLike)) else entry for entry in entries]
    for entry in paths:
        if not isinstance(entry, str) or not entry:
            msg = f"an entry must be a folder or a URL prefix, got {entry!r}"
            raise ValueError(msg)
    return tuple(paths)


#: Which files and private URLs are read here: True all, False none, or those in these folders and below these URLs.
#: None reads only the paths that a framework's block holds in a field for paths.
InlineMedia = Annotated[bool | tuple[str, ...] | None, BeforeValidator(_as_allowed)]
#: What a constructor takes for it.
InlineMediaLike = bool | str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None


class NamedFile(str):
    """A path out of a framework's own field for paths, which untrusted text does not reach."""

    __slots__ = ()


def inline_media(messages: Sequence[WireMessage], allowed: bool | tuple[str, ...] | None) -> Sequence[WireMessage]:
    """Return the messages with every file and private URL as a data URL; the very same where they hold none.

    Args:
        messages: What is to be sent.
        allowed: Which files and URLs may be read, as `InlineMedia` says.

    Raises:
        XinferenceConfigurationError: One is not allowed, cannot be read, is empty, larger than 64 MiB, or not of its
            block's kind. The message names the block and the message.
        XinferenceConnectionError: A private URL cannot be fetched.
    """
    places = _places(messages)
    if not places:
        return messages
    sent = list(messages)
    for place in places:
        url = place.url if place.is_sent_as_is(allowed) else place.read(allowed)
        sent[place.message] = _with_url(sent[place.message], place, url)
    return sent


async def ainline_media(
    messages: Sequence[WireMessage], allowed: bool | tuple[str, ...] | None
) -> Sequence[WireMessage]:
    """Async version of `inline_media`: files are read in a thread."""
    if all(place.is_sent_as_is(allowed) for place in _places(messages)):
        return messages
    return await asyncio.to_thread(inline_media, messages, allowed)


def _with_url(message: WireMessage, place: _Place, url: str) -> WireMessage:
    content = message.get("content")
    if url is place.url or not isinstance(content, list):
        return message
    parts = list(content)
    part = parts[place.part]
    parts[place.part] = {**part, place.kind: {**part[place.kind], "url": url}}
    return {**message, "content": parts}


def _places(messages: Sequence[WireMessage]) -> list[_Place]:
    return [
        _Place(number, index, part["type"], part[part["type"]]["url"])
        for number, message in enumerate(messages)
        if isinstance(parts := message.get("content"), list)
        for index, part in enumerate(parts)
        if part.get("type") in _FAMILIES
    ]


@dataclass(frozen=True, slots=True)
class _Place:
    """One block of media, and where it stands."""

    message: int
    part: int
    kind: str
    url: str

    @property
    def what(self) -> str:
        return f"content block {self.part} ({self.kind}) of message {self.message}"

    def is_sent_as_is(self, allowed: bool | tuple[str, ...] | None) -> bool:
        """Whether the URL holds the bytes, or is one that the server opens.

        Raises:
            XinferenceConfigurationError: It is neither, nor can it be read here.
        """
        url = self.url
        if isinstance(url, NamedFile):
            return False
        if url[:5].lower() == "data:":
            refuse_too_large(len(url) * 3 // 4, self.what)
            if url.endswith(","):
                raise XinferenceConfigurationError(f"{self.what} is empty: its data URL holds no bytes")
            return True
        if url[:8].lower().startswith(_WEB):
            private = is_private(self._parts())
            if private and not allowed:
                raise self._refused(f"is at a private address ({url[:200]!r}), which the server does not fetch")
            return not private and not (isinstance(allowed, tuple) and _is_below(url, allowed))
        scheme = _SCHEME.match(url)
        if scheme is not None and scheme[0].lower() != "file":
            msg = f"{self.what} has the scheme {scheme[0]!r}: it takes http:, https:, data:, and file: or a path"
            raise XinferenceConfigurationError(msg)
        return False

    def read(self, allowed: bool | tuple[str, ...] | None) -> str:
        """Return what the path or URL names as a data URL."""
        url = self.url
        if not isinstance(url, NamedFile) and url[:8].lower().startswith(_WEB):
            if isinstance(allowed, tuple) and not _is_below(url, allowed):
                raise self._refused(f"is at a private address ({url[:200]!r}) that inline_media does not list")
            return data_url_of(self._fetched(), _FAMILIES[self.kind], self.what)
        return data_url_of(self._file(allowed), _FAMILIES[self.kind], self.what)

    def _file(self, allowed: bool | tuple[str, ...] | None) -> bytes:
        named = isinstance(self.url, NamedFile)
        if not allowed and not (named and allowed is None) and not isinstance(allowed, tuple):
            if not named and _BASE64.fullmatch(self.url):
                msg = f"{self.what} is base64 without a type: give it as a data URL, data:image/png;base64,…"
                raise XinferenceConfigurationError(msg)
            raise self._refused(f"names the file {self.url[:200]!r}, which the server does not read")
        if not self.url:
            raise XinferenceConfigurationError(f"{self.what} has an empty URL")
        path = path_of_file_url(self.url, self.what) if self.url[:5].lower() == "file:" and not named else self.url
        if isinstance(allowed, tuple):
            folders = [entry for entry in allowed if not entry.startswith(_WEB)]
            return read_file(path_within(path, folders, self.what), self.what)
        return read_file(path, self.what)

    def _fetched(self) -> bytes:
        """Fetch a private URL with no credential, through no redirect, within a minute."""
        parts = self._parts()
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            with XinferenceConnection(
                f"{parts.scheme}://{parts.netloc}",
                api_key=None,
                username=None,
                password=None,
                timeout=20.0,
                deadline=60.0,
                max_retries=0,
                max_response_bytes=MAX_MEDIA_BYTES,
            ) as connection:
                return connection.client.send(Request("GET", target, anonymous=True)).body
        except XinferenceError as error:
            msg = f"{self.what} cannot be fetched from {self.url[:200]!r}: {error.message}"
            raise XinferenceConnectionError(msg, url=self.url[:200]) from None

    def _parts(self) -> SplitResult:
        try:
            parts = urlsplit(self.url)
            if parts.hostname and parts.port != 0:
                return parts
        except ValueError:  # a port that is no number, an address that is none
            pass
        raise XinferenceConfigurationError(f"{self.what} has an invalid URL: {self.url[:200]!r}")

    def _refused(self, why: str) -> XinferenceConfigurationError:
        msg = (
            f"{self.what} {why}. Give its bytes as base64, or allow it to be read here: inline_media=True, or "
            "inline_media=[…] with the folders and URL prefixes whose content is trusted."
        )
        return XinferenceConfigurationError(msg)


def is_private(parts: SplitResult) -> bool:
    """Return whether a URL names an address that is not public, judged by its text alone."""
    host = (parts.hostname or "").rstrip(".").lower()
    try:
        return not ipaddress.ip_address(host.partition("%")[0]).is_global
    except ValueError:
        return _PRIVATE_NAME.fullmatch(host) is not None


def _is_below(url: str, allowed: tuple[str, ...]) -> bool:
    parts = urlsplit(url)
    if ".." in unquote(parts.path).split("/"):
        return False
    for entry in allowed:
        if entry.startswith(_WEB):
            prefix = urlsplit(entry)
            folder = prefix.path.rstrip("/") + "/"
            same = (parts.scheme, parts.netloc.lower()) == (prefix.scheme, prefix.netloc.lower())
            if same and f"{parts.path}/".startswith(folder):
                return True
    return False
