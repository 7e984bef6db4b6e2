"""A model's unique name is resolved to its UID: with one lookup at the first call, later without a failed request."""

from __future__ import annotations

import orjson
import pytest

from tests.core.asks import ASKS, CALL, MODES, PATHS, TEXTS, UIDS, ask, check_good, connection_to, good, recorded
from tests.support.fault_proxy import FaultServer, http
from xinference_bridge import XinferenceConnection, XinferenceModelNotFoundError
from xinference_bridge.models.chat import ChatHandle
from xinference_bridge.models.embedding import EmbeddingHandle

pytestmark = pytest.mark.fault_server
NAMES = {"minilm": "all-MiniLM-L6-v2", "tiny-rerank": "the-reranker", "tiny-chat": "the-chat"}


def listing(*models: tuple[str, str]) -> bytes:
    entries = orjson.loads(recorded("models").partition(b"\r\n\r\n")[2])["data"]
    kinds = {entry["id"]: entry for entry in entries}
    data = [{**kinds[uid.partition("+")[0]], "id": uid, "model_name": name} for uid, name in models]
    return http(200, orjson.dumps({"object": "list", "data": data}))


@pytest.fixture
def named(server: FaultServer) -> FaultServer:
    """A server that knows its models by UIDs alone, as Xinference does, and lists their names."""
    server.on("/v1/models", listing(*NAMES.items()))
    real = server.answer

    def answer(seen):
        uid = orjson.loads(seen.body).get("model") if seen.body else seen.path.rpartition("/")[2]
        if uid in NAMES.values():
            return (recorded("unknown_model"),) if seen.body else (recorded("describe_unknown"),)
        return real(seen) if real is not None else None

    server.answer = answer
    return server


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("what", ASKS)
def test_a_unique_name_is_as_good_as_the_uid(named: FaultServer, mode: str, what: str, monkeypatch):
    for key in ("embeddings", "rerank", "chat", "stream"):
        monkeypatch.setitem(UIDS, key, NAMES[UIDS.get(key, "tiny-chat")])
    if what == "stream":
        named.on(PATHS["chat"], good("stream"))
    check_good(what, ask(mode, connection_to(named), what))


def test_later_calls_by_the_name_begin_with_the_uid(named: FaultServer):
    handle = EmbeddingHandle(connection_to(named), NAMES["minilm"])
    handle.embed(TEXTS, {})
    before = len(named.requests)
    handle.embed(TEXTS, {})
    ChatHandle(handle.connection, NAMES["tiny-chat"]).describe()
    asked = [orjson.loads(request.body)["model"] for request in named.requests[before:] if request.body]
    assert asked == ["minilm"]
    assert handle.known_description() is not None or len(named.seen(PATHS["embeddings"])) == 3


def test_a_name_that_several_models_have_lists_them(named: FaultServer):
    named.on("/v1/models", listing(("minilm", "twin"), ("minilm+2", "twin")))
    named.on(PATHS["embeddings"], recorded("unknown_model"))
    with pytest.raises(XinferenceModelNotFoundError, match=r"2 models named 'twin'.*minilm.*minilm\+2"):
        EmbeddingHandle(connection_to(named), "twin").embed(TEXTS, {})


def test_a_name_is_forgotten_with_its_model(named: FaultServer):
    connection: XinferenceConnection = connection_to(named)
    handle = EmbeddingHandle(connection, NAMES["minilm"])
    handle.embed(TEXTS, {})
    named.on(PATHS["embeddings"], recorded("unknown_model"))
    named.on("/v1/models", listing(("tiny-chat", "the-chat")))
    with pytest.raises(XinferenceModelNotFoundError):
        handle.embed(TEXTS, {})
    assert connection.client.running.uid_of(NAMES["minilm"]) == NAMES["minilm"]


def test_chats_by_a_name_that_is_no_model_say_what_runs(named: FaultServer):
    named.on("/v1/models/nobody", recorded("describe_unknown"))
    named.on(PATHS["chat"], recorded("unknown_model"))
    with pytest.raises(XinferenceModelNotFoundError, match="No model 'nobody' runs"):
        ChatHandle(connection_to(named), "nobody").chat(CALL)
