"""Files and private URLs in a chat: which are read locally, which are rejected, which are left to the server."""

# mypy: no-check-untyped-defs

from __future__ import annotations

import asyncio
import base64
import copy
import os
import sys
import threading
from pathlib import Path

import pytest

from tests.support.fault_proxy import fault_server, http
from xinference_bridge.errors import XinferenceConfigurationError, XinferenceConnectionError
from xinference_bridge.integration.image_input import image_input
from xinference_bridge.integration.inline_media import NamedFile, ainline_media, inline_media
from xinference_bridge.protocol.chat.messages import media_part

DATA = Path(__file__).parents[1] / "data"
RED = (DATA / "red.png").read_bytes()
RED_URL = "data:image/png;base64," + base64.b64encode(RED).decode()


@pytest.fixture(params=["sync", "async"])
def read(request):
    """Has one block's URL read, and gives the URL that is sent."""
    sync = request.param == "sync"

    def url_sent(url, allowed=None, kind="image_url"):
        messages = [{"role": "user", "content": [media_part(kind, url, detail="low")]}]
        before = copy.deepcopy(messages)
        sent = inline_media(messages, allowed) if sync else asyncio.run(ainline_media(messages, allowed))
        assert messages == before
        [part] = sent[0]["content"]
        assert part[kind]["detail"] == "low"
        return part[kind]["url"]

    return url_sent


@pytest.fixture
def folder(tmp_path):
    """An allowed folder, next to one that is not allowed."""
    inside, outside = tmp_path / "in", tmp_path / "out"
    for path in (inside, outside):
        path.mkdir()
        (path / "red.png").write_bytes(RED)
    return inside


@pytest.mark.parametrize("form", [str, Path.as_uri], ids=["path", "file URL"])
@pytest.mark.parametrize("allowed", [True, "folder"])
def test_a_file_is_read_where_it_is_allowed(read, folder, form, allowed):
    assert read(form(folder / "red.png"), (str(folder),) if allowed == "folder" else allowed) == RED_URL


def test_a_name_with_a_space_and_a_percent_sign_is_one_file(read, folder):
    (folder / "a 100%.png").write_bytes(RED)
    assert read((folder / "a 100%.png").as_uri(), allowed=True) == RED_URL


@pytest.mark.parametrize("allowed", [None, False])
@pytest.mark.parametrize("url", ["red.png", "/etc/passwd", "file:///etc/passwd", "C:\\red.png", "..", "FILE:///x"])
def test_a_file_is_refused_by_name_and_untouched_where_nothing_is_allowed(read, url, allowed):
    with pytest.raises(XinferenceConfigurationError) as refused:
        read(url, allowed)
    assert "content block 0 (image_url) of message 0 names the file" in str(refused.value)
    assert "inline_media=True" in str(refused.value)


def test_a_path_in_a_field_for_paths_is_read_unless_that_is_forbidden(read, folder):
    named = NamedFile(folder / "red.png")
    assert read(named) == RED_URL
    for allowed in (False, (), (str(folder.parent / "out"),)):
        with pytest.raises(XinferenceConfigurationError, match="content block 0"):
            read(named, allowed)


@pytest.mark.parametrize("way", ["..", "link to a file", "link to a folder", "elsewhere", "missing", "circle"])
def test_nothing_leads_out_of_an_allowed_folder(read, folder, way):
    outside = folder.parent / "out"
    (folder / "file.png").symlink_to(outside / "red.png")
    (folder / "sub").symlink_to(outside)
    (folder / "circle").symlink_to(folder / "circle")
    path = {
        "..": folder / ".." / "out" / "red.png",
        "link to a file": folder / "file.png",
        "link to a folder": folder / "sub" / "red.png",
        "elsewhere": outside / "red.png",
        "missing": outside / "nothing.png",
        "circle": folder / "circle" / "red.png",
    }[way]
    with pytest.raises(XinferenceConfigurationError, match=r"content block 0|cannot be read") as refused:
        read(str(path), (str(folder),))
    if way != "circle":
        assert "is not in a folder that inline_media= allows" in str(refused.value)


def test_a_link_within_an_allowed_folder_is_followed(read, folder):
    (folder / "link.png").symlink_to(folder / "red.png")
    assert read(str(folder / "link.png"), (str(folder),)) == RED_URL


def test_files_are_read_beside_the_event_loop(folder, monkeypatch):
    threads = []
    module = sys.modules[ainline_media.__module__]
    monkeypatch.setattr(module, "read_file", lambda *_: threads.append(threading.current_thread()) or RED)
    messages = [{"role": "user", "content": [media_part("image_url", str(folder / "red.png"))]}]
    asyncio.run(ainline_media(messages, allowed=True))
    assert threads
    assert threading.main_thread() not in threads


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("folder", "must be a regular file, and .* is a directory"),
        ("pipe", "must be a regular file, and .* is a device, a pipe or a socket"),
        ("/dev/zero", "is a device, a pipe or a socket"),
        ("empty", "is empty"),
        ("text", "must be an image, got a file of no known type, which begins with"),
        ("sound", "must be an image, got a file of type audio/wav"),
        ("large", r"has 64.0 MiB, and at most 64 MiB are sent"),
        ("missing", "cannot be read from .*: No such file"),
        ("nul\0", "cannot be read from"),
        ("/proc/self/environ", "must be an image"),
    ],
)
def test_what_is_no_image_is_refused_by_name_and_reason(read, tmp_path, name, words):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("root:x:0:0:root")
    (tmp_path / "sound").symlink_to(DATA / "capital_en.wav")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(64 * 2**20 + 1)
    with pytest.raises(XinferenceConfigurationError, match=words) as refused:
        read(str(tmp_path / name), allowed=True)
    assert str(refused.value).startswith("content block 0 (image_url) of message 0")
    with pytest.raises(XinferenceConfigurationError, match=words):
        image_input(tmp_path / name)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("s3://bucket/red.png", "has the scheme 's3'"),
        ("javascript:alert(1)", "has the scheme 'javascript'"),
        ("file://host/red.png", "names a file on another machine, 'host'"),
        ("data:image/png;base64,", "is empty"),
        ("http://", "has an invalid URL"),
        ("http://[::1/red.png", "has an invalid URL"),
        ("", "has an empty URL"),
    ],
)
def test_a_url_that_nobody_opens_is_refused(read, url, words):
    with pytest.raises(XinferenceConfigurationError, match=words):
        read(url, allowed=True)


def test_base64_without_a_type_is_told_apart_from_a_path(read):
    with pytest.raises(XinferenceConfigurationError, match="is base64 without a type"):
        read(RED_URL.partition(",")[2])


@pytest.mark.parametrize("allowed", [None, True, ("/data",)])
@pytest.mark.parametrize("url", [RED_URL, "https://example.org/red.png", "http://93.184.215.14/x", "HTTPS://A.ORG/x"])
def test_data_urls_and_public_ones_are_left_to_the_server(read, url, allowed):
    assert read(url, allowed) == url


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.1", "2130706433", "0x7f.1", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1",
        "169.254.169.254", "100.64.0.1", "[::1]", "[fe80::1]", "[fd00::1]", "[::ffff:127.0.0.1]", "localhost",
        "LOCALHOST.", "minio", "nas.local", "git.internal",
    ],
)  # fmt: skip
def test_a_private_address_is_refused_by_name_where_it_is_not_allowed(read, host):
    for allowed in (None, False, (), ("/data",), ("http://other:9000",)):
        with pytest.raises(XinferenceConfigurationError, match="is at a private address"):
            read(f"http://{host}:9000/red.png", allowed)


@pytest.fixture
def images():
    """An image server on loopback, which remembers its requests."""
    with fault_server() as server:
        server.answer = lambda seen: {
            "/images/red.png?v=1": (http(200, RED),),
            "/images/moved": (http(302, b"", location="http://127.0.0.1:1/secret"),),
            "/images/text": (http(200, b"hello"),),
        }.get(seen.path, (http(404, b"no"),))
        yield server


@pytest.mark.fault_server
def test_a_private_url_is_fetched_without_a_credential_where_it_is_allowed(read, images, monkeypatch):
    monkeypatch.setenv("XINFERENCE_API_KEY", "sk-secret")
    url = f"{images.url}/images/red.png?v=1"
    for allowed in (True, (images.url,), (f"{images.url}/images/",)):
        assert read(url, allowed) == RED_URL
    assert all("authorization" not in {name.lower() for name in seen.headers} for seen in images.requests)


@pytest.mark.fault_server
@pytest.mark.parametrize("path", ["/images/../secret", "/images/%2e%2e/secret", "/imagesX/red.png"])
def test_nothing_leads_out_of_an_allowed_url_prefix(read, images, path):
    with pytest.raises(XinferenceConfigurationError, match="that inline_media does not list"):
        read(images.url + path, (f"{images.url}/images",))
    assert not images.requests


@pytest.mark.fault_server
@pytest.mark.parametrize(
    ("path", "error", "words"),
    [
        ("/images/moved", XinferenceConnectionError, "cannot be fetched from .*/images/moved"),
        ("/images/missing", XinferenceConnectionError, "cannot be fetched from .*404"),
        ("/images/text", XinferenceConfigurationError, "must be an image"),
    ],
)
def test_what_a_private_url_answers_badly_is_named(read, images, path, error, words):
    with pytest.raises(error, match=words):
        read(images.url + path, allowed=True)
