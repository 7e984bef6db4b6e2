"""The page of beginner's mistakes shows the real output. `DOCS_RENEW=1` with this test writes the page again."""

from __future__ import annotations

import errno
import os
import re
import shlex
import types
from pathlib import Path

import pytest

from tests.cli.tools import run
from tests.docs.conftest import ROOT
from tests.docs.generated import table
from tests.docs.mistakes import MISTAKES, Mistake
from tests.docs.running import MODELS, Page
from tests.support.fault_proxy import unused_port
from tests.support.lab import REPLAY, Lab
from xinference_bridge import XinferenceConnection, XinferenceConnectionError
from xinference_bridge.client.transport import container
from xinference_bridge.protocol import connection_errors

PAGE = ROOT / "docs" / "mistakes.md"
_TABLE = re.compile(r"(?<=<!-- mistakes -->\n).*?(?=<!-- end -->)", re.DOTALL)


#: The one of a server that is not running, which no recording can hold.
_DEAD = next(mistake for mistake in MISTAKES if "9998" in mistake.line)
_REFUSED = f"[Errno {errno.ECONNREFUSED}] {os.strerror(errno.ECONNREFUSED)}"


@pytest.fixture(autouse=True)
def _outside_a_container(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "inside_container", lambda: False)


@pytest.mark.server
def test_the_page_shows_what_each_mistake_prints(page: Page, lab: Lab, request: pytest.FixtureRequest) -> None:
    if lab.live and not request.config.getoption("--record"):
        pytest.skip("the page lists the models that ran when it was recorded")
    Path("report.pdf").write_bytes(b"%PDF-1.7")
    rows = [[mistake.title, f"`{mistake.line}`", _printed(mistake, page, lab)] for mistake in MISTAKES]
    shown = "\n" + table(["mistake", "code or command", "message"], rows) + "\n"
    text = PAGE.read_text(encoding="utf-8")
    renewed = _TABLE.sub(lambda _: shown, text)
    if os.environ.get("DOCS_RENEW"):
        PAGE.write_text(renewed, encoding="utf-8")
        text = renewed
    assert text == renewed


@pytest.mark.fault_server
def test_a_server_that_is_not_running_is_told_as_on_the_page() -> None:
    port = unused_port()
    with pytest.raises(XinferenceConnectionError) as caught:
        XinferenceConnection(f"http://127.0.0.1:{port}", max_retries=0).models()
    assert str(caught.value).replace(str(port), "9998") == _dead_message()


def _dead_message() -> str:
    return connection_errors.cannot_connect("http://127.0.0.1:9998", _REFUSED, in_container=False).message


def test_there_are_twenty() -> None:
    assert len(MISTAKES) == len({mistake.title for mistake in MISTAKES}) == 20


def test_each_message_ends_once_and_names_a_next_step() -> None:
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("| ") and "`" in line:
            printed = line.rstrip(" |")
            assert not re.search(r"\.\.$|[.?!;:,]{2}$|[;:,]$|\.\. ", printed), printed


def _printed(mistake: Mistake, page: Page, lab: Lab) -> str:
    if mistake is _DEAD:
        return f"XinferenceConnectionError: {_dead_message()}"
    if mistake.is_command:
        words = [_lab_word(word) for word in shlex.split(mistake.line)[1:]]
        ran = run(*words, "--server-url", lab.url, "--api-key", lab.api_key)
        assert ran.status != 0
        text = ran.err.strip()
    else:
        code = page.translated(mistake.before + mistake.line)
        with pytest.raises(Exception) as caught:  # noqa: PT011 - the page shows its class
            exec(code, types.ModuleType("__main__").__dict__)
        text = f"{type(caught.value).__name__}: {caught.value}"
    return _as_on_the_page(text, lab)


def _lab_word(word: str) -> str:
    return MODELS.get(word, word)


def _as_on_the_page(text: str, lab: Lab) -> str:
    text = text.replace(lab.url, REPLAY.url)
    text = re.sub(r"(?<=are running; name one of ).*", "qwen3, qwq", text)
    words = {meant: word for word, meant in MODELS.items()}
    lab_words = "|".join(re.escape(meant) for meant in sorted(words, key=len, reverse=True))
    text = re.sub(rf"\b({lab_words})\b", lambda found: words[found[0]], text)  # in one pass: one may give another
    text = re.sub(r"Running ([\w ]+)s: .*?\.(?= |$)", _running, text)
    return text.replace("|", "\\|").replace("<", "&lt;")


def _running(found: re.Match[str]) -> str:
    """The lab runs more models than the pages speak of."""
    uids = {"embedding model": "bge-m3", "rerank model": "bge-reranker-v2-m3"}.get(found[1], "qwen3, qwq")
    return f"Running {found[1]}s: {uids}."
