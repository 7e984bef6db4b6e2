"""The rate limiter: called once before each request, with any supported llama-index-core."""

from __future__ import annotations

from typing import Any

from llama_index.core.base.llms.base import BaseLLM
from llama_index.core.bridge.pydantic import BaseModel, Field

#: Since 0.14.16, llama-index-core has the field and calls a model's limiter itself.
_ASKED_BY_CORE = "rate_limiter" in BaseLLM.model_fields


class RateLimited(BaseModel):
    """Has a rate limiter, and calls it if the installed llama-index-core does not."""

    rate_limiter: Any = Field(default=None, exclude=True)
    """Called before each request: llama-index-core's `BaseRateLimiter`, or an object with its two methods."""

    def _let_pass(self) -> None:
        if self.rate_limiter is not None and not _ASKED_BY_CORE:
            self.rate_limiter.acquire()

    async def _alet_pass(self) -> None:
        if self.rate_limiter is not None and not _ASKED_BY_CORE:
            await self.rate_limiter.async_acquire()
