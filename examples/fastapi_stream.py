"""An HTTP endpoint that streams a model's answer.

pip install fastapi uvicorn
XINFERENCE_UID=qwen3 uvicorn --factory examples.fastapi_stream:make_app
curl -N 'http://127.0.0.1:8000/ask?question=Hello'
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

from fastapi import FastAPI, HTTPException
from fastapi.responses import StreamingResponse
from langchain_core.messages import AIMessageChunk

from langchain_xinference_bridge import ChatXinference
from xinference_bridge import XinferenceConnection, XinferenceError

log = logging.getLogger(__name__)


def make_app() -> FastAPI:
    """Return the application. It sends no request to the model before the first question."""
    connection = XinferenceConnection()
    model = ChatXinference(model_uid=os.environ.get("XINFERENCE_UID", "qwen3"), connection=connection, temperature=0)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await connection.aclose()

    app = FastAPI(lifespan=lifespan)

    @app.get("/ask")
    async def ask(question: str) -> StreamingResponse:
        chunks = model.astream(question)
        try:
            # An error before the first token can still set the status; later, only the text can report it.
            first = await anext(chunks)
        except XinferenceError as error:
            log.exception("no answer")
            raise HTTPException(502, f"The model does not answer: {type(error).__name__}") from error
        return StreamingResponse(_words(first, chunks), media_type="text/plain; charset=utf-8")

    return app


async def _words(first: AIMessageChunk, chunks: AsyncIterator[AIMessageChunk]) -> AsyncIterator[str]:
    """Yield the text as it arrives. If the client disconnects, this closes the stream from the server too."""
    yield first.text
    try:
        async with aclosing(chunks) as rest:  # type: ignore[type-var] # astream is an async generator
            async for chunk in rest:
                yield chunk.text
    except XinferenceError:
        log.exception("the answer broke off")
        yield "\n[the answer broke off]"
