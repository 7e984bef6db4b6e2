"""Launches, follows and terminates models on the lab's server; an API key gets an error that a login is required."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.fault_proxy import fault_server, http
from xinference_bridge import (
    XinferenceBadRequestError,
    XinferenceConfigurationError,
    XinferenceConnection,
    XinferenceModelNotFoundError,
    XinferencePermissionError,
    XinferenceServerError,
    XinferenceTimeoutError,
)
from xinference_bridge.protocol.launch import LaunchProgress

EMBEDDING: dict[str, Any] = {
    "engine": "sentence_transformers",
    "model_type": "embedding",
    "format": "pytorch",
    "quantization": "none",
    "enable_virtual_env": False,
}
NAME = "all-MiniLM-L6-v2"


@pytest.fixture(autouse=True)
def _short_polls(lab, monkeypatch):
    if not lab.live:
        monkeypatch.setattr("xinference_bridge.client.launching._POLL_SECONDS", 0.001)
        monkeypatch.setattr("xinference_bridge.client.running_models._POLL_SECONDS", 0.001)


@pytest.fixture
def administrator(lab):
    connection = XinferenceConnection(lab.url, username=lab.username, password=lab.password)
    yield connection
    connection.close()


@pytest.mark.slow
@pytest.mark.server
def test_a_model_is_launched_followed_and_ended(administrator):
    told: list[LaunchProgress] = []
    info = administrator.launch(NAME, uid="launched-here", on_progress=told.append, **EMBEDDING)
    assert (info.uid, info.type, info.dimensions) == ("launched-here", "embedding", 384)
    assert told[-1].status == "READY"
    assert told[-1].fraction == 1.0
    status = {model.uid: model for model in administrator.status()}["launched-here"]
    assert status.ready
    assert [replica.status for replica in status.replicas] == ["READY"]
    administrator.terminate("launched-here")
    with pytest.raises(XinferenceModelNotFoundError):
        administrator.model("launched-here")


@pytest.mark.server
async def test_an_async_launch_need_not_be_waited_for(lab):
    async with XinferenceConnection(lab.url, username=lab.username, password=lab.password) as connection:
        info = await connection.alaunch(NAME, uid="launched-async", wait=False, **EMBEDDING)
        assert (info.uid, info.dimensions) == ("launched-async", None)
        assert (await connection.await_until_ready("launched-async")).dimensions == 384
        assert (await connection.aprogress("launched-async")).status == "READY"
        assert "launched-async" in [model.uid for model in await connection.astatus()]
        await connection.aterminate("launched-async")


@pytest.mark.server
def test_a_launch_that_fails_later_is_told_in_the_servers_words(administrator):
    with pytest.raises(XinferenceServerError, match=r"Launching 'broken' failed: .+") as caught:
        administrator.launch(NAME, uid="broken", model_path="/nowhere", **EMBEDDING)
    assert caught.value.model_uid == "broken"


@pytest.mark.server
@pytest.mark.parametrize("verb", ["launch", "terminate", "status", "progress"])
def test_a_key_is_told_that_it_takes_a_login(lab, verb):
    connection = XinferenceConnection(lab.url, api_key=lab.api_key)
    ask = {
        "launch": lambda: connection.launch(NAME, uid="by-a-key", **EMBEDDING),
        "terminate": lambda: connection.terminate("minilm"),
        "status": connection.status,
        "progress": lambda: connection.progress("minilm"),
    }[verb]
    if verb in ("launch", "terminate"):
        with pytest.raises(XinferencePermissionError, match="takes a login"):
            ask()
    else:
        assert ask()  # 4.1.0 lets a key watch


@pytest.mark.server
def test_a_uid_that_is_taken_is_refused(administrator):
    with pytest.raises(
        XinferenceBadRequestError, match=r"already.*'minilm' is READY: terminate it first.*another uid="
    ):
        administrator.launch(NAME, uid="minilm", **EMBEDDING)


@pytest.mark.server
def test_a_model_that_is_loading_cannot_be_ended_yet(lab, administrator, monkeypatch):
    administrator.launch(NAME, uid="still-loading", wait=False, **EMBEDDING)
    with pytest.raises(
        XinferenceBadRequestError, match=r"'still-loading' cannot be terminated yet, its status is CREATING"
    ):
        administrator.terminate("still-loading")
    if lab.live:  # for a recording of few polls, on a machine that is busy
        monkeypatch.setattr("xinference_bridge.client.running_models._POLL_SECONDS", 15.0)
    administrator.wait_until_ready("still-loading", timeout=900)
    administrator.terminate("still-loading")


@pytest.mark.server
def test_a_model_whose_launch_failed_need_not_be_ended(administrator):
    with pytest.raises(XinferenceServerError):
        administrator.launch(NAME, uid="broken-before", model_path="/nowhere", **EMBEDDING)
    with pytest.raises(XinferenceBadRequestError, match=r"its launch failed .*/nowhere.*nothing to terminate"):
        administrator.terminate("broken-before")


@pytest.mark.server
def test_a_login_beside_a_key_is_what_launches(lab):
    with XinferenceConnection(lab.url, api_key=lab.api_key, username=lab.username, password=lab.password) as connection:
        assert connection.model("minilm").uid == "minilm"
        with pytest.raises(XinferenceBadRequestError, match="already"):  # and no 403, which the key would get
            connection.launch(NAME, uid="minilm", **EMBEDDING)


@pytest.mark.fault_server
@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("verb", ["launch", "terminate", "status", "progress"])
def test_launching_and_ending_never_move_to_a_fallback(server, mode, verb):
    server.answer = lambda _seen: (http(503, b'{"detail":"Service Unavailable"}'),)
    with fault_server() as second:
        connection = XinferenceConnection(server.url, fallbacks=[second.url], max_retries=0, timeout=10)
        arguments: dict[str, tuple[Any, ...]] = {"launch": (NAME,), "terminate": ("a",), "progress": ("a",)}
        options = EMBEDDING if verb == "launch" else {}

        async def awaited() -> None:
            await getattr(connection, "a" + verb)(*arguments.get(verb, ()), **options)

        def called() -> None:
            getattr(connection, verb)(*arguments.get(verb, ()), **options)

        with pytest.raises(XinferenceServerError, match="503"):
            called() if mode == "sync" else asyncio.run(awaited())
        assert server.requests
        assert not second.requests


@pytest.mark.server
def test_ending_a_model_that_is_not_there_says_what_runs(administrator):
    with pytest.raises((XinferenceModelNotFoundError, XinferenceBadRequestError), match="not-there"):
        administrator.terminate("not-there")


def test_bad_arguments_are_named_before_anything_is_sent():
    connection = XinferenceConnection("http://127.0.0.1:9")
    with pytest.raises(XinferenceConfigurationError, match="slash or whitespace"):
        connection.launch("qwen3", engine="vllm", uid="org/qwen3")
    with pytest.raises(XinferenceConfigurationError, match="engine= is required"):
        connection.launch("qwen3")
    with pytest.raises(XinferenceConfigurationError, match="model_type='LLMs' must be one of"):
        connection.launch("qwen3", engine="vllm", model_type="LLMs")


@pytest.mark.slow
@pytest.mark.server
def test_a_launch_that_takes_too_long_goes_on(administrator):
    with pytest.raises(XinferenceTimeoutError, match=r"is still loading"):
        administrator.launch(NAME, uid="slow", timeout=0.0001, **EMBEDDING)
    administrator.wait_until_ready("slow")
    administrator.terminate("slow")
