"""All I/O: sockets, credentials, retries. One flow for sync and async, carried out by two drivers."""
