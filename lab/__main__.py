"""`python3 -m lab start|stop|status`: the lab's command line. It needs only Python and installs everything else."""

from __future__ import annotations

import argparse
import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from lab.environment import ensure_environment
from lab.launch import (
    Account,
    asks_who_calls,
    create_account,
    launch_models,
    launches_of,
    left_out_unless_tiny,
    wait_until_ready,
)
from lab.models import NAMES, TINY, addition_of, as_read_by, ensure_model, model_folder, models_digest
from lab.paths import DEFAULT_XINFERENCE, ENV_FILE, LOCK_FILE, ROOT, STATE
from lab.rest import Rest
from lab.say import LabError, fail, say
from lab.selection import choose
from lab.server import (
    Server,
    add_worker,
    known_server,
    log_tail,
    setup_token,
    start_server,
    stop_server,
    wait_for_workers,
    wait_until_it_answers,
)


def start(version: str, names: list[str], *, cluster: bool, uids: list[str] | None = None) -> None:
    """Start a lab with the named models, or with some of their UIDs. Do nothing if the same lab already runs."""
    python = ensure_environment(version)
    # Build the models first: meanwhile, an outdated lab keeps serving.
    folders = build_models(version, names)
    launches = [launch for launch in launches_of(folders, cluster=cluster) if uids is None or launch.uid in uids]
    models = models_digest() + ":" + ",".join(launch.uid for launch in launches)
    running = known_server()
    if running is not None:
        if running.healthy() and (running.version, running.models) == (version, models) and ENV_FILE.exists():
            say(f"already running (process {running.pid})")
            how_to_use(running)
            return
        say("a lab is there, but not this one or not well: ending it")
        stop_server(running)
    ENV_FILE.unlink(missing_ok=True)
    say(f"starting Xinference {version}" + (": a supervisor and two workers" if cluster else ""))
    server = start_server(python, version, cluster=cluster)
    try:
        wait_until_it_answers(server)
        if cluster:
            for name in ("1", "2"):
                server = add_worker(server, python, name)
            wait_for_workers(server)
        say(f"it answers at {server.endpoint}")
        account = create_account(server.endpoint, setup_token()) if asks_who_calls(server.endpoint) else None
        jwt, api_key = (account.jwt, account.api_key) if account else (None, None)
        launch_models(Rest(server.endpoint, jwt), folders, launches)
        for launch in launches:
            with left_out_unless_tiny(launch):
                wait_until_ready(Rest(server.endpoint, api_key), launch)
                say(f"ready: {launch.uid}")
    except BaseException:
        fail("starting; the end of the server's log:\n" + log_tail())
        stop_server(server)
        raise
    write_env_file(server, account)
    server = replace(server, models=models)
    server.save()
    how_to_use(server)


def build_models(version: str, names: list[str]) -> dict[str, Path]:
    """Install the models' packages and return their files by name. A model outside of TINY that fails is left out."""
    folders = {}
    for name in names:
        try:
            # Before the server starts, because it looks for its engines' packages only once, at its start.
            ensure_environment(version, addition_of(name))
            folders[name] = as_read_by(version, name, ensure_model(name))
        except LabError as error:
            if name in TINY:
                raise
            say(f"left out: {name} ({error})")
    return folders


def stop() -> None:
    """Stop the lab and all its children. Harmless if none runs."""
    server = known_server()
    if server is None:
        say("no lab is running")
        return
    stop_server(server)
    say(f"ended process {server.pid} and its children; nothing of it is left")
    ENV_FILE.unlink(missing_ok=True)


def status() -> bool:
    """Print whether a lab runs and how to reach it. Return False if none runs."""
    server = known_server()
    if server is None or not server.healthy():
        say("no lab is running; start one with: python3 -m lab start")
        return False
    how_to_use(server)
    return True


def how_to_use(server: Server) -> None:
    """Print how to use the lab."""
    env_file = os.path.relpath(ENV_FILE, ROOT)
    say(f"Xinference {server.version} at {server.endpoint}")
    print(f"\n  Use it:   set -a; . {env_file}; set +a")
    print('            curl -s "$XINFERENCE_ENDPOINT/v1/models" -H "Authorization: Bearer $XINFERENCE_API_KEY"')
    print("  Stop it:  python3 -m lab stop\n", flush=True)


def write_env_file(server: Server, account: Account | None) -> None:
    """Write the env file, for a shell and as dotenv. Only its owner can read it, because it may contain credentials."""
    lines = {"XINFERENCE_ENDPOINT": server.endpoint, "LAB_XINFERENCE": server.version}
    if account is not None:
        lines |= {
            "XINFERENCE_API_KEY": account.api_key,
            "XINFERENCE_USERNAME": account.username,
            "XINFERENCE_PASSWORD": account.password,
        }
    partial = ENV_FILE.with_suffix(".part")
    partial.touch(mode=0o600)
    partial.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
    partial.replace(ENV_FILE)


@contextmanager
def _only_one() -> Iterator[None]:
    """Make a second command wait for the first, because both would write the state files."""
    STATE.mkdir(parents=True, exist_ok=True)
    with LOCK_FILE.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another lab command is at work; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main(arguments: list[str]) -> int:
    """Run one command. Return 0 on success and 1 on failure; errors are printed without a traceback."""
    parser = argparse.ArgumentParser(prog="python3 -m lab", description=__doc__)
    parser.add_argument("command", choices=("start", "stop", "status", "build", "where"))
    parser.add_argument(
        "--xinference", default=os.environ.get("XINFERENCE") or DEFAULT_XINFERENCE, help="the server's version"
    )
    parser.add_argument(
        "--cluster",
        action="store_true",
        default=bool(os.environ.get("CLUSTER")),
        help="a supervisor and two workers, and two replicas of a model",
    )
    parser.add_argument("--only", help="the models to build and launch, by comma")
    parser.add_argument("--uids", help="of those models, the UIDs to launch, by comma")
    options = parser.parse_args(arguments)
    uids = options.uids.split(",") if options.uids is not None else None
    names = [name for name in NAMES if options.only is None or name in options.only.split(",")]
    try:
        if options.command == "start":
            names = choose(names, options.xinference, cluster=options.cluster, asked_for=options.only is not None)
        if options.command == "status":
            return 0 if status() else 1
        if options.command == "where":
            for name in names:
                print(model_folder(name))
            return 0
        if options.command == "build":
            for name in names:
                say(f"{name}: {ensure_model(name)}")
            return 0
        with _only_one():
            if options.command == "start":
                start(options.xinference, names, cluster=options.cluster, uids=uids)
            else:
                stop()
    except LabError as error:
        fail(str(error))
        return 1
    except KeyboardInterrupt:
        fail("interrupted")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
