"""HTTP itself: one exchange or one stream of bytes, over `requests` for sync callers and aiohttp for async ones."""
