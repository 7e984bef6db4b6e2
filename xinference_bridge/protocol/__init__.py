"""The server's requests and responses. Pure: no I/O, no clock, no threads, no framework."""
