"""Which recorded response a request gets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import requests
from vcr.errors import CannotOverwriteExistingCassetteException

from tests.recording.tools import CHAT, post, replaying
from tests.support.lab import REPLAY
from xinference_bridge.testing.names import cassette_path
from xinference_bridge.testing.readable_yaml import ReadableYaml


@pytest.mark.fault_server
@pytest.mark.parametrize(
    "changed",
    [
        {"model": "m", "temperature": 1},  # one value
        {"model": "m"},  # one value less
        {"model": "m", "temperature": 0, "n": 1},  # one value more
        {"model": "m", "temperature": False},  # equal in Python, not in JSON
    ],
)
def test_a_changed_body_finds_no_answer_and_the_error_shows_what_changed(record, server, tape, changed):
    record(post, server.url, {"model": "m", "temperature": 0})
    with (
        replaying(tape) as recording,
        pytest.raises(CannotOverwriteExistingCassetteException, match=r"(?s)\+\+\+ sent.*\n[+-] "),
    ):
        post(REPLAY.url, changed)
    assert recording.missed
    assert len(recording.unplayed) == 1


@pytest.mark.fault_server
def test_a_body_matches_in_any_order_of_its_keys_with_any_request_id_on_any_port(record, server, tape):
    record(post, server.url, {"model": "m", "temperature": 0, "request_id": "11111111-aaaa"})
    with replaying(tape) as recording:
        post("http://127.0.0.1:9998", {"request_id": "22222222-bbbb", "temperature": 0, "model": "m"})
    assert not recording.unplayed
    sent = ReadableYaml.deserialize(tape.read_text())["interactions"][0]["request"]["body"]
    assert json.loads(sent)["request_id"] == "request-id"


@pytest.mark.fault_server
def test_aborting_matches_whatever_the_request_id(record, server, tape):
    path = "{}/v1/models/m/requests/{}/abort"
    record(lambda: requests.post(path.format(server.url, "1111-aaaa"), timeout=10))
    with replaying(tape):
        assert requests.post(path.format(REPLAY.url, "2222-bbbb"), timeout=10).ok


@pytest.mark.fault_server
@pytest.mark.parametrize("other", ["/v1/models/b?x=1", "/v1/models/a?x=2", "/v1/models/a"])
def test_another_path_or_query_finds_no_answer(record, server, tape, other):
    record(lambda: requests.get(server.url + "/v1/models/a?x=1", timeout=10))
    with replaying(tape), pytest.raises(CannotOverwriteExistingCassetteException):
        requests.get(REPLAY.url + other, timeout=10)


@pytest.mark.fault_server
def test_the_same_request_sent_twice_plays_in_order_and_a_third_time_fails(record, server, tape):
    def ask_twice():
        for answer in ("first", "second"):
            server.answers[CHAT] = ("text/plain", answer.encode())
            post(server.url, {"q": 1})

    record(ask_twice)
    with replaying(tape):
        assert [post(REPLAY.url, {"q": 1}).text for _ in range(2)] == ["first", "second"]
        with pytest.raises(CannotOverwriteExistingCassetteException, match="already been consumed"):
            post(REPLAY.url, {"q": 1})


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("test_plain", "core/test_m/test_plain.yaml"),
        ("test_p[a/b c?-1.5]", "core/test_m/test_p-a-b-c-1.5.yaml"),
        ("TestChat::test_stream", "core/test_m/TestChat.test_stream.yaml"),
    ],
)
def test_a_recording_is_named_after_its_test(name, file):
    assert cassette_path(Path("cassettes"), Path("core/test_m.py"), name) == Path("cassettes") / file
