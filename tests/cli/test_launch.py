"""`launch`, `stop` and `status`."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from rich.console import Console
from rich.progress import Progress
from typer.testing import CliRunner

from xinference_bridge.cli.app import app
from xinference_bridge.cli.launch import extra_options
from xinference_bridge.cli.options import UsageError
from xinference_bridge.protocol.launch import LaunchProgress


@pytest.mark.slow
@pytest.mark.server
def test_a_model_is_launched_listed_and_ended_by_commands(lab, monkeypatch):
    if not lab.live:
        monkeypatch.setattr("xinference_bridge.client.launching._POLL_SECONDS", 0.001)
    login = ["--server-url", lab.url, "--username", lab.username, "--password", lab.password]
    runner = CliRunner()
    words = "launch all-MiniLM-L6-v2 --uid by-command --type embedding --format pytorch --quantization none"
    engine = ["--engine", "sentence_transformers", "-o", "enable_virtual_env=false"]
    launched = runner.invoke(app, [*words.split(), *engine, *login])
    assert (launched.exit_code, launched.stdout) == (0, "by-command\n"), launched.output
    statuses = json.loads(runner.invoke(app, ["status", "--json", *login]).stdout)
    mine = next(model for model in statuses if model["uid"] == "by-command")
    assert mine["status"] == "READY"
    shown = runner.invoke(app, ["status", *login]).stdout
    assert "by-command" in shown
    assert "1/1" in shown
    assert runner.invoke(app, ["stop", "by-command", *login]).exit_code == 0


@pytest.mark.server
def test_a_key_is_told_that_launching_takes_a_login(lab):
    words = ["launch", "qwen3", "--engine", "vllm", "--server-url", lab.url, "--api-key", lab.api_key]
    refused = CliRunner().invoke(app, words)
    assert refused.exit_code == 1
    assert "takes a login" in " ".join(refused.output.split())


@pytest.mark.parametrize("begun", [True, False])
def test_ctrl_c_ends_the_wait_and_says_that_the_launch_goes_on(monkeypatch, begun):
    def launch(_connection, _name, *, on_progress, **_options):
        if begun:
            on_progress(LaunchProgress("my-qwen", "loading", 0.4, "CREATING"))
        raise KeyboardInterrupt

    monkeypatch.setattr("xinference_bridge.connection.XinferenceConnection.launch", launch)
    monkeypatch.setattr("xinference_bridge.cli.launch._bar", lambda: Progress(console=Console(file=StringIO())))
    stopped = CliRunner().invoke(app, ["launch", "qwen3", "--engine", "vllm", "--username", "u", "--password", "p"])
    assert stopped.exit_code == 130
    assert ("my-qwen is still loading" in stopped.output) is begun


def test_options_of_the_server_are_read_as_json_where_they_are():
    assert extra_options(["n_ctx=8192", "enable-virtual-env=false", "model_path=file:///m"]) == {
        "n_ctx": 8192,
        "enable_virtual_env": False,
        "model_path": "file:///m",
    }
    with pytest.raises(UsageError, match="NAME=VALUE"):
        extra_options(["n_ctx"])
