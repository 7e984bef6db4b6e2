"""Every error response of the server becomes the matching error with a helpful message."""

from __future__ import annotations

import pickle
import re

import orjson
import pytest

from tests.core.asks import body_of, recorded
from xinference_bridge import errors as e
from xinference_bridge.protocol import error_responses
from xinference_bridge.protocol.connection_errors import (
    cannot_connect,
    cut_short,
    hung_up,
    not_http,
    tls_failed,
)
from xinference_bridge.protocol.http import Request, Response

URL = "http://host:9997/v1/chat/completions"
CHAT = Request("POST", "/v1/chat/completions", {}, model_uid="m", ability="chat")


def error(status: int, body: bytes | str, **headers: str) -> e.XinferenceError:
    content = body.encode() if isinstance(body, str) else body
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return error_responses.error_from_response(CHAT, Response(status, content, named, URL, "the-id"))


def detail(text: str) -> str:
    return f'{{"detail":"{text}"}}'


TABLE: dict[str, tuple[int, bytes | str, type[e.XinferenceError]]] = {
    "describe an unknown model": (400, body_of(recorded("describe_unknown")), e.XinferenceModelNotFoundError),
    "use an unknown model": (404, body_of(recorded("unknown_model")), e.XinferenceModelNotFoundError),
    "again within 10 s": (404, detail("Model not found (cached, retry after 8.1s)"), e.XinferenceModelNotFoundError),
    "a path": (404, detail("Not Found"), e.XinferenceBadRequestError),
    "no credential": (401, body_of(recorded("no_credential")), e.XinferenceAuthenticationError),
    "a scope": (403, body_of(recorded("forbidden")), e.XinferencePermissionError),
    "forbidden in plain text": (403, "IP not allowed", e.XinferencePermissionError),
    "a form field": (422, body_of(recorded("missing_form_field")), e.XinferenceBadRequestError),
    "a ban": (429, detail("Too many failed attempts"), e.XinferenceBannedError),
    "load": (429, detail("Rate limit reached"), e.XinferenceRateLimitError),
    "load in other words": (429, "slow down", e.XinferenceRateLimitError),
    "validation": (500, body_of(recorded("missing_field")), e.XinferenceBadRequestError),
    "broken JSON": (500, body_of(recorded("broken_json")), e.XinferenceServerError),
    "opaque": (500, body_of(recorded("chat_of_an_embedding_model")), e.XinferenceServerError),
    "wrong type inside": (500, body_of(recorded("embeddings_of_a_reranker")), e.XinferenceServerError),
    "Python's own words": (500, detail("unsupported operand type(s) for +"), e.XinferenceServerError),
    "no tools": (400, detail("Only ['qwen'] support tool calls"), e.XinferenceUnsupportedError),
    "no streamed tools": (  # 1.17.1
        400,
        detail("Streaming support for tool calls is available only when using Qwen models with vLLM backend"),
        e.XinferenceUnsupportedError,
    ),
    "not for this engine": (501, detail("Not implemented"), e.XinferenceUnsupportedError),
    "too long": (400, detail("This model's maximum context length is 4096 tokens"), e.XinferenceContextOverflowError),
    "too long inside": (
        500,
        detail("the request exceeds the available context size"),
        e.XinferenceContextOverflowError,
    ),
    "loading": (503, detail("Model is loading"), e.XinferenceModelLoadingError),
    "overload": (503, '{"error":{"message":"no replica","code":503}}', e.XinferenceServerError),
    # A cluster whose worker was killed, 4.1.0: the first request after it, and one before the supervisor noticed it.
    "a replica dies": (
        500,
        detail("[address=127.0.0.1:17803, pid=4597] Remote server 127.0.0.1:51506 closed: Server may be closed"),
        e.XinferenceServerError,
    ),
    "a replica is dead": (
        500,
        detail("[address=127.0.0.1:17803, pid=4597] [Errno 111] Connect call failed ('127.0.0.1', 51506)"),
        e.XinferenceServerError,
    ),
    "a proxy": (502, "<html><title>Bad Gateway</title></html>", e.XinferenceServerError),
    "too large for a proxy": (413, "<html><h1>413 Request Entity Too Large</h1></html>", e.XinferenceBadRequestError),
    "a redirect": (307, "", e.XinferenceConfigurationError),
    "teapot": (418, "", e.XinferenceBadRequestError),
    "unknown 5xx": (520, "", e.XinferenceServerError),
}
PASSING = {"load", "load in other words", "loading", "overload", "a replica dies", "a replica is dead", "a proxy"}


@pytest.mark.parametrize("case", TABLE)
def test_each_answer_has_its_error(case: str):
    status, body, kind = TABLE[case]
    found = error(status, body, location="https://elsewhere.example/")
    assert type(found) is kind
    assert (found.status_code, found.url) == (status, URL)
    assert found.retryable is (case in PASSING)
    twin = pickle.loads(pickle.dumps(found))
    assert (type(twin), vars(twin), str(twin)) == (type(found), vars(found), str(found))


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, detail("Could not validate credentials"), "XINFERENCE_API_KEY"),
        (403, detail("no scope"), "administrator"),
        (404, detail("Not Found"), "server_url may need a path"),
        (429, detail("Too many failed attempts"), "correct the credential first"),
        (429, detail("Rate limit"), "max_concurrency="),
        (503, detail("Model is loading"), "wait_until_ready"),
        (500, detail("it broke"), "request id the-id"),
        (500, detail("[Errno 111] Connect call failed"), "GET /status lists the remaining workers"),
        (400, detail("maximum context length"), "larger context"),
        (307, "", "use it as server_url"),
    ],
)
def test_each_error_says_the_next_step(status: int, body: str, words: str):
    assert words in error(status, body).message


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"detail":"plain"}', "plain"),
        (b'{"detail":[{"loc":["body","model"],"msg":"field required"}]}', "body.model: field required"),
        (b'{"detail":["a","b"]}', "a; b"),
        (b'{"error":"text"}', "text"),
        (b'{"error":{"message":"inner","type":"x"}}', "inner"),
        (b'{"error":{"code":3}}', '{"code":3}'),
        (b'{"message":"text"}', "text"),
        (b"Internal Server Error: boom", "Internal Server Error: boom"),
        (
            b"<html><head><title>T</title></head><body><h1>502 Bad Gateway</h1>nginx</body></html>",
            "502 Bad Gateway nginx",
        ),
        (
            b"<html><head><title>Xinference</title></head><body><script>x()</script></body></html>",
            "a page titled 'Xinference'",
        ),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"", ""),
        (b"null", "null"),
    ],
)
def test_the_servers_words_are_found_in_every_kind_of_body(body: bytes, said: str):
    assert error_responses.what_the_server_said(body) == said


def test_a_long_body_is_quoted_in_part():
    assert len(error_responses.what_the_server_said(b"x" * 100_000)) < 1000
    assert len(error_responses.what_the_server_said(b"<p>" + b"x " * 100_000)) < 1000


def test_retry_after_is_read_and_an_odd_one_is_none():
    assert error(503, "", retry_after="30").retry_after == 30
    assert error(503, "", retry_after="Wed, 21 Oct 2026 07:28:00 GMT").retry_after is None


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ({"error": "The chat completion request failed. Check the server logs for details."}, e.XinferenceServerError),
        ({"error": "Requested tokens exceed context window of 4096"}, e.XinferenceContextOverflowError),
        ({"error": "Rate limit reached"}, e.XinferenceRateLimitError),
        ({"error": {"message": "boom"}}, e.XinferenceServerError),
    ],
)
def test_an_error_event_has_the_error_of_an_answer_but_no_status(event: dict[str, object], kind: type):
    found = error_responses.error_from_event(CHAT, event, url=URL, request_id="the-id")
    assert type(found) is kind
    assert found.status_code is None
    assert "500" not in found.message


# Nothing listens


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_in_a_container_loopback_is_explained(host: str):
    message = cannot_connect(f"http://{host}:9998/v1/models", "Connection refused", in_container=True).message
    for words in (f"http://{host}:9998", "host.docker.internal:9998", "-p 9998:9998", "-H 0.0.0.0"):
        assert words in message


def test_in_a_container_another_host_is_not_lectured_about():
    message = cannot_connect("http://gpu.example:9997/v1/models", "refused", in_container=True).message
    assert "docker" not in message


def test_outside_a_container_the_command_that_starts_a_server_is_named():
    message = cannot_connect("http://127.0.0.1:9997/v1/models", "refused", in_container=False).message
    assert "xinference-local -H 0.0.0.0 -p 9997" in message
    assert "docker" not in message


@pytest.mark.parametrize(
    "said", ["it broke", "it broke.", "it broke...", "it broke!", "Did it break?", "", ". ", "(it broke.)"]
)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 429, 500, 501, 503])
def test_a_message_ends_once(status: int, said: str):
    words = {404: "Model not found ", 503: "Model is loading "}.get(status, "")
    for made in (
        error(status, orjson.dumps({"detail": words + said})),
        error(status, orjson.dumps({"detail": said})),
        cannot_connect(URL, said, in_container=False),
        hung_up(URL, said),
        cut_short(URL, said),
        not_http(URL, said),
        tls_failed(URL, said),
    ):
        assert not re.search(r"[.!?;,:]\s*[.;,](?!\w)|\.\)\.", made.message), made.message
        assert made.message[-1] in ".?!)"


@pytest.mark.parametrize(("message", "ended"), [("It broke", "It broke."), ("It broke.", "It broke."), ("So?", "So?")])
def test_a_note_follows_a_sentence_that_has_ended(message: str, ended: str):
    assert e.XinferenceError(message).with_note("More.").message == f"{ended} More."


# The tree


def tree() -> list[type[e.XinferenceError]]:
    return [kind for kind in vars(e).values() if isinstance(kind, type) and issubclass(kind, e.XinferenceError)]


@pytest.mark.parametrize("kind", tree())
def test_every_error_survives_pickling_with_all_it_carries(kind: type[e.XinferenceError]):
    original = kind(
        "words", url=URL, model_uid="m", status_code=418, request_id="id", body="said", retryable=True, retry_after=3
    )
    if isinstance(original, e.XinferenceStreamError):
        original.partial_text = "so far"
    twin = pickle.loads(pickle.dumps(original))
    assert type(twin) is kind
    assert vars(twin) == vars(original)
    assert str(twin) == "words"


def test_the_picture_at_the_top_of_the_file_names_every_error():
    assert e.__doc__ is not None
    assert [kind.__name__ for kind in tree() if kind.__name__ not in e.__doc__] == []


def test_fill_keeps_known_values():
    error = e.XinferenceServerError("words", url="known")
    error.fill(url="other", model_uid="m", request_id="id")
    assert (error.url, error.model_uid, error.request_id) == ("known", "m", "id")
