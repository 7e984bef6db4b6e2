"""HTTP: one exchange or one stream of bytes, with `requests` for sync callers and aiohttp for async ones."""
