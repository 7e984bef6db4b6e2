"""`POST /v1/images/ocr`: an image or a PDF → request, answer → text. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from xinference_bridge.errors import XinferenceConfigurationError
from xinference_bridge.protocol.http import Request, Response
from xinference_bridge.protocol.media import media_type_of
from xinference_bridge.protocol.media_fields import as_kwargs, checked_count, checked_text
from xinference_bridge.protocol.multipart import Content, FilePart, Form
from xinference_bridge.protocol.shape_errors import unexpected_answer

PDF = "application/pdf"


def document_type(head: bytes, what: str) -> str:
    """Return the media type of an image or a PDF by its first bytes.

    Raises:
        XinferenceConfigurationError: It is another kind of file.
    """
    kind = media_type_of(head)
    if kind == PDF or (kind or "").startswith("image/"):
        return str(kind)
    found = f"a file of type {kind}" if kind else f"a file that begins with {head[:16]!r}"
    raise XinferenceConfigurationError(f"{what} must be an image or a PDF, got {found}")


def ocr_request(
    uid: str,
    content: Content,
    filename: str,
    media_type: str,
    *,
    prompt: str | None = None,
    pages: int | Sequence[int] | None = None,
    more: Mapping[str, Any] | None = None,
) -> Request:
    """Return the request that reads the text of a document.

    The prompt is sent in `kwargs`, because the server ignores a form field `prompt` (4.1.0).

    Raises:
        XinferenceConfigurationError: An argument is invalid.
    """
    own = dict(more or {})
    if prompt is not None:
        own["prompt"] = checked_text(prompt, "prompt")
    if pages is not None:
        if media_type != PDF:
            raise XinferenceConfigurationError(f"pages is for PDFs, and this is a file of type {media_type}")
        own["pages"] = _checked_pages(pages)
    fields = [("model", uid)]
    if own:
        fields.append(("kwargs", as_kwargs(own)))
    name = filename or f"document.{media_type.rpartition('/')[2]}"
    form = Form(tuple(fields), (FilePart("image", content, name, media_type),))
    return Request("POST", "/v1/images/ocr", model_uid=uid, ability="ocr", form=form)


def _checked_pages(pages: Any) -> list[int]:
    numbers = [pages] if isinstance(pages, int) else pages
    if isinstance(numbers, (str, bytes)) or not isinstance(numbers, Sequence):
        msg = f"pages must be page numbers from 1, such as [1, 3], got {pages!r:.60}"
        raise XinferenceConfigurationError(msg)
    if not numbers:
        raise XinferenceConfigurationError("pages is empty; leave it out for all pages")
    return [checked_count(number, "a page number") for number in numbers]


def ocr_from_response(response: Response) -> str:
    """Return the text in a response. A result that is not text is returned as JSON.

    Raises:
        XinferenceProtocolError: The response is not JSON, or reports an error.
    """
    data = response.json()
    if isinstance(data, str):
        return data
    if isinstance(data, dict) and isinstance(data.get("pages"), list):
        return "\n\n".join(_as_text(page.get("result") if isinstance(page, dict) else page) for page in data["pages"])
    if data is None or (isinstance(data, dict) and not data):
        raise unexpected_answer(response, "a text")
    return _as_text(data)


def _as_text(result: Any) -> str:
    return result if isinstance(result, str) else json.dumps(result, ensure_ascii=False)
