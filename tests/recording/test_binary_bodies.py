"""Audio, images and forms with files: recorded in a readable form, and matched by their content."""

from __future__ import annotations

import base64
import hashlib
import io
import json

import aiohttp
import pytest
import requests
from vcr.errors import CannotOverwriteExistingCassetteException

from tests.recording.tools import KEY, replaying
from tests.support.lab import REPLAY
from xinference_bridge.testing import findings, open_recording
from xinference_bridge.testing.bodies import form_as_json
from xinference_bridge.testing.readable_yaml import ReadableYaml

HEAR = "/v1/audio/transcriptions"
SPEAK = "/v1/audio/speech"
SHORT = b"RIFF\x00\xff\r\n--\r\n\r\n"
"""A file that looks like the end of a form."""
# Put together here, so that no file of the repository looks as if it named a machine.
SLASH = "/"
LONG = bytes(range(256)) * 40


def upload(url, file=SHORT, *, name="a.wav", language="en"):
    form = {"model": "whisper", "language": language, "kwargs": '{"beams": 1}'}
    return requests.post(url + HEAR, data=form, files={"file": (name, file, "audio/wav")}, timeout=10)


def encoded(boundary, *fields):
    parts = [
        b"--%s\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n" % (boundary, head, text) for head, text in fields
    ]
    return b"".join(parts) + b"--%s--\r\n" % boundary


def sent_body(tape):
    return json.loads(ReadableYaml.deserialize(tape.read_text())["interactions"][0]["request"]["body"])


@pytest.mark.fault_server
def test_a_form_is_written_as_its_fields_and_matches_whatever_its_boundary(record, server, tape):
    record(upload, server.url)
    assert sent_body(tape) == {
        "form": [
            {"name": "file", "filename": "a.wav", "type": "audio/wav", "base64": base64.b64encode(SHORT).decode()},
            {"name": "kwargs", "value": {"beams": 1}},
            {"name": "language", "value": "en"},
            {"name": "model", "value": "whisper"},
        ]
    }
    assert "boundary" not in tape.read_text()
    with replaying(tape) as recording:
        assert upload(REPLAY.url).ok
    assert not recording.unplayed


@pytest.mark.fault_server
def test_a_long_file_is_named_by_its_length_and_digest(record, server, tape):
    record(upload, server.url, LONG)
    file = sent_body(tape)["form"][0]
    assert (file["bytes"], file["sha256"]) == (len(LONG), hashlib.sha256(LONG).hexdigest())


@pytest.mark.fault_server
@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"file": SHORT + b"."}, "base64"),
        ({"file": LONG[:-1]}, "sha256"),
        ({"language": "fr"}, '"fr"'),
        ({"name": "b.wav"}, "b.wav"),
    ],
)
def test_another_file_or_field_finds_no_answer_and_the_error_shows_which(record, server, tape, changed, told):
    record(upload, server.url)
    with (
        replaying(tape) as recording,
        pytest.raises(CannotOverwriteExistingCassetteException, match=rf"(?s)\+\+\+ sent.*\n\+[^\n]*{told}"),
    ):
        upload(REPLAY.url, **changed)
    assert recording.missed[0].startswith(f'POST {HEAR} {{ "form": [')


@pytest.mark.fault_server
@pytest.mark.parametrize("read", [io.BytesIO, lambda body: iter([body[:50], body[50:]])], ids=["file", "iterator"])
def test_an_upload_read_from_disk_matches_one_sent_whole(record, server, tape, read):
    body = encoded(b"xyz", (b'name="model"', b"whisper"), (b'name="file"; filename="a.wav"', LONG))

    def post(url, data):
        headers = {"Content-Type": "multipart/form-data; boundary=xyz"}
        return requests.post(url + HEAR, data=data, headers=headers, timeout=10)

    record(post, server.url, read(body))
    assert server.seen[0][2] == body
    for data in (body, read(body)):
        with replaying(tape):
            assert post(REPLAY.url, data).ok


@pytest.mark.fault_server
@pytest.mark.parametrize("kind", ["form", "fields", "writer", "generator"])
async def test_an_upload_by_aiohttp_is_written_as_one_by_requests(record, server, tape, lab_of, kind):
    def data():
        if kind == "fields":
            return {"file": io.BytesIO(LONG), "model": "whisper"}
        form = aiohttp.FormData()
        form.add_field("model", "whisper")
        form.add_field("file", io.BytesIO(LONG), filename="a.wav")
        return form() if kind == "writer" else form

    async def generated():
        body = encoded(b"xyz", (b'name="file"; filename="a.wav"', LONG), (b'name="model"', b"whisper"))
        for start in range(0, len(body), 4096):
            yield body[start : start + 4096]

    async def post(url):
        headers = {"Content-Type": "multipart/form-data; boundary=xyz"} if kind == "generator" else None
        body = generated() if kind == "generator" else data()
        async with aiohttp.ClientSession() as session, session.post(url + HEAR, data=body, headers=headers) as response:
            return await response.json()

    with open_recording(tape, lab_of, record=True) as recording:
        answer = await post(server.url)
        recording.keep = True
    assert LONG in server.seen[0][2]
    with replaying(tape):
        assert await post(REPLAY.url) == answer or kind != "generator"  # each of the others draws a boundary
    form = sent_body(tape)["form"]
    assert [(field["name"], field.get("value"), field.get("sha256")) for field in form] == [
        ("file", None, hashlib.sha256(LONG).hexdigest()),
        ("model", "whisper", None),
    ]


@pytest.mark.fault_server
@pytest.mark.parametrize("answer", [LONG, b"\xff", b"ID3\x04\x00" + LONG], ids=["bytes", "one", "mp3"])
async def test_sound_is_written_as_base64_and_played_byte_for_byte(record, server, tape, answer):
    server.answers[SPEAK] = ("audio/mpeg", answer)

    def speak(url):
        with requests.post(url + SPEAK, json={"input": "Hello"}, stream=True, timeout=10) as response:
            return b"".join(response.iter_content(7)), response.headers["content-length"]

    assert record(speak, server.url) == (answer, str(len(answer)))
    assert "base64:" in tape.read_text()
    assert findings(tape.read_text()) == []
    with replaying(tape):
        assert speak(REPLAY.url) == (answer, str(len(answer)))
    with replaying(tape):
        async with (
            aiohttp.ClientSession() as session,
            session.post(REPLAY.url + SPEAK, json={"input": "Hello"}) as response,
        ):
            assert b"".join([piece async for piece in response.content.iter_chunked(7)]) == answer


@pytest.mark.fault_server
def test_bytes_that_are_no_form_match_by_their_content(record, server, tape):
    def post(url, body):
        return requests.post(url + HEAR, data=body, timeout=10)

    record(post, server.url, LONG)
    with replaying(tape):
        assert post(REPLAY.url, LONG).ok
    with replaying(tape), pytest.raises(CannotOverwriteExistingCassetteException, match="sha256"):
        post(REPLAY.url, LONG[1:])


@pytest.mark.fault_server
def test_a_form_is_written_without_secrets_and_paths(record, server, tape):
    path = f"{SLASH}home{SLASH}ada{SLASH}a.wav"
    record(lambda: upload(server.url, name=path, language=KEY))
    assert findings(tape.read_text()) == []
    fields = {field["name"]: field for field in sent_body(tape)["form"]}
    assert (fields["file"]["filename"], fields["language"]["value"]) == ("/lab/a.wav", REPLAY.api_key)


@pytest.mark.parametrize("body", [b"", b"no form", b"--xyz\r\n\r\nfirst", b"--other\r\n\r\n\r\n--other--"])
def test_a_form_that_is_cut_or_has_another_boundary_is_refused(body):
    with pytest.raises(ValueError, match="without its boundary, or cut short"):
        form_as_json("multipart/form-data; boundary=xyz", body, str)
