"""`transcribe`: recordings as text, with the times of words, and as subtitles."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from tests.cli.tools import model, run, says, to_lab, without_colours, xinference
from xinference_bridge.cli.upload_progress import upload_progress

DATA = Path(__file__).parents[1] / "data"
ENGLISH, FRENCH = DATA / "capital_en.wav", DATA / "capital_fr.wav"
HEARD = "The capital of France is Paris."


@pytest.mark.server
def test_a_recording_is_written_down(lab):
    ran = run("transcribe", *to_lab(lab), ENGLISH)
    assert (ran.status, ran.out, ran.err) == (0, f"{HEARD}\n", "")


@pytest.mark.server
def test_another_language_is_translated(lab):
    ran = run("transcribe", *to_lab(lab), FRENCH, "--translate", "--model", "whisper")
    assert ran.status == 0
    assert "the capital of" in ran.out.lower()


@pytest.mark.server
def test_subtitles_have_times(lab):
    srt = run("transcribe", *to_lab(lab), ENGLISH, "--srt", "--language", "en").out
    assert srt.startswith("1\n00:00:00,000 --> 00:00:0")
    assert HEARD in srt
    assert run("transcribe", *to_lab(lab), ENGLISH, "--vtt", "--language", "en").out.startswith(
        "WEBVTT\n\n00:00:00.000"
    )


@pytest.mark.server
def test_words_have_times_in_columns(lab):
    rows = [line.split("\t") for line in run("transcribe", *to_lab(lab), ENGLISH, "--words").out.splitlines()]
    assert [row[2] for row in rows] == HEARD.split()
    assert all(float(start) <= float(end) for start, end, _ in rows)


#: What Whisper base on 4.1.0 answered for this recording.
VERBOSE = {
    "task": "transcribe",
    "language": "english",
    "duration": 2.0,
    "text": f" {HEARD}",
    "segments": [{"id": 0, "start": 0.0, "end": 2.0, "text": f" {HEARD}"}],
}


@pytest.fixture
def listener(server):
    """A server with one model, which returns the same transcript for every recording."""
    xinference(server, model("w", "audio", model_ability=["audio2text"]))
    return says(server, "/v1/audio/transcriptions", VERBOSE)


@pytest.mark.fault_server
def test_several_files_have_a_heading_each_or_a_file_each(listener, tmp_path):
    printed = run("transcribe", "-e", listener.url, ENGLISH, FRENCH).out
    assert printed == f"==> {ENGLISH} <==\n{HEARD}\n==> {FRENCH} <==\n{HEARD}\n"
    written = run("transcribe", "-e", listener.url, ENGLISH, FRENCH, "--vtt", "--out", tmp_path)
    assert written.out == f"{tmp_path / 'capital_en.vtt'}\n{tmp_path / 'capital_fr.vtt'}\n"
    assert HEARD in (tmp_path / "capital_fr.vtt").read_text()


@pytest.mark.fault_server
def test_json_is_for_machines(listener):
    [entry] = json.loads(run("transcribe", "-e", listener.url, ENGLISH, "--json").out)
    assert (entry["file"], entry["text"], entry["duration"]) == (str(ENGLISH), HEARD, 2.0)
    assert entry["segments"] == [{"start": 0.0, "end": 2.0, "text": HEARD}]


@pytest.mark.server
@pytest.mark.runs("whisper")
def test_a_model_that_does_not_hear_is_named_with_one_that_does(lab):
    ran = run("transcribe", *to_lab(lab), ENGLISH, "--model", "minilm")
    assert ran.status == 1
    assert "'minilm'" in ran.err
    assert "speech-to-text model" in ran.err
    assert "whisper" in ran.err


@pytest.mark.fault_server
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--srt", "--vtt"], "--srt and --vtt exclude each other"),
        ([ENGLISH, "--srt"], "several files need --out FOLDER"),
        ([ENGLISH, "--out", "all.txt"], "several files need --out FOLDER"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(listener, arguments, words):
    ran = run("transcribe", "-e", listener.url, ENGLISH, *arguments)
    assert ran.status == 2
    assert words in ran.err


@pytest.mark.fault_server
@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "is empty"), (b"hello there", "must be an audio file"), (None, "No such file or directory")],
)
def test_a_file_that_is_no_recording_is_named_and_not_sent(listener, tmp_path, content, words):
    path = tmp_path / "talk.wav"
    if content is not None:
        path.write_bytes(content)
    ran = run("transcribe", "-e", listener.url, path)
    assert ran.status == 1
    assert words in ran.err
    assert str(path) in ran.err
    assert not listener.seen("/v1/audio/transcriptions")


@pytest.mark.fault_server
def test_without_a_speech_to_text_model_it_says_so(server):
    ran = run("transcribe", "-e", xinference(server, model("c")).url, ENGLISH)
    assert ran.status == 1
    assert "no speech-to-text model is running at" in ran.err


@pytest.mark.fault_server
def test_what_was_said_cannot_steer_the_terminal(listener):
    says(listener, "/v1/audio/transcriptions", {"text": "a\x1b[2Jb"})
    assert "\x1b" not in run("transcribe", "-e", listener.url, ENGLISH).out


def test_progress_is_shown_to_a_person_alone():
    with upload_progress("talk.wav") as show:
        assert show is None


def test_a_person_sees_how_far_a_long_upload_is(monkeypatch):
    out = StringIO()
    console = Console(file=out, force_terminal=True, width=100)
    monkeypatch.setattr("xinference_bridge.cli.upload_progress.messages", lambda: console)
    with upload_progress("talk\x1b.wav") as show:
        assert show is not None
        show(2**20, 8 * 2**20)
        show(8 * 2**20, 8 * 2**20)
    printed = without_colours(out.getvalue())
    assert "waiting for talk" in printed
    assert "8.4/8.4 MB" in printed
    assert "talk\x1b.wav" not in out.getvalue()


@pytest.mark.fault_server
@pytest.mark.parametrize(
    ("files", "out", "words"),
    [
        (["a.wav"], "a.wav", "is one of the recordings"),
        (["a.wav"], "old.txt", "exists: pass another name, or --overwrite"),
        (["a.wav", "more/a.wav"], "results", "would both be written to"),
        (["a.wav"], "none/a.txt", "there is no folder none"),
    ],
)
def test_a_transcript_replaces_nothing_and_nothing_is_sent_for_it(listener, tmp_path, files, out, words):
    for folder in ("more", "results"):
        (tmp_path / folder).mkdir()
    (tmp_path / "old.txt").write_text("kept")
    for file in files:
        (tmp_path / file).write_bytes(ENGLISH.read_bytes())
    ran = run("transcribe", "-e", listener.url, *files, "--out", out)
    assert ran.status == 2
    assert words in ran.err
    assert not listener.seen("/v1/audio/transcriptions")
    assert (tmp_path / "old.txt").read_text() == "kept"


@pytest.mark.fault_server
def test_an_old_transcript_is_replaced_where_that_is_asked_for(listener, tmp_path):
    (tmp_path / "old.txt").write_text("old")
    assert run("transcribe", "-e", listener.url, ENGLISH, "-o", "old.txt", "--overwrite").status == 0
    assert (tmp_path / "old.txt").read_text() == f"{HEARD}\n"


@pytest.mark.fault_server
def test_a_dash_is_standard_output(listener, tmp_path):
    assert run("transcribe", "-e", listener.url, ENGLISH, "-o", "-").out == f"{HEARD}\n"
    assert not (tmp_path / "-").exists()


@pytest.mark.fault_server
def test_a_missing_recording_does_not_lose_the_transcripts_before_it(listener):
    ran = run("transcribe", "-e", listener.url, ENGLISH, "missing.wav", "--json")
    assert ran.status == 1
    assert "missing.wav" in ran.err
    assert [entry["text"] for entry in json.loads(ran.out)] == [HEARD]
