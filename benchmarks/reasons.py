"""Why a goal is missed where it is, and what was tried: by the name that RESULTS.md gives it."""

from __future__ import annotations

REASONS: dict[str, str] = {}
