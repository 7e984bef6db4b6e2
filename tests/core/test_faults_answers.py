"""Error responses and unexpected responses, for every kind of call, sync and async.

Bodies are those of a Xinference 4.1.0 (`recorded`), or of what stands in front of one.
"""

from __future__ import annotations

import pytest

from tests.core.asks import ASKS, MODES, PATHS, ask, check_good, connection_to, good, head_of, recorded
from tests.support.fault_proxy import CLOSE, FaultServer, http
from xinference_bridge import (
    XinferenceAuthenticationError,
    XinferenceBadRequestError,
    XinferenceBannedError,
    XinferenceConfigurationError,
    XinferenceConnectionError,
    XinferenceModelLoadingError,
    XinferencePermissionError,
    XinferenceProtocolError,
    XinferenceRateLimitError,
    XinferenceServerError,
    XinferenceStreamError,
)

pytestmark = [
    pytest.mark.fault_server,
    pytest.mark.parametrize("mode", MODES),
    pytest.mark.parametrize("what", ASKS),
]
PROXY_PAGE = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1><hr>nginx</body></html>"
BAN = b'{"detail":"Too many failed attempts. Try again later."}'
RATE = b'{"detail":"Rate limit reached for requests per minute."}'

REFUSED = {
    "401": (recorded("no_credential"), XinferenceAuthenticationError, "requires a credential"),
    "403": (recorded("forbidden"), XinferencePermissionError, "API keys can only access"),
    "403 in plain text": (http(403, b"Forbidden", kind="text/plain"), XinferencePermissionError, "Forbidden"),
    "404 of a path": (http(404, b'{"detail":"Not Found"}'), XinferenceBadRequestError, "has this endpoint"),
    "405": (recorded("nowhere"), XinferenceBadRequestError, "has this endpoint"),
    "422": (recorded("missing_form_field"), XinferenceBadRequestError, "body.file: Field required"),
    "429 of a ban": (http(429, BAN), XinferenceBannedError, "has banned this IP address"),
    "500 of a missing field": (recorded("missing_field"), XinferenceBadRequestError, "field required"),
    "500 in plain text": (recorded("broken_json"), XinferenceServerError, "Expecting value"),
    "500 as JSON": (recorded("chat_of_an_embedding_model"), XinferenceServerError, "request id"),
    "307": (http(307, b"", location="https://elsewhere.example/v1"), XinferenceConfigurationError, "elsewhere.example"),
}
PASSING = {
    "429 of load": (http(429, RATE), XinferenceRateLimitError),
    "429 with Retry-After": (http(429, RATE, retry_after="0"), XinferenceRateLimitError),
    "502 of a proxy": (http(502, PROXY_PAGE, kind="text/html"), XinferenceServerError),
    "503 of load": (http(503, b'{"error":{"message":"overloaded","code":503}}'), XinferenceServerError),
    "503 while loading": (http(503, b'{"detail":"Model is loading"}', retry_after="0"), XinferenceModelLoadingError),
    "504": (http(504, PROXY_PAGE, kind="text/html"), XinferenceServerError),
}


@pytest.mark.slow
@pytest.mark.parametrize("refusal", REFUSED.values(), ids=REFUSED)
def test_permanent_errors_are_not_retried(server: FaultServer, mode: str, what: str, refusal):
    answer, kind, words = refusal
    server.on(PATHS[what], answer)
    with pytest.raises(kind, match=words) as caught:
        ask(mode, connection_to(server, max_retries=3), what)
    assert type(caught.value) is kind
    assert len(server.seen(PATHS[what])) == 1
    assert caught.value.status_code == int(answer[9:12])
    assert caught.value.url == server.url + PATHS[what]
    assert caught.value.model_uid in {"tiny-chat", "minilm", "tiny-rerank"}
    assert caught.value.request_id
    assert caught.value.body


@pytest.mark.slow
@pytest.mark.parametrize(("answer", "kind"), PASSING.values(), ids=PASSING)
def test_what_may_pass_is_tried_again(server: FaultServer, mode: str, what: str, answer, kind):
    server.on(PATHS[what], answer)
    with pytest.raises(kind) as caught:
        ask(mode, connection_to(server), what)
    assert type(caught.value) is kind
    assert caught.value.status_code == int(answer[9:12])
    server.requests.clear()
    server.on(PATHS[what], answer, good(what))
    check_good(what, ask(mode, connection_to(server, max_retries=1), what))
    first, second = server.seen(PATHS[what])
    assert first.body == second.body
    assert first.headers["x-request-id"] == second.headers["x-request-id"]


NOT_AN_ANSWER = {
    "a login page": http(200, b"<html><title>Sign in</title>\n<body>Who are you?</body></html>", kind="text/html"),
    "nothing": http(200, b""),
    "half of a JSON": http(200, b'{"choices": [{"mess'),
    "another JSON": http(200, b'{"status": "ok"}'),
    "a list": http(200, b"[1, 2, 3]"),
    "null": http(200, b"null"),
    "a stream of something else": http(200, b"data: hello\r\n\r\n", kind="text/event-stream"),
    "a stream of lists": http(200, b"data: [1]\r\n\r\n", kind="text/event-stream"),
    "a stream of another shape": http(200, b'data: {"choices": 7}\r\n\r\n', kind="text/event-stream"),
}


@pytest.mark.slow
@pytest.mark.parametrize("answer", NOT_AN_ANSWER.values(), ids=NOT_AN_ANSWER)
def test_what_is_no_answer_is_a_protocol_error(server: FaultServer, mode: str, what: str, answer: bytes):
    server.on(PATHS[what], answer)
    with pytest.raises((XinferenceProtocolError, XinferenceStreamError)) as caught:
        ask(mode, connection_to(server, max_retries=3), what)
    assert len(server.seen(PATHS[what])) == 1
    assert caught.value.url == server.url + PATHS[what]
    assert caught.value.model_uid
    assert caught.value.request_id


def test_the_content_type_of_a_whole_answer_does_not_matter(server: FaultServer, mode: str, what: str):
    if what == "stream":
        pytest.skip("a stream's does: what follows it is read in another way")
    server.on(PATHS[what], good(what).replace(b"application/json", b"text/plain"))
    check_good(what, ask(mode, connection_to(server), what))


def test_an_answer_shorter_than_its_header_says_is_cut_short(server: FaultServer, mode: str, what: str):
    if what == "stream":
        pytest.skip("a stream has no length")
    body = good(what)[len(head_of(good(what))) :]
    server.on(PATHS[what], (http(200, body, length=len(body) + 1), CLOSE))
    with pytest.raises(XinferenceConnectionError, match="was truncated"):
        ask(mode, connection_to(server), what)
