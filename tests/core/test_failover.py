"""Several servers: which one a call uses when one fails, and when it comes back."""

from __future__ import annotations

import asyncio
import copy
import pickle
from contextlib import ExitStack

import orjson
import pytest

from langchain_xinference_bridge import XinferenceEmbeddings
from tests.core.asks import (
    ASKS,
    CALL,
    MODES,
    PATHS,
    TEXTS,
    UIDS,
    ask,
    async_ask,
    check_good,
    events_of,
    good,
    head_of,
    healthy,
    sync_ask,
)
from tests.support.fault_proxy import CLOSE, STALL, FaultServer, fault_server, http, unused_port
from xinference_bridge import (
    XinferenceBadRequestError,
    XinferenceConfigurationError,
    XinferenceConnection,
    XinferenceConnectionError,
    XinferenceModelLoadingError,
    XinferenceModelNotFoundError,
    XinferenceStreamError,
    XinferenceTimeoutError,
)
from xinference_bridge.client.servers import FIRST_REST, LONGEST_REST, Servers
from xinference_bridge.models.chat import ChatHandle

HANG_UP = (CLOSE,)
LOADING = http(503, b'{"detail":"Model is loading"}')
CANNOT_ANSWER = {
    "hangs up": HANG_UP,
    "is loading the model": (LOADING,),
    "is overloaded": (http(503, b'{"detail":"Service Unavailable"}'),),
    "stands behind a proxy without it": (http(502, b"Bad Gateway"),),
}


@pytest.fixture
def second():
    with fault_server() as running:
        yield healthy(running)


def fleet(first: FaultServer | str, *others: FaultServer, **settings) -> XinferenceConnection:
    url = first if isinstance(first, str) else first.url
    settings = {"timeout": 10.0, "max_retries": 0, **settings}
    return XinferenceConnection(url, fallbacks=[other.url for other in others], **settings)


@pytest.mark.fault_server
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("what", ASKS)
def test_a_server_that_is_down_is_passed_over(second: FaultServer, mode: str, what: str):
    second.on(PATHS[what], good(what))
    check_good(what, ask(mode, fleet(f"http://127.0.0.1:{unused_port()}", second), what))


@pytest.mark.fault_server
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("what", ["chat", "stream", "embeddings"])
@pytest.mark.parametrize("state", CANNOT_ANSWER)
def test_a_server_that_cannot_answer_is_passed_over(server, second: FaultServer, mode: str, what: str, state: str):
    server.on(PATHS[what], CANNOT_ANSWER[state])
    second.on(PATHS[what], good(what))
    check_good(what, ask(mode, fleet(server, second), what))
    # A possibly stale socket is used once more, because the description was received over it.
    assert len(server.seen(PATHS[what])) <= (2 if state == "hangs up" else 1)


@pytest.mark.fault_server
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("cut", ["after its head", "amid its first event"])
def test_a_stream_of_which_no_event_came_moves(server, second: FaultServer, mode: str, cut: str):
    whole = good("stream")
    begun = head_of(whole) if cut == "after its head" else head_of(whole) + events_of(whole)[0][:20]
    server.on(PATHS["stream"], (begun, CLOSE))
    second.on(PATHS["stream"], whole)
    check_good("stream", ask(mode, fleet(server, second), "stream"))


@pytest.mark.fault_server
@pytest.mark.parametrize("mode", MODES)
def test_a_stream_that_has_begun_never_moves(server, second: FaultServer, mode: str):
    whole = good("stream")
    server.on(PATHS["stream"], (head_of(whole) + b"".join(events_of(whole)[:2]), CLOSE))
    second.on(PATHS["stream"], whole)
    with pytest.raises(XinferenceStreamError):
        ask(mode, fleet(server, second), "stream")
    assert not second.seen(PATHS["stream"])


@pytest.mark.fault_server
@pytest.mark.parametrize("mode", MODES)
def test_what_another_server_would_refuse_too_does_not_move(server, second: FaultServer, mode: str):
    server.on(PATHS["chat"], http(400, b'{"detail":"Invalid input"}'))
    with pytest.raises(XinferenceBadRequestError):
        ask(mode, fleet(server, second), "chat")
    assert not second.requests


@pytest.mark.fault_server
@pytest.mark.parametrize("mode", MODES)
def test_a_server_that_failed_rests(server, second: FaultServer, mode: str):
    server.on(PATHS["chat"], (LOADING,))
    connection = fleet(server, second)

    async def twice() -> None:
        async with connection:
            for _ in range(3):
                await async_ask(connection, "chat")

    if mode == "sync":
        with connection:
            for _ in range(3):
                sync_ask(connection, "chat")
    else:
        asyncio.run(twice())
    assert len(server.seen(PATHS["chat"])) == 1
    assert len(second.seen(PATHS["chat"])) == 3


@pytest.mark.fault_server
@pytest.mark.parametrize("mode", MODES)
def test_when_none_can_answer_the_first_failure_is_told_after_the_retries(server, second: FaultServer, mode: str):
    server.on(PATHS["chat"], (LOADING,))
    second.on(PATHS["chat"], HANG_UP)
    with pytest.raises(XinferenceModelLoadingError):
        ask(mode, fleet(server, second, max_retries=2), "chat")
    assert len(server.seen(PATHS["chat"])) == 3
    assert len(second.seen(PATHS["chat"])) == 3


@pytest.mark.slow
@pytest.mark.fault_server
@pytest.mark.parametrize("mode", MODES)
def test_one_deadline_bounds_all_servers(server, second: FaultServer, mode: str):
    server.on(PATHS["chat"], (LOADING,))
    second.on(PATHS["chat"], (STALL,))
    with pytest.raises(XinferenceTimeoutError, match=r"deadline of 0\.3 s"):
        ask(mode, fleet(server, second, deadline=0.3, max_retries=5), "chat")


@pytest.mark.fault_server
def test_a_model_that_only_the_first_server_has_is_waited_for_there(server, second: FaultServer):
    server.on(PATHS["chat"], (LOADING,), (good("chat"),))
    second.on(PATHS["chat"], http(404, b'{"detail":"Model not found"}'))
    check_good("chat", ask("sync", fleet(server, second, max_retries=1), "chat"))


@pytest.mark.fault_server
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("what", ASKS)
def test_a_server_that_came_back_without_the_model_is_passed_over(server, second: FaultServer, mode: str, what: str):
    uid = UIDS.get(what, "tiny-chat")
    for path in (PATHS[what], f"/v1/models/{uid}"):
        server.on(path, http(404, b'{"detail":"Model not found"}'))
    server.on("/v1/models", http(200, b'{"object":"list","data":[]}'))
    second.on(PATHS[what], good(what))
    check_good(what, ask(mode, fleet(server, second), what))
    assert not server.seen("/v1/models"), "looked for what runs, though another server answered"


@pytest.mark.fault_server
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("first", ["down", "without models"])
def test_a_models_name_is_found_on_a_fallback(server, second: FaultServer, mode: str, first: str):
    for path in (PATHS["embeddings"], "/v1/models/minilm"):
        server.on(path, http(404, b'{"detail":"Model not found"}'))
    server.on("/v1/models", http(200, b'{"object":"list","data":[]}'))

    def by_uid_alone(seen):
        named = seen.path == PATHS["embeddings"] and orjson.loads(seen.body)["model"] != "minilm"
        return (http(404, b'{"detail":"Model not found"}'),) if named else None

    second.answer = by_uid_alone
    connection = fleet(f"http://127.0.0.1:{unused_port()}" if first == "down" else server, second)
    model = XinferenceEmbeddings(model="all-MiniLM-L6-v2", connection=connection, batch_size=3)
    vectors = model.embed_documents(TEXTS) if mode == "sync" else asyncio.run(model.aembed_documents(TEXTS))
    assert len(vectors) == 3


@pytest.mark.fault_server
@pytest.mark.parametrize("mode", MODES)
def test_a_model_that_no_server_has_is_told_as_the_first_server_says(server, second: FaultServer, mode: str):
    for each in (server, second):
        each.on(PATHS["chat"], http(404, b'{"detail":"Model not found"}'))
    with pytest.raises(XinferenceModelNotFoundError, match=f"runs at {server.url}"):
        ask(mode, fleet(server, second, max_retries=2), "chat")
    assert len(second.seen(PATHS["chat"])) == 1


@pytest.mark.fault_server
@pytest.mark.parametrize("mode", MODES)
def test_a_model_that_only_the_second_server_has_is_waited_for_there(server, second: FaultServer, mode: str):
    server.on(PATHS["chat"], http(404, b'{"detail":"Model not found"}'))
    second.on(PATHS["chat"], (LOADING,), (good("chat"),))
    check_good("chat", ask(mode, fleet(server, second, max_retries=1), "chat"))


@pytest.mark.fault_server
@pytest.mark.parametrize("mode", MODES)
def test_a_fallback_that_refuses_its_credential_is_passed_over_and_named_when_none_answers(server, second, mode: str):
    server.on(PATHS["chat"], (LOADING,))
    second.on(PATHS["chat"], http(403, b'{"detail":"Not enough permissions"}'))
    with fault_server() as third:
        healthy(third)
        check_good("chat", ask(mode, fleet(server, second, third), "chat"))
    with pytest.raises(XinferenceModelLoadingError, match=f"No other server answered: {second.url}.*403"):
        ask(mode, fleet(server, second), "chat")


@pytest.mark.slow
@pytest.mark.fault_server
def test_each_server_gets_its_own_credential_and_no_other(server, second: FaultServer):
    with ExitStack() as opened:
        third = healthy(opened.enter_context(fault_server()))
        for broken in (server, second):
            broken.on(PATHS["chat"], (LOADING,))
        theirs = XinferenceConnection(third.url, api_key="xf-third")
        connection = XinferenceConnection(
            server.url, api_key="xf-first", fallbacks=[second.url, theirs], max_retries=0, headers={"X-Gate": "first"}
        )
        with connection:
            ChatHandle(connection, "tiny-chat").chat(CALL)

        def sent(to: FaultServer) -> set[str | None]:
            return {request.headers.get("authorization") for request in to.seen(PATHS["chat"])}

        assert sent(server) == {"Bearer xf-first"}
        assert sent(second) == {None}
        assert sent(third) == {"Bearer xf-third"}
        assert not any("x-gate" in request.headers for request in (*second.requests, *third.requests))


def test_the_environments_key_is_not_sent_to_a_fallback_given_as_a_url(monkeypatch):
    monkeypatch.setenv("XINFERENCE_API_KEY", "xf-environment")
    connection = XinferenceConnection("http://a:1", fallbacks=["http://b:2"])
    assert connection.api_key is not None
    assert connection.fallbacks[0].api_key is None


def test_a_fallback_given_as_a_url_waits_as_long_as_the_connection():
    connection = XinferenceConnection("http://a:1", fallbacks=["b:2"], timeout=7, pool_size=3)
    assert (connection.fallbacks[0].server_url, connection.fallbacks[0].timeout) == ("http://b:2", 7)


def test_fallbacks_are_part_of_what_a_connection_is():
    connection = XinferenceConnection("http://a:1", fallbacks=[XinferenceConnection("http://b:2", api_key="xf-b")])
    assert connection != XinferenceConnection("http://a:1")
    for twin in (copy.deepcopy(connection), pickle.loads(pickle.dumps(connection)), connection.derive()):
        assert twin == connection
        assert hash(twin) == hash(connection)
    assert "xf-b" not in repr(connection) + str(connection.model_dump()) + connection.model_dump_json()
    assert connection.derive(timeout=3).fallbacks == connection.fallbacks


@pytest.mark.parametrize(
    ("fallbacks", "words"),
    [
        ("http://b:2", "must be a list"),
        (7, "must be a list"),
        ([7], r"fallbacks\[0\] must be a URL or a connection, got int"),
        (["http://b:2", "ftp://c"], "scheme 'ftp'"),
        ([XinferenceConnection("http://b:2", fallbacks=["http://c:3"])], "must not have fallbacks itself"),
    ],
)
def test_an_invalid_fallback_is_named(fallbacks, words):
    with pytest.raises(XinferenceConfigurationError, match=words):
        XinferenceConnection("http://a:1", fallbacks=fallbacks)


# Which server is skipped, and for how long


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def names(servers: Servers[str]) -> list[str]:
    return [server.target for server in servers.in_turn()]


def test_a_rest_grows_and_ends_with_one_trial():
    clock = Clock()
    servers = Servers(["a", "b"], clock)
    first = next(iter(servers.in_turn()))
    first.failed()
    assert names(servers) == ["b", "a"]
    clock.now += FIRST_REST
    assert names(servers) == ["a", "b"]  # one call tries it
    assert names(servers) == ["b", "a"]  # the others skip it meanwhile
    first.failed()
    clock.now += FIRST_REST
    assert names(servers) == ["b", "a"]
    clock.now += FIRST_REST
    assert names(servers) == ["a", "b"]
    first.answered()
    assert names(servers) == names(servers) == ["a", "b"]


def test_a_rest_has_an_end():
    clock = Clock()
    servers = Servers(["a", "b"], clock)
    first = next(iter(servers.in_turn()))
    for _ in range(20):
        first.failed()
    clock.now += LONGEST_REST
    assert names(servers) == ["a", "b"]


def test_if_all_servers_are_skipped_all_are_tried():
    servers = Servers(["a", "b"], Clock())
    for server in servers.in_turn():
        server.failed()
    assert names(servers) == ["a", "b"]


@pytest.mark.fault_server
def test_without_fallbacks_a_dead_server_is_an_error():
    with pytest.raises(XinferenceConnectionError):
        ask("sync", fleet(f"http://127.0.0.1:{unused_port()}"), "chat")
