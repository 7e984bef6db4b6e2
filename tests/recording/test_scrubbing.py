"""Recordings are readable, and contain no secrets and no traces of the recording machine."""

from __future__ import annotations

import base64
import json
import uuid
from email.utils import formatdate
from types import SimpleNamespace

import pytest
import requests

from tests.recording.tools import CHAT, KEY, jwt, post, replaying
from tests.support.lab import REPLAY, Lab
from xinference_bridge.testing import findings, open_recording
from xinference_bridge.testing.readable_yaml import ReadableYaml
from xinference_bridge.testing.scrub import RECORDED_AT, Scrubber

# Put together here, so that no file of the repository looks as if it named a machine.
SLASH = "/"
HOME = SLASH + "root" + SLASH


@pytest.mark.fault_server
def test_a_recorded_stream_can_be_read_line_by_line(record, server, tape):
    server.answers[CHAT] = ("text/event-stream", 'data: {"delta": "世界"}\r\n\r\ndata: [DONE]\r\n\r\n'.encode())
    record(post, server.url, {"messages": [{"role": "user", "content": "Grüß dich"}]})
    lines = [line.strip() for line in tape.read_text(encoding="utf-8").splitlines()]
    assert """- 'data: {"delta": "世界"}'""" in lines
    assert """body: '{"messages": [{"role": "user", "content": "Gr\\u00fc\\u00df dich"}]}'""" in lines


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\r\n",
        "a\r\nb\nc\rd\r\n\r\n",
        " lead",
        "trail ",
        "'\"\\",
        "- a: b #c",
        "\t\x00\x7f\x85\u2028\ufeff",
        "null",
        "2",
        "Grüße 世界 🎈",
    ],
)
def test_any_text_survives_being_written_and_read(text):
    cassette = {"version": 1, "interactions": [{"request": {"body": text}, "response": {"body": {"string": text}}}]}
    assert ReadableYaml.deserialize(ReadableYaml.serialize(cassette)) == cassette


@pytest.mark.fault_server
def test_of_the_headers_only_those_that_matter_are_kept(record, server, tape):
    record(lambda: post(server.url, {}, Authorization=f"Bearer {KEY}", Accept="application/json", Cookie="session=1"))
    interaction = ReadableYaml.deserialize(tape.read_text())["interactions"][0]
    assert interaction["request"]["headers"] == {"Content-Type": ["application/json"], "Accept": ["application/json"]}
    assert interaction["response"]["headers"] == {
        "content-length": ["18"],
        "content-type": ["application/json"],
        "date": ["Thu, 01 Jan 2026 00:00:00 GMT"],
        "server": ["uvicorn"],
        "x-request-id": ["request-id"],
    }


@pytest.mark.fault_server
def test_nothing_secret_and_nothing_of_the_machine_is_written(record, server, tape):
    token = jwt(1800)
    server.answers[CHAT] = (
        "application/json",
        json.dumps(
            {
                "model": f"{HOME}.cache/lab/0f3c/tiny-chat.gguf",
                "model_uri": f"file://{HOME}.cache/lab/minilm",
                "address": "127.0.0.1:41873",
                "worker": "192.168.7.12",
                "id": str(uuid.uuid1()),
                "detail": "[address=127.0.0.1:41873, pid=4711]",
                "endpoint": server.url,
                "echo": f"{KEY} and {token}",
            }
        ).encode(),
    )
    record(lambda: post(server.url, {"note": f"{KEY} {token}"}, Authorization=f"Bearer {KEY}"))
    written = tape.read_text()
    assert findings(written) == []
    for planted in (
        KEY,
        token,
        token.split(".")[1],
        "41873",
        "192.168.7",
        str(server.server_port),
        HOME,
        "session=1",
        "4711",
        f"{uuid.getnode():012x}",
    ):
        assert planted not in written
    with replaying(tape):
        answer = post(REPLAY.url, {"note": f"{REPLAY.api_key} {token}"}).json()
    # The quirk stays testable: a file's absolute path instead of the requested model's UID.
    assert answer["model"] == "/lab/tiny-chat.gguf"
    assert answer["model_uri"] == "file:///lab/minilm"
    assert answer["address"] == answer["endpoint"].removeprefix("http://") == "127.0.0.1:9997"


@pytest.mark.fault_server
def test_a_login_and_its_refresh_replay_with_placeholders_that_keep_the_tokens_lifetime(record, server, tape):
    def log_in(url, username, password):
        login = {"username": username, "password": password}
        first = requests.post(f"{url}/token", json=login, timeout=10)
        used = {"refresh_token": first.json()["refresh_token"]}
        return first, requests.post(f"{url}/v1/auth/refresh", json=used, timeout=10)

    access, refresh, newer = jwt(1800), "opaque" * 8, jwt(1800, "later")
    server.answers["/token"] = (
        "application/json",
        json.dumps({"access_token": access, "refresh_token": refresh}).encode(),
    )
    server.answers["/v1/auth/refresh"] = ("application/json", json.dumps({"access_token": newer}).encode())
    record(log_in, server.url, "ada", "correct horse")
    assert json.loads(server.seen[1][2]) == {"refresh_token": refresh}  # recording does not get in the way

    written = tape.read_text()
    assert findings(written) == []
    for secret in (access, newer, refresh, "ada", "correct horse"):
        assert secret not in written

    with replaying(tape) as recording:
        first, second = log_in(REPLAY.url, REPLAY.username, REPLAY.password)
    assert not recording.unplayed
    assert first.json()["access_token"] != second.json()["access_token"]
    payload = first.json()["access_token"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    assert claims["exp"] - RECORDED_AT.timestamp() == pytest.approx(1800, abs=2)
    assert first.headers["date"] == formatdate(RECORDED_AT.timestamp(), usegmt=True)


@pytest.mark.fault_server
def test_a_form_with_a_password_is_written_without_it(record, server, tape):
    form = {"username": "ada", "password": "correct horse"}
    record(lambda: requests.post(f"{server.url}/token", data=form, timeout=10))
    body = ReadableYaml.deserialize(tape.read_text())["interactions"][0]["request"]["body"]
    assert body == "username=lab-user&password=lab-password"


@pytest.mark.fault_server
def test_a_wrong_password_is_not_taken_for_the_right_one(record, server, tape):
    def log_in(url, password):
        return requests.post(f"{url}/token", json={"password": password}, timeout=10)

    record(lambda: [log_in(server.url, "correct horse"), log_in(server.url, "wrong")])
    with replaying(tape) as recording:
        log_in(REPLAY.url, "wrong")
    assert ["lab-password" in unplayed for unplayed in recording.unplayed] == [True]
    with replaying(tape):
        log_in(REPLAY.url, REPLAY.password)


def test_a_field_named_token_is_left_alone_where_it_is_a_word_of_an_answer():
    answer = {"headers": {}, "body": {"string": b'{"logprobs": [{"token": "Hello"}]}'}}
    scrubbed = Scrubber(REPLAY).response(SimpleNamespace(uri=REPLAY.url + CHAT), answer)
    assert scrubbed["body"]["string"] == b'{"logprobs": [{"token": "Hello"}]}'


@pytest.mark.parametrize(
    "planted",
    [
        "Authorization: [Bearer abc]",
        "      set-cookie:\n      - a=b",
        f'"{KEY}"',
        f"Bearer {'q' * 20}",
        pytest.param(jwt(60), id="a JWT"),
        f"{HOME}.cache",
        f"file://{HOME}model",
        f'"{SLASH}home{SLASH}ada"',
        f"'{SLASH}tmp{SLASH}x.gguf'",
        f"{SLASH}work{SLASH}lab",
        "10.0.3.17",
        "127.0.0.1:43111",
        "!!binary |",
    ],
)
def test_the_search_for_secrets_finds_what_is_planted(planted):
    assert findings(f"interactions:\n- body: x\n{planted}\n")


@pytest.mark.fault_server
def test_recording_anew_writes_the_same(record, server, tape):
    def log_in():
        server.answers["/token"] = ("application/json", json.dumps({"access_token": jwt(1800)}).encode())
        requests.post(f"{server.url}/token", json={"password": "wrong"}, timeout=10)

    record(log_in)
    before = tape.read_text()
    record(log_in)
    assert tape.read_text() == before


def _token(payload: bytes) -> str:
    """What looks like a token with this payload; put together here, like every secret."""
    return ".".join(["eyJ" + "hbGciOiJIUzI1NiIsInR5cCI6", base64.urlsafe_b64encode(payload).decode().rstrip("="), "x"])


@pytest.mark.fault_server
@pytest.mark.parametrize(
    "payload", [b"this is no payload", b"[1,2,3,4,5,6,7]", b'{"exp": "never", "x": 1}', b'{"exp": 1e999, "x": 1}']
)
def test_what_only_looks_like_a_token_becomes_a_plain_placeholder(record, server, tape, payload):
    record(post, server.url, {"prompt": f"Decode {_token(payload)}"})
    assert "Decode scrubbed-token-1" in tape.read_text()


@pytest.mark.fault_server
def test_a_password_with_quotes_and_backslashes_replays(server, tape):
    secret = 'corr"ect\\horse'
    lab = Lab(url=server.url, api_key=KEY, username="ada", password=secret, live=True)

    def log_in(url, password):
        requests.post(f"{url}/token", json={"password": password}, timeout=10)
        return post(url, {"prompt": f"My password is {password}"})

    with open_recording(tape, lab, record=True) as recording:
        log_in(server.url, secret)
        recording.keep = True
    assert "horse" not in tape.read_text()
    with replaying(tape) as recording:
        log_in(REPLAY.url, REPLAY.password)
    assert recording.unplayed == []
