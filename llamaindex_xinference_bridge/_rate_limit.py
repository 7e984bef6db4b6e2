"""The rate limiter: asked once before each request, whichever llama-index-core is installed."""

from __future__ import annotations

from typing import Any

from llama_index.core.base.llms.base import BaseLLM
from llama_index.core.bridge.pydantic import BaseModel, Field

#: llama-index-core asks the limiter of a model itself, around each call, since 0.14.16: there came the field.
_ASKED_BY_CORE = "rate_limiter" in BaseLLM.model_fields


class RateLimited(BaseModel):
    """Has a rate limiter, and asks it where the installed llama-index-core does not."""

    rate_limiter: Any = Field(default=None, exclude=True)
    """Consulted before each request: a `BaseRateLimiter` of llama-index-core, or an object with its two methods."""

    def _let_pass(self) -> None:
        if self.rate_limiter is not None and not _ASKED_BY_CORE:
            self.rate_limiter.acquire()

    async def _alet_pass(self) -> None:
        if self.rate_limiter is not None and not _ASKED_BY_CORE:
            await self.rate_limiter.async_acquire()
