"""The doctor names the problem at the step that fails, and the next step to fix it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cli.tools import Ran, model, run, says, to_lab, xinference
from tests.support.fault_proxy import Do, http, unused_port
from xinference_bridge import XinferenceConnection
from xinference_bridge.cli import doctor, network_checks
from xinference_bridge.client.transport import container

STEPS = [
    "URL",
    "host",
    "port",
    "Xinference",
    "authentication",
    "credential",
    "server version",
    "models running",
    "model",
    "type and engine",
    "enforced",
    "answer",
]
REFUSED = {"detail": "Could not validate credentials"}
BANNED = {"detail": "Too many failed attempts. Please try again later."}


def steps_of(ran: Ran) -> dict[str, Any]:
    assert ran.out, ran.err
    report = json.loads(ran.out)
    assert report["ok"] is (ran.status == 0)
    return {step["name"]: step for step in report["steps"]}


def examine(*arguments: str) -> tuple[int, dict[str, Any]]:
    ran = run("doctor", "--json", *arguments)
    return ran.status, steps_of(ran)


def failed_at(steps: dict[str, Any]) -> str:
    """The one step that failed; all before it were looked at, and none after it."""
    failed = [name for name, step in steps.items() if step["status"] == "failed"]
    assert len(failed) == 1
    later = list(steps)[list(steps).index(failed[0]) + 1 :]
    assert all(steps[name]["status"] == "skipped" and failed[0] in steps[name]["detail"] for name in later)
    return failed[0]


# On the lab


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.usefixtures("reached")
def test_the_context_that_a_slot_holds_is_measured(lab, monkeypatch):
    for module in ("launching", "running_models"):  # a launch takes minutes on a busy machine: few polls to record
        monkeypatch.setattr(f"xinference_bridge.client.{module}._POLL_SECONDS", 15.0 if lab.live else 0.001)
    # The lab's own models have the whole context in each slot; the server's default divides it.
    launch: dict[str, Any] = {
        "engine": "llama.cpp",
        "format": "ggufv2",
        "quantization": "f32",
        "n_threads": 1,
    }
    with XinferenceConnection(lab.url, username=lab.username, password=lab.password) as administrator:
        name = administrator.model("tiny-chat").name
        administrator.launch(name, uid="eight-slots", n_parallel=8, n_ctx=4096, **launch)
        try:
            status, steps = examine(*to_lab(lab), "--model", "eight-slots", "--context")
        finally:
            administrator.terminate("eight-slots")
    assert status == 0
    step = steps["context"]
    assert step["detail"] == "one request may hold 512 tokens, not 4096: the engine divides 4096 tokens among 8 slots"
    assert "context_length=512" in step["next_step"]
    assert step["facts"]["refused"] - step["facts"]["answered"] <= 17


@pytest.mark.server
@pytest.mark.usefixtures("reached")
def test_a_context_that_one_request_has_alone_is_said_to_be_whole(lab):
    _, steps = examine(*to_lab(lab), "--model", "tiny-chat", "--context")
    assert steps["context"]["detail"] == "one request may hold all of the 4096 tokens"


@pytest.mark.server
@pytest.mark.usefixtures("reached")
def test_an_engine_that_cuts_prompts_in_silence_is_not_measured(lab):
    _, steps = examine(*to_lab(lab), "--model", "tiny-chat-hf", "--context")
    assert steps["context"]["status"] == "skipped"
    assert "transformers cuts a longer prompt in silence" in steps["context"]["detail"]


@pytest.mark.server
@pytest.mark.usefixtures("reached")
def test_all_is_well_with_an_embedding_model(lab):
    status, steps = examine(*to_lab(lab), "--model", "minilm")
    assert status == 0
    assert list(steps) == STEPS
    assert {name for name, step in steps.items() if step["status"] == "skipped"} == {"server version", "enforced"}
    assert steps["type and engine"]["detail"].startswith("embedding all-MiniLM-L6-v2 on sentence_transformers")
    assert "384 dimensions" in steps["answer"]["detail"]
    assert steps["answer"]["facts"]["latency_ms"] >= 0


@pytest.mark.server
@pytest.mark.usefixtures("reached")
def test_all_is_well_with_a_reranker(lab):
    status, steps = examine(*to_lab(lab), "--model", "tiny-rerank")
    assert status == 0
    assert "one document scored" in steps["answer"]["detail"]


@pytest.mark.server
@pytest.mark.usefixtures("reached")
@pytest.mark.parametrize(
    ("uid", "words"),
    [
        ("kokoro", "one word spoken"),
        ("jina-ocr", "an empty page read"),
        ("bge-m3", "one text embedded, 64 dimensions, sparse vectors too"),
        ("tiny-clip", "one text and one image embedded, 64 dimensions"),
        ("qwen3-vl-reranker", "one document and one image ranked"),
        ("tiny-vl", "one chat token"),
    ],
)
def test_each_kind_of_model_is_tried_in_its_own_way(lab, uid, words):
    status, steps = examine(*to_lab(lab), "--model", uid)
    assert words in steps["answer"]["detail"]
    assert status == 0


@pytest.mark.server
@pytest.mark.usefixtures("reached")
def test_an_administrator_is_told_the_version_and_a_model_is_found_by_its_name(lab):
    login = ["--server-url", lab.url, "--username", lab.username, "--password", lab.password]
    status, steps = examine(*login, "--model", "all-MiniLM-L6-v2")
    assert status == 0
    assert steps["server version"]["detail"] == "4.1.0"
    assert steps["model"]["detail"] == "all-MiniLM-L6-v2 found by its name; its UID is 'minilm'"


@pytest.mark.server
@pytest.mark.usefixtures("reached")
def test_a_wrong_uid_is_named_with_what_runs_instead(lab):
    status, steps = examine(*to_lab(lab), "--model", "minilmm")
    assert status == 1
    assert failed_at(steps) == "model"
    assert "'minilmm'" in steps["model"]["detail"]
    assert "minilm" in steps["model"]["next_step"]


@pytest.mark.server
@pytest.mark.usefixtures("reached")
def test_a_wrong_key_is_named_with_where_it_came_from(lab, monkeypatch):
    monkeypatch.setenv("XINFERENCE_API_KEY", "xf-not-a-key-of-this-server")
    status, steps = examine("--server-url", lab.url)
    assert status == 1
    assert failed_at(steps) == "credential"
    assert steps["credential"]["detail"] == (
        "the server rejected the API key from the variable XINFERENCE_API_KEY (401)"
    )


@pytest.mark.server
@pytest.mark.usefixtures("reached")
def test_a_missing_credential_is_named(lab):
    status, steps = examine("--server-url", lab.url)
    assert status == 1
    assert failed_at(steps) == "authentication"
    assert "XINFERENCE_API_KEY" in steps["authentication"]["next_step"]


# Wrong addresses


def test_a_url_that_cannot_be_meant_is_the_first_to_fail():
    status, steps = examine("--server-url", "ftp://somewhere")
    assert status == 1
    assert failed_at(steps) == "URL"
    assert "http://" in steps["URL"]["detail"]


def test_a_host_without_an_address_is_named():
    status, steps = examine("--server-url", "http://nowhere.invalid:9997")
    assert status == 1
    assert failed_at(steps) == "host"
    assert "'nowhere.invalid'" in steps["host"]["detail"]


@pytest.mark.fault_server
def test_a_wrong_port_is_named_with_the_right_one_when_a_server_answers_there(server, monkeypatch):
    xinference(server)
    monkeypatch.setattr(doctor, "_DEFAULT_PORT", server.port)
    status, steps = examine("--server-url", f"http://127.0.0.1:{unused_port()}")
    assert status == 1
    assert failed_at(steps) == "port"
    assert steps["port"]["next_step"] == (
        f"The port is wrong: Xinference answers at {server.url}. Use --server-url {server.url}"
    )


@pytest.mark.fault_server
def test_inside_a_container_it_explains_what_loopback_means_there(server, monkeypatch):
    port = unused_port()
    monkeypatch.setattr(doctor, "_DEFAULT_PORT", port)
    monkeypatch.setattr(container, "inside_container", lambda: True)
    _, steps = examine("--server-url", f"http://localhost:{port}")
    assert failed_at(steps) == "port"
    assert f"http://host.docker.internal:{port}" in steps["port"]["next_step"]


@pytest.mark.fault_server
def test_another_service_on_the_port_is_told_from_a_xinference(server, monkeypatch):
    server.on("/v1/cluster/auth", http(404, b"<html>nginx</html>", kind="text/html"))
    monkeypatch.setattr(doctor, "_DEFAULT_PORT", server.port)
    status, steps = examine("--server-url", server.url)
    assert status == 1
    assert failed_at(steps) == "Xinference"
    assert "is not Xinference" in steps["Xinference"]["detail"]


@pytest.mark.fault_server
@pytest.mark.parametrize("does", [Do.STALL, Do.RESET], ids=["hangs", "restarts"])
def test_a_server_that_hangs_or_restarts_is_not_called_another_service(server, monkeypatch, does):
    server.on("/v1/cluster/auth", (does,))
    monkeypatch.setattr(doctor, "Reach", lambda: network_checks.Reach(says_auth=lambda _: True))
    _, steps = examine("--server-url", server.url, "--timeout", "0.5")
    assert failed_at(steps) == "Xinference"
    step = steps["Xinference"]
    assert "is not Xinference" not in step["detail"]
    assert "port is wrong" not in str(step)


@pytest.mark.fault_server
def test_a_service_that_answers_everything_is_no_xinference_either(server, monkeypatch):
    says(server, "/v1/cluster/auth", {"hello": "world"})
    monkeypatch.setattr(doctor, "_DEFAULT_PORT", server.port)
    _, steps = examine("--server-url", server.url)
    assert failed_at(steps) == "Xinference"


@pytest.mark.fault_server
def test_a_redirect_is_named_with_its_target(server):
    server.on("/v1/cluster/auth", http(307, b"", location="https://elsewhere.example/v1/cluster/auth"))
    _, steps = examine("--server-url", server.url)
    assert failed_at(steps) == "Xinference"
    assert "https://elsewhere.example" in steps["Xinference"]["detail"]


@pytest.mark.fault_server
def test_through_a_proxy_its_password_is_not_shown_and_the_port_is_not_knocked_at(server, monkeypatch):
    monkeypatch.setenv("XINFERENCE_PROXY", f"http://me:hush@127.0.0.1:{server.port}")
    says(server, "http://far.example:9997/v1/cluster/auth", {"auth": False})
    ran = run("doctor", "--json", "--server-url", "http://far.example:9997")
    steps = steps_of(ran)
    assert steps["host"]["status"] == steps["port"]["status"] == "skipped"
    assert f"127.0.0.1:{server.port}" in steps["host"]["detail"]
    assert "hush" not in ran.out + ran.err


# The credential


@pytest.mark.fault_server
def test_a_wrong_key_is_sent_once(server):
    xinference(server, auth=True)
    says(server, "/v1/models", REFUSED, status=401)
    _, steps = examine("--server-url", server.url, "--api-key", "xf-wrong")
    assert failed_at(steps) == "credential"
    sent = [request for request in server.requests if "authorization" in request.headers]
    assert [request.path for request in sent] == ["/v1/models"]


@pytest.mark.fault_server
def test_a_wrong_password_is_sent_once(server):
    xinference(server, auth=True)
    says(server, "/token", REFUSED, status=401)
    _, steps = examine("--server-url", server.url, "--username", "ada", "--password", "hush-hush")
    assert failed_at(steps) == "credential"
    assert "user 'ada' with the password from the option --password" in steps["credential"]["detail"]
    assert len(server.seen("/token")) == 1


@pytest.mark.fault_server
def test_a_missing_credential_costs_no_failure(server):
    xinference(server, auth=True)
    _, steps = examine("--server-url", server.url)
    assert failed_at(steps) == "authentication"
    assert [request.path for request in server.requests] == ["/v1/cluster/auth", "/status"]


@pytest.mark.fault_server
def test_a_ban_is_not_taken_for_a_wrong_key(server):
    xinference(server, auth=True)
    says(server, "/v1/models", BANNED, status=429)
    _, steps = examine("--server-url", server.url, "--api-key", "xf-right")
    assert failed_at(steps) == "credential"
    assert steps["credential"]["facts"]["error"] == "XinferenceBannedError"
    assert "an hour" in steps["credential"]["next_step"]


@pytest.mark.fault_server
def test_a_key_that_may_not_list_models_still_tries_the_one_that_is_named(server):
    xinference(server, auth=True)
    says(server, "/v1/models", {"detail": "Not enough permissions"}, status=403)
    says(server, "/v1/models/mine", model("mine", "embedding"))
    says(server, "/v1/embeddings", {"data": [{"index": 0, "embedding": [0.1, 0.2]}]})
    status, steps = examine("--server-url", server.url, "--api-key", "xf-narrow", "--model", "mine")
    assert status == 0
    assert "may not list" in steps["credential"]["detail"]
    assert "2 dimensions" in steps["answer"]["detail"]


# Models


@pytest.mark.fault_server
def test_a_server_without_models_is_told_how_to_launch_one(server):
    _, steps = examine("--server-url", xinference(server).url)
    assert failed_at(steps) == "models running"
    assert f"xinference launch -e {server.url}" in steps["models running"]["next_step"]


@pytest.mark.fault_server
def test_without_a_named_model_the_first_that_can_chat_is_tried(server):
    chat = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "p"}, "finish_reason": "length"}]}
    says(xinference(server, model("e", "embedding"), model("c")), "/v1/chat/completions", chat)
    status, steps = examine("--server-url", server.url)
    assert status == 0
    assert steps["model"]["facts"]["uid"] == "c"
    assert json.loads(server.seen("/v1/chat/completions")[0].body)["max_tokens"] == 1


@pytest.mark.fault_server
def test_a_model_that_this_package_cannot_call_is_named(server):
    _, steps = examine("--server-url", xinference(server, model("film", "video")).url)
    assert failed_at(steps) == "type and engine"
    assert "type video" in steps["type and engine"]["detail"]


@pytest.mark.fault_server
@pytest.mark.parametrize(
    ("path", "answer", "words", "sent"),
    [
        ("/v1/audio/transcriptions", {"text": ""}, "a second of silence transcribed", b"WAVEfmt "),
        (
            "/v1/images/generations",
            {"created": 1, "data": [{"b64_json": "iVBORw0KGgo="}]},
            "one image of 256x256 generated",
            b"num_inference_steps",
        ),
    ],
)
def test_audio_and_image_models_get_the_smallest_request(server, path, answer, words, sent):
    kind, ability = ("audio", "audio2text") if "audio" in path else ("image", "text2image")
    says(xinference(server, model("m", kind, model_ability=[ability])), path, answer)
    status, steps = examine("--server-url", server.url)
    assert status == 0, steps
    assert words in steps["answer"]["detail"]
    assert sent in server.seen(path)[0].body


@pytest.mark.fault_server
def test_a_model_that_does_not_answer_is_told_in_the_server_s_words(server):
    xinference(server, model("e", "embedding"))
    says(server, "/v1/embeddings", {"detail": "CUDA out of memory"}, status=500)
    status, steps = examine("--server-url", server.url)
    assert status == 1
    assert failed_at(steps) == "answer"
    assert "CUDA out of memory" in steps["answer"]["detail"]


@pytest.mark.fault_server
@pytest.mark.parametrize(
    ("engine", "abilities", "facts", "status"),
    [
        (
            "llama.cpp",
            ["chat", "tools"],
            {"structured_output": True, "forced_tools": True, "streamed_tools": True},
            "ok",
        ),
        ("transformers", ["chat", "tools"], {"structured_output": False, "forced_tools": False}, "warning"),
        (
            "vLLM",
            ["chat", "tools"],
            {"structured_output": True, "forced_tools": True, "streamed_tools": True},
            "ok",
        ),
        ("vLLM", ["chat"], {"structured_output": True, "forced_tools": False, "streamed_tools": False}, "ok"),
        ("llama.cpp", ["chat", "reasoning"], {"reasoning": "yes"}, "ok"),
        ("llama.cpp", ["chat", "reasoning", "hybrid"], {"reasoning": "yes, can be turned off"}, "ok"),
        ("MLX", ["chat"], {"structured_output": False, "reasoning": "no"}, "warning"),
    ],
)
def test_it_tells_what_the_engine_enforces(server, engine, abilities, facts, status):
    xinference(server, model("m", model_engine=engine, model_ability=abilities))
    _, steps = examine("--server-url", server.url)
    assert steps["enforced"]["status"] == status
    assert steps["enforced"]["facts"].items() >= facts.items()


# The report for people


@pytest.mark.fault_server
def test_a_person_sees_a_mark_a_step_the_next_step_and_the_rest_in_one_line(server):
    ran = run("doctor", "--server-url", xinference(server, auth=True).url)
    lines = ran.out.splitlines()
    assert ran.status == 1
    assert [line[0] for line in lines[:5]] == ["✓", "✓", "✓", "✓", "✗"]
    assert lines[5].strip().startswith("→ Set XINFERENCE_API_KEY")
    assert lines[6].startswith("· skipped          credential, server version")
    assert lines[-1] == "Problem found: authentication (see above)."
    assert not any(line.endswith(" ") for line in lines)


@pytest.mark.fault_server
def test_where_the_url_came_from_is_told(server, monkeypatch, tmp_path):
    xinference(server)
    (tmp_path / ".env").write_text(f"XINFERENCE_ENDPOINT={server.url}\n")
    assert "from the file .env" in examine()[1]["URL"]["detail"]
    monkeypatch.setenv("XINFERENCE_SERVER_URL", server.url)
    assert "from the variable XINFERENCE_SERVER_URL" in examine()[1]["URL"]["detail"]
    assert "from the option --server-url" in examine("--endpoint", server.url)[1]["URL"]["detail"]
