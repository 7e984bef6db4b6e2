"""`speak`: a text is spoken into an audio file."""

from __future__ import annotations

import orjson
import pytest

from tests.cli.tools import model, run, run_apart, to_lab, xinference
from tests.support.fault_proxy import http

SPEECH = "/v1/audio/speech"


@pytest.fixture
def speaker(server):
    """A server with one text-to-speech model."""
    xinference(server, model("k", "audio", model_ability=["text2audio"]))
    server.on(SPEECH, http(200, b"RIFF-sound", kind="audio/wav"))
    return server


def asked(server):
    return [orjson.loads(seen.body) for seen in server.seen(SPEECH)]


@pytest.mark.server
@pytest.mark.parametrize(("name", "magic"), [("hello.wav", b"RIFF"), ("hello.flac", b"fLaC"), ("hello.mp3", b"")])
def test_a_text_is_spoken_in_the_format_that_the_file_names(lab, tmp_path, name, magic):
    ran = run("speak", *to_lab(lab), "Hello.", "--out", tmp_path / name, "--voice", "af_heart")
    assert (ran.status, ran.out, ran.err) == (0, "", "")
    data = (tmp_path / name).read_bytes()
    assert data.startswith(magic)
    assert len(data) > 100


@pytest.mark.fault_server
def test_text_is_piped_in_and_sound_piped_out(speaker):
    ran = run("speak", "-e", speaker.url, "-", "-o", "-", "--speed", "1.5", piped="Once upon a time\n")
    assert (ran.status, ran.out) == (0, "RIFF-sound")
    [body] = asked(speaker)
    assert (body["input"].strip(), body["speed"], body["response_format"]) == ("Once upon a time", 1.5, "mp3")


@pytest.mark.fault_server
def test_a_file_is_not_written_over_unasked(speaker, tmp_path):
    path = tmp_path / "a.mp3"
    path.write_bytes(b"years of work")
    ran = run("speak", "-e", speaker.url, "Hi", "-o", path)
    assert ran.status == 2
    assert "exists: pass another name, or --overwrite" in ran.err
    assert asked(speaker) == []
    assert run("speak", "-e", speaker.url, "Hi", "-o", path, "--overwrite").status == 0
    assert path.read_bytes() == b"RIFF-sound"


@pytest.mark.fault_server
@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["Hi", "-o", "a.txt"], 2, "'txt' is not an audio format; it must be one of mp3, wav"),
        (["  ", "-o", "a.mp3"], 2, "TEXT is empty"),
        (["-", "-o", "a.mp3"], 2, "TEXT is empty"),
        (["Hi", "-o", "no/such/a.mp3"], 2, "there is no folder no/such"),
        (["Hi", "-o", "."], 2, "is a folder"),
        (["Hi", "-o", "a.mp3", "--speed", "0"], 2, "--speed must be more than 0"),
        (["Hi", "-o", "a.mp3", "--format", "midi"], 1, "midi"),
        (["Hi"], 2, "--out"),
    ],
)
def test_what_cannot_be_meant_is_named_and_nothing_is_sent(speaker, arguments, status, words):
    ran = run("speak", "-e", speaker.url, *arguments)
    assert ran.status == status
    assert words in " ".join(ran.err.split())
    assert asked(speaker) == []


@pytest.mark.slow
@pytest.mark.fault_server
def test_a_process_of_its_own_writes_bytes(speaker, tmp_path):
    ran = run_apart("speak", "-e", speaker.url, "Hi", "--out", "-")
    assert (ran.status, ran.out) == (0, "RIFF-sound")
