"""Runs scripts in separate processes, without the second that each process would need for its imports.

One interpreter imports what the scripts need, starts no thread, and forks a child for each script. The child runs the
script and exits like any interpreter, so its error output contains all messages at exit.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
_TIMEOUT = 60

_PARENT = """
import json, os, sys

def serve():
    for line in sys.stdin:
        job = json.loads(line)
        child = os.fork()
        if child:
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
            continue
        os.setpgid(0, 0)
        for number, path in enumerate([os.devnull, job["out"], job["err"]]):
            opened = os.open(path, os.O_RDWR)
            os.dup2(opened, number)
            os.close(opened)
        sys.argv = ["-c", *job["arguments"]]
        return job["script"]

exec(sys.argv[1])
script = serve()
if script is not None:
    exec(compile(script, "<script>", "exec"))
"""


@dataclass(frozen=True)
class Ended:
    """The result of a script."""

    returncode: int
    stdout: str
    stderr: str


class FreshProcesses:
    """Forks a process for each script from an interpreter that has run `prelude`, under `-X dev` and `-W error`."""

    def __init__(self, prelude: str, *options: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-X", "dev", "-W", "error", *options, "-c", _PARENT, prelude],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
        )

    def run(self, script: str, *arguments: str) -> Ended:
        """Run `script` after the prelude, with `arguments` as its `sys.argv[1:]`.

        Raises:
            TimeoutError: The script did not end within a minute. It was killed together with the interpreter.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        with tempfile.NamedTemporaryFile("r") as out, tempfile.NamedTemporaryFile("r") as err:
            job = {"script": script, "arguments": arguments, "out": out.name, "err": err.name}
            stdin.write(json.dumps(job) + "\n")
            stdin.flush()
            if not select.select([stdout], [], [], _TIMEOUT)[0]:
                self.close()
                raise TimeoutError(err.read())
            return Ended(int(stdout.readline()), out.read(), err.read())

    def close(self) -> None:
        """End the interpreter, and a script that still runs."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        for child in children.read_text().split() if children.exists() else ():
            os.kill(int(child), signal.SIGKILL)
        self._process.kill()
        self._process.communicate()
