"""All I/O: sockets, credentials, retries. Each flow is written once and run by a sync and an async driver."""
