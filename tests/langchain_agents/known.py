"""Why tests of LangChain's agents fail on ChatXinference: a pattern of their names, and whose it is."""

from __future__ import annotations

KNOWN: dict[str, str] = {}
