"""Behaviour of all commands: options, one-line errors, exit statuses, masked secrets, and the required extra."""

from __future__ import annotations

import os
import re
import subprocess

import orjson
import pytest

from tests.cli.tools import COMMAND, model, run, run_apart, xinference
from tests.support.fault_proxy import http, unused_port
from xinference_bridge.cli import app as app_module
from xinference_bridge.cli.options import Common

COMMANDS = ("doctor", "models", "chat", "embed", "rerank")
SHARED = (
    *("--server-url", "--endpoint", "--api-key", "--username", "--password", "--timeout", "--debug"),
    *("--header", "--proxy", "--ca", "--insecure"),
)


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_its_extra_it_says_what_to_install(missing):
    code = f"import sys; sys.modules[{missing!r}] = None\n" + COMMAND[2]
    done = subprocess.run([*COMMAND[:2], code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert 'pip install "xinference-bridge[cli]"' in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_another_module_that_is_missing_is_not_taken_for_the_extra():
    code = "import sys; sys.modules['requests'] = None\n" + COMMAND[2] + "\n"
    done = subprocess.run([*COMMAND[:2], code, "models"], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode != 0
    assert "xinference-bridge[cli]" not in done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_takes_the_shared_options(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    text = run(command, "--help").out
    assert all(option in text for option in SHARED)
    assert "XINFERENCE_API_KEY" in text


def test_a_misspelt_option_is_a_usage_error_that_names_the_right_one():
    ran = run("models", "--server-urll", "x")
    assert ran.status == 2
    assert "--server-url" in ran.err


@pytest.mark.parametrize(
    "command", [("models",), ("embed", "e", "-"), ("chat", "c", "-m", "Hi"), ("rerank", "r", "q", "-")]
)
def test_a_url_that_cannot_be_meant_is_a_usage_error_in_one_line(command):
    ran = run(*command, "--server-url", "ftp://somewhere")
    assert ran.status == 2
    assert ran.err.startswith("error: --server-url has the scheme 'ftp'")
    assert ran.err.count("\n") == 1


@pytest.mark.slow
@pytest.mark.fault_server
def test_a_failure_is_one_line_and_a_traceback_only_for_those_who_ask():
    url = f"http://127.0.0.1:{unused_port()}"
    ran = run("models", "--server-url", url)
    assert ran.status == 1
    assert ran.out == ""
    assert re.fullmatch(r"error: Cannot reach .*\n", ran.err)
    asked_for = run("models", "--server-url", url, "--debug").err
    assert "Traceback" in asked_for
    assert asked_for.splitlines()[-1] == ran.err.rstrip("\n")


def test_a_mistake_of_ours_is_one_line_too(monkeypatch):
    def broken(_common):
        raise ZeroDivisionError("half.")

    monkeypatch.setattr(Common, "connection", broken)
    ran = run("models")
    assert ran.status == 1
    assert ran.err == "error: unexpected ZeroDivisionError: half. --debug shows where.\n"


def test_ctrl_c_ends_with_130_and_no_traceback(monkeypatch):
    def stopped(_common):
        raise KeyboardInterrupt

    monkeypatch.setattr(Common, "connection", stopped)
    ran = run("models")
    assert ran.status == 130
    assert ran.err == "stopped\n"


@pytest.mark.fault_server
@pytest.mark.parametrize("debug", [(), ("--debug",)])
def test_secrets_are_never_printed_even_when_the_server_repeats_them(server, monkeypatch, debug):
    monkeypatch.setenv("XINFERENCE_API_KEY", "xf-hush-hush")
    server.on("/v1/models", http(400, b'{"detail": "what is xf-hush-hush?"}'))
    ran = run("models", "--server-url", server.url, *debug)
    assert ran.status == 1
    assert "what is **********?" in ran.err
    assert "hush" not in ran.out + ran.err
    assert "hush" not in repr(Common({"api_key": "xf-hush-hush"}))


@pytest.mark.fault_server
@pytest.mark.parametrize("debug", [(), ("--debug",)])
def test_a_password_that_is_a_word_is_starred_in_the_servers_words_alone(server, monkeypatch, debug):
    monkeypatch.setenv("XINFERENCE_API_KEY", "no")
    server.on("/v1/models", http(400, b'{"detail": "no is what you sent"}'))
    ran = run("models", "--server-url", server.url, *debug)
    assert "********** is what you sent" in ran.err
    server.on("/v1/models", http(401, b'{"detail": "Invalid"}'))
    assert "it is not sent again" in run("models", "--server-url", server.url, *debug).err


EVIL = "evil\x1b[31m\x07\u202etxt\u2066\x9b"


@pytest.mark.fault_server
@pytest.mark.parametrize("options", [(), ("--json",), ("--debug",)], ids=str)
def test_names_that_steer_a_terminal_are_printed_without_their_power(server, options):
    xinference(server, {**model("c"), "id": EVIL, "model_name": EVIL})
    ran = run("models", "--server-url", server.url, *options)
    assert "evil" in ran.out
    assert not set("\x1b\x07\u202e\u2066\x9b") & set(ran.out + ran.err)


@pytest.mark.fault_server
def test_a_traceback_does_not_steer_a_terminal(server):
    server.on("/v1/models", http(400, orjson.dumps({"detail": EVIL})))
    ran = run("models", "--server-url", server.url, "--debug")
    assert "Traceback" in ran.err
    assert not set("\x1b\x07\u202e\u2066\x9b") & set(ran.out + ran.err)


@pytest.mark.fault_server
def test_an_option_comes_before_the_environment(server, monkeypatch):
    xinference(server)
    monkeypatch.setenv("XINFERENCE_ENDPOINT", "http://nowhere.invalid")
    monkeypatch.setenv("XINFERENCE_API_KEY", "xf-of-the-environment")
    run("models", "--server-url", server.url)
    run("models", "--server-url", server.url, "--api-key", "xf-of-the-option")
    assert [request.headers["authorization"] for request in server.seen("/v1/models")] == [
        "Bearer xf-of-the-environment",
        "Bearer xf-of-the-option",
    ]


@pytest.mark.slow
@pytest.mark.fault_server
def test_as_a_process_of_its_own_it_is_piped_without_colours_and_ends_with_its_status(server):
    xinference(server, model("c"))
    good = run_apart("models", "--server-url", server.url)
    assert (good.status, good.err) == (0, "")
    assert "\x1b" not in good.out
    bad = run_apart("models", "--server-url", f"http://127.0.0.1:{unused_port()}")
    assert (bad.status, bad.out) == (1, "")
    assert "\x1b" not in bad.err


@pytest.mark.slow
@pytest.mark.fault_server
def test_a_reader_that_has_seen_enough_is_no_error(server):
    xinference(server, *(model(f"model-{number}") for number in range(3000)))
    process = subprocess.Popen(
        [*COMMAND, "models", "--server-url", server.url], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    complaint = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=30) in (0, 1)
    assert complaint == b""


@pytest.mark.slow
@pytest.mark.fault_server
def test_where_ticks_cannot_be_printed_plain_marks_stand(server):
    ran = run_apart("doctor", "--server-url", xinference(server, auth=True).url, PYTHONIOENCODING="ascii:strict")
    assert ran.out.startswith("+ URL")
    assert "\nx authentication" in ran.out


@pytest.mark.slow
def test_it_tells_its_version_and_completes_in_the_shell():
    assert run("--version").out.startswith("xinference-bridge ")
    complete = run_apart(
        COMP_WORDS="xinference-bridge mod", COMP_CWORD="1", _XINFERENCE_BRIDGE_COMPLETE="complete_bash"
    )
    assert complete.out.split() == ["models"]


def test_the_installed_command_is_this_one():
    from importlib.metadata import entry_points

    (entry,) = entry_points(group="console_scripts", name="xinference-bridge")
    assert entry.value == "xinference_bridge.cli:main"
    assert app_module.app is not None


def _of_shell(
    redirection: str, *arguments: str, piped: bytes = b"", **variables: str
) -> subprocess.CompletedProcess[bytes]:
    """What a shell's redirection makes of the command."""
    script = f'exec "$@" {redirection}'
    return subprocess.run(
        ["sh", "-c", script, "sh", *COMMAND, *arguments],
        input=piped,
        capture_output=True,
        env={**os.environ, **variables},
        check=False,
        timeout=60,
    )


@pytest.mark.slow
@pytest.mark.fault_server
@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_what_the_encoding_lacks_is_escaped(server, encoding):
    xinference(server, model("\u4e16", "rerank"))
    done = _of_shell("", "models", "-e", server.url, PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\\u4e16" in done.stdout


@pytest.mark.slow
@pytest.mark.fault_server
def test_closed_streams_are_no_failure(server):
    xinference(server, model("c"))
    done = _of_shell(">&- <&-", "models", "-e", server.url)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")  # noqa: PTH110
@pytest.mark.parametrize("command", [["--help"], ["--version"], ["chat", "--help"]])
def test_a_full_disk_is_one_line(command):
    done = _of_shell(">/dev/full", *command)
    assert (done.returncode, done.stderr) == (1, b"error: standard output: No space left on device\n")


@pytest.mark.slow
@pytest.mark.fault_server
@pytest.mark.parametrize("command", [["chat", "c"], ["speak", "-", "--out", "a.wav"]])
def test_piped_text_that_is_not_utf_8_is_named(server, command):
    xinference(server, model("c"), model("k", "audio", model_ability=["text2audio"]))
    done = _of_shell("", *command, "-e", server.url, piped=b"caf\xe9")
    assert done.returncode == 1
    assert b"error: standard input: is not UTF-8" in done.stderr
