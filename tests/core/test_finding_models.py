"""Finds a model, checks its abilities, waits until it is ready, and explains opaque failures."""

from __future__ import annotations

import asyncio
import time

import orjson
import pytest

from tests.core.asks import CALL, MODES, PATHS, UIDS, ask, connection_to, recorded
from tests.support.fault_proxy import CLOSE, FaultServer, http, unused_port
from xinference_bridge import (
    XinferenceAuthenticationError,
    XinferenceConnection,
    XinferenceConnectionError,
    XinferenceModelNotFoundError,
    XinferenceModelTypeError,
    XinferenceServerError,
    XinferenceTimeoutError,
)
from xinference_bridge.models.chat import ChatHandle
from xinference_bridge.protocol.model_info import ModelInfo, find_model, model_from_wire, wrong_type

URL = "http://host:9997"
QWEN = ModelInfo("qwen3", "qwen3", "LLM", ("generate", "chat", "tools"))
GLM_A = ModelInfo("glm-a", "glm4", "LLM", ("generate", "chat"))
GLM_B = ModelInfo("glm-b", "glm4", "LLM", ("generate", "chat"))
MINILM = ModelInfo("minilm", "all-MiniLM-L6-v2", "embedding", ("embed",))
RERANK = ModelInfo("jina", "jina-reranker", "rerank")
RUNNING = [GLM_A, QWEN, GLM_B, MINILM, RERANK]


# By name. Pure.


def test_a_uid_comes_before_a_name_and_a_unique_name_is_enough():
    named_like_a_uid = ModelInfo("other", "qwen3", "LLM")
    assert find_model("qwen3", [named_like_a_uid, QWEN], URL) is QWEN
    assert find_model("all-MiniLM-L6-v2", RUNNING, URL) is MINILM


def test_an_ambiguous_name_lists_its_candidates():
    with pytest.raises(XinferenceModelNotFoundError, match=r"2 models named 'glm4' .*glm-a \(glm4\), glm-b \(glm4\)"):
        find_model("glm4", RUNNING, URL)


def test_an_unknown_name_lists_what_runs_nearest_first_and_how_to_launch_it():
    with pytest.raises(XinferenceModelNotFoundError) as caught:
        find_model("qwen2", RUNNING, URL)
    message = caught.value.message
    assert message.index("qwen3") < message.index("glm-a")
    assert f"xinference launch -e {URL}" in message
    assert "--model-uid qwen2" in message
    assert (caught.value.url, caught.value.model_uid) == (URL, "qwen2")


def test_where_nothing_runs_that_is_said():
    with pytest.raises(XinferenceModelNotFoundError, match="No models are running"):
        find_model("qwen3", [], URL)


@pytest.mark.parametrize(
    ("model", "can", "cannot"),
    [
        (QWEN, ["chat", "generate", "tools"], ["vision", "embed", "rerank"]),
        (MINILM, ["embed", "embedding"], ["chat", "generate", "rerank"]),
        (RERANK, ["rerank"], ["chat", "embed"]),
        (ModelInfo("old", "old", "LLM"), ["chat", "generate", "tools"], ["embed", "rerank"]),  # abilities not reported
        (ModelInfo("base", "base", "LLM", ("generate",)), ["generate"], ["chat"]),
    ],
)
def test_what_a_model_can(model: ModelInfo, can: list[str], cannot: list[str]):
    assert [word for word in can if not model.can(word)] == []
    assert [word for word in cannot if model.can(word)] == []


def test_a_description_of_an_old_server_leaves_out_what_it_does_not_say():
    model = model_from_wire({"id": "m", "model_type": "embedding", "model_name": "bge", "dimensions": 384})
    assert (model.engine, model.abilities, model.dimensions, model.context_length) == (None, (), 384, None)
    assert model.can("embed")


@pytest.mark.parametrize(
    ("model", "wanted", "described"),
    [
        (MINILM, "embed_vision", "a model of type embedding with the ability embed; this call"),
        (QWEN, "embed", "a model of type LLM with the abilities generate, chat, tools; this call"),
        (RERANK, "rerank_vision", "a model of type rerank; this call"),
    ],
    ids=["one", "several", "none listed"],
)
def test_a_model_of_another_type_is_described_with_its_ability_or_abilities(model: ModelInfo, wanted, described):
    assert described in str(wrong_type(model, [model], URL, wanted))


# On a server


def checked(mode: str, connection: XinferenceConnection, *args, **named) -> ModelInfo:
    if mode == "sync":
        with connection:
            return connection.check(*args, **named)

    async def run() -> ModelInfo:
        async with connection:
            return await connection.acheck(*args, **named)

    return asyncio.run(run())


@pytest.mark.fault_server
@pytest.mark.parametrize("mode", MODES)
class TestCheck:
    @pytest.mark.slow
    @pytest.mark.parametrize("what", [("tiny-chat", "chat"), ("minilm", "embed"), ("tiny-rerank", "rerank")])
    def test_it_finds_matches_and_asks_one_tiny_thing_if_told_to(self, server: FaultServer, mode, what):
        uid, ability = what
        assert checked(mode, connection_to(server), uid, ability).uid == uid
        assert [request.path for request in server.requests] == ["/v1/models"]
        assert checked(mode, connection_to(server), uid, ability, try_it=True).uid == uid
        paths = [request.path for request in server.requests]
        assert paths[1:] == ["/v1/models", PATHS["embeddings" if ability == "embed" else ability]]

    def test_a_model_of_another_type_is_told_with_those_that_could(self, server: FaultServer, mode):
        with pytest.raises(XinferenceModelTypeError) as caught:
            checked(mode, connection_to(server), "minilm", "chat")
        assert "'minilm'" in caught.value.message
        assert "embedding" in caught.value.message
        assert "needs a chat model" in caught.value.message
        assert "tiny-chat" in caught.value.message

    def test_an_unknown_model_is_told_with_those_of_the_wanted_type_alone(self, server: FaultServer, mode):
        with pytest.raises(XinferenceModelNotFoundError, match="Running embedding models: minilm") as caught:
            checked(mode, connection_to(server), "minilmm", "embed")
        assert "tiny-rerank" not in caught.value.message
        assert "--model-type embedding" in caught.value.message

    def test_a_wrong_key_and_a_dead_server_are_told(self, server: FaultServer, mode):
        server.on("/v1/models", recorded("no_credential"))
        with pytest.raises(XinferenceAuthenticationError):
            checked(mode, connection_to(server, api_key="xf-wrong"), "minilm")
        with pytest.raises(XinferenceConnectionError):
            checked(mode, connection_to(f"http://127.0.0.1:{unused_port()}"), "minilm")


# One lookup after an opaque failure


LIES = {
    "an embedding model asked to chat": ("chat", "minilm", "chat_of_an_embedding_model", "chat model"),
    "a reranker asked to embed": ("embeddings", "tiny-rerank", "embeddings_of_a_reranker", "embedding model"),
}


@pytest.mark.fault_server
@pytest.mark.parametrize("mode", MODES)
class TestOneLook:
    @pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
    def test_an_opaque_500_is_explained_by_the_models_type(self, server: FaultServer, mode, monkeypatch, lie):
        what, uid, answer, needed = lie
        monkeypatch.setitem(UIDS, what, uid)
        server.on(PATHS[what], recorded(answer))
        with pytest.raises(XinferenceModelTypeError, match=f"needs an? {needed}") as caught:
            ask(mode, connection_to(server), what)
        assert caught.value.status_code == 500
        assert isinstance(caught.value.__cause__, XinferenceServerError)
        assert [request.path for request in server.requests] == [PATHS[what], "/v1/models"]

    def test_an_error_event_is_explained_too(self, server: FaultServer, mode, monkeypatch):
        server.on(PATHS["stream"], recorded("stream_of_an_embedding_model"))
        connection = connection_to(server)
        model = ChatHandle(connection, "minilm")

        async def run():
            async with connection:
                return [delta async for delta in model.astream_chat(CALL)]

        read = (lambda: list(model.stream_chat(CALL))) if mode == "sync" else (lambda: asyncio.run(run()))
        with pytest.raises(XinferenceModelTypeError, match="needs a chat model"):
            read()

    def test_an_unknown_model_is_told_with_what_runs(self, server: FaultServer, mode, monkeypatch):
        monkeypatch.setitem(UIDS, "embeddings", "nope")
        server.on(PATHS["embeddings"], recorded("unknown_model"))
        with pytest.raises(XinferenceModelNotFoundError, match="Running embedding models: minilm") as caught:
            ask(mode, connection_to(server), "embeddings")
        assert caught.value.status_code == 404

    def test_a_500_of_the_right_model_stays_what_it_is(self, server: FaultServer, mode):
        server.on(PATHS["chat"], recorded("chat_of_an_embedding_model"))
        with pytest.raises(XinferenceServerError, match="Check the server logs"):
            ask(mode, connection_to(server), "chat")

    def test_a_look_that_fails_hides_nothing(self, server: FaultServer, mode):
        server.on(PATHS["chat"], recorded("chat_of_an_embedding_model"))
        server.on("/v1/models", (CLOSE,))
        with pytest.raises(XinferenceServerError, match="Check the server logs"):
            ask(mode, connection_to(server), "chat")

    def test_success_costs_no_look(self, server: FaultServer, mode):
        ask(mode, connection_to(server), "chat")
        assert [request.path for request in server.requests] == [PATHS["chat"]]


# Waiting


def waited(mode: str, connection: XinferenceConnection, uid: str, seconds: float) -> ModelInfo:
    if mode == "sync":
        with connection:
            return connection.wait_until_ready(uid, seconds)

    async def run() -> ModelInfo:
        async with connection:
            return await connection.await_until_ready(uid, seconds)

    return asyncio.run(run())


@pytest.mark.fault_server
@pytest.mark.parametrize("mode", MODES)
class TestWaiting:
    @pytest.fixture(autouse=True)
    def _polls_often(self, monkeypatch):
        monkeypatch.setattr("xinference_bridge.client.running_models._POLL_SECONDS", 0.01)

    def test_it_polls_the_description_and_never_the_model(self, server: FaultServer, mode):
        loading = http(503, b'{"detail":"Model is loading"}', retry_after="30")
        server.on("/v1/models/tiny-chat", recorded("describe_unknown"), (CLOSE,), loading, recorded("describe_chat"))
        assert waited(mode, connection_to(server), "tiny-chat", 20).uid == "tiny-chat"
        assert {request.path for request in server.requests} == {"/v1/models/tiny-chat"}

    @pytest.mark.slow
    def test_a_model_that_never_becomes_ready_times_out_with_the_last_response(self, server: FaultServer, mode):
        began = time.monotonic()
        with pytest.raises(
            XinferenceTimeoutError, match=r"'nope' was not ready within 0\.3 s.*running: minilm|Running models"
        ) as caught:
            waited(mode, connection_to(server), "nope", 0.3)
        assert time.monotonic() - began < 5
        assert caught.value.model_uid == "nope"
        assert len(server.requests) > 1

    def test_a_wrong_key_is_told_at_once(self, server: FaultServer, mode):
        server.on("/v1/models/tiny-chat", recorded("no_credential"))
        with pytest.raises(XinferenceAuthenticationError):
            waited(mode, connection_to(server, api_key="xf-wrong"), "tiny-chat", 20)
        assert len(server.requests) == 1


# The cache


@pytest.mark.fault_server
def test_a_description_is_asked_once_and_forgotten_when_the_model_is_gone(server: FaultServer):
    model = ChatHandle(connection_to(server), "tiny-chat")
    assert model.describe() == model.describe()
    assert len(server.seen("/v1/models/tiny-chat")) == 1
    gone = orjson.dumps({"detail": "Model not found in the model list, uid: tiny-chat. Available model uids: []"})
    server.on(PATHS["chat"], http(404, gone))
    server.on("/v1/models", http(200, b'{"object":"list","data":[]}'))
    with pytest.raises(XinferenceModelNotFoundError, match="No models are running"):
        model.chat(CALL)
    assert model.known_description() is None


# The same on the lab


@pytest.mark.server
@pytest.mark.parametrize("mode", MODES)
class TestOfTheLab:
    def test_it_checks_each_type(self, lab, mode):
        connection = XinferenceConnection(lab.url, api_key=lab.api_key)
        for uid, ability in (("tiny-chat", "chat"), ("minilm", "embed"), ("tiny-rerank", "rerank")):
            assert checked(mode, connection, uid, ability, try_it=True).can(ability)

    def test_it_names_what_runs(self, lab, mode):
        connection = XinferenceConnection(lab.url, api_key=lab.api_key)
        with pytest.raises(XinferenceModelTypeError, match=r"'minilm' .*embedding.*needs a chat model.*tiny-chat"):
            checked(mode, connection, "minilm", "chat")
        with pytest.raises(
            XinferenceModelNotFoundError, match=r"No model 'tiny-chatt' runs .*Running chat models: tiny-chat"
        ):
            checked(mode, connection, "tiny-chatt", "chat")

    def test_it_waits_for_one_that_is_there(self, lab, mode):
        connection = XinferenceConnection(lab.url, api_key=lab.api_key)
        assert waited(mode, connection, "minilm", 30).dimensions == 384

    def test_a_model_of_another_type_is_told_after_one_look(self, lab, mode, monkeypatch):
        monkeypatch.setitem(UIDS, "chat", "minilm")
        with pytest.raises(XinferenceModelTypeError, match=r"'minilm' .*needs a chat model"):
            ask(mode, XinferenceConnection(lab.url, api_key=lab.api_key), "chat")

    def test_it_logs_in_with_user_and_password(self, lab, mode):
        connection = XinferenceConnection(lab.url, username=lab.username, password=lab.password)
        assert checked(mode, connection, "minilm", "embed").uid == "minilm"
