"""The features of each server version, as the tests in this folder find them; docs/servers.md has them as a table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Server:
    """The newest server of a line, with the models of the lab."""

    version: str
    asks_who_calls: bool
    """Whether authentication is on, as the server comes."""
    names_engine: bool
    """Whether a description names the engine, by which the bridge chooses how to ask."""
    vectors_as_base64: bool
    """Whether embeddings come as base64 when asked for so; else as lists of numbers."""
    numbers_each_request: bool
    """Whether the vectors of concurrent requests, which the server merges, are numbered anew for each."""
    calls_on_llama_cpp: bool
    """Whether llama.cpp answers a request that has tools."""
    streams_calls: bool
    """Whether a request that has tools may be streamed on llama.cpp and transformers."""


SERVERS = {
    server.version: server
    for server in (
        Server(
            "1.17.1",
            asks_who_calls=False,
            names_engine=False,
            vectors_as_base64=False,
            numbers_each_request=False,
            calls_on_llama_cpp=False,
            streams_calls=False,
        ),
        Server(
            "2.12.0",
            asks_who_calls=False,
            names_engine=False,
            vectors_as_base64=False,
            numbers_each_request=False,
            calls_on_llama_cpp=True,
            streams_calls=True,
        ),
        Server(
            "3.5.0",
            asks_who_calls=True,
            names_engine=True,
            vectors_as_base64=False,
            numbers_each_request=True,
            calls_on_llama_cpp=True,
            streams_calls=True,
        ),
        Server(
            "4.1.0",
            asks_who_calls=True,
            names_engine=True,
            vectors_as_base64=True,
            numbers_each_request=True,
            calls_on_llama_cpp=True,
            streams_calls=True,
        ),
    )
}
