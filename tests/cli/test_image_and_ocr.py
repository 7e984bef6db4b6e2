"""`image` and `ocr`: images are written to files, and documents are read."""

from __future__ import annotations

import base64
from pathlib import Path

import orjson
import pytest
from PIL import Image

from tests.cli.tools import model, run, says, to_lab, xinference
from xinference_bridge.cli.images import pages_of
from xinference_bridge.cli.options import UsageError

DATA = Path(__file__).parents[1] / "data"
PNG = (DATA / "red.png").read_bytes()
PATIENT = ("--timeout", "3000")  # a busy machine takes its time
DRAW, READ = "/v1/images/generations", "/v1/images/ocr"


@pytest.fixture
def artist(server):
    """A server with one model, which generates a red square for every prompt."""
    xinference(server, model("sd", "image", model_ability=["text2image"]))
    image = {"b64_json": base64.b64encode(PNG).decode()}
    return says(server, DRAW, {"created": 1, "data": [image, image]}, {"created": 1, "data": [image]})


@pytest.fixture
def reader(server):
    """A server whose one model reads."""
    xinference(server, model("o", "image", model_ability=["ocr"]))
    return says(server, READ, "# A page\x1b[2J")


def asked(server):
    return [orjson.loads(seen.body) for seen in server.seen(DRAW)]


@pytest.mark.server
def test_a_real_models_image_has_the_format_that_the_file_name_says(lab, tmp_path):
    ran = run("image", *to_lab(lab), "a cat", "-o", tmp_path / "cat.png", "--size", "64x64", "--steps", "1", *PATIENT)
    assert ran.status == 0
    assert ran.out == f"{tmp_path / 'cat.png'}\n"
    with Image.open(tmp_path / "cat.png") as image:  # the server's images are JPEG
        assert (image.format, image.size) == ("PNG", (64, 64))


@pytest.mark.fault_server
@pytest.mark.parametrize(
    ("name", "wanted"), [("a.png", "PNG"), ("a.JPG", "JPEG"), ("a.webp", "WEBP"), ("a.bmp", "BMP")]
)
def test_an_image_is_converted_to_the_format_of_its_file(artist, tmp_path, name, wanted):
    assert run("image", "-e", artist.url, "a cat", "-o", tmp_path / name, "--n", "2").status == 0
    for number in (1, 2):
        with Image.open((tmp_path / name).with_stem(f"a-{number}")) as image:
            assert image.format == wanted


@pytest.mark.server
def test_a_real_model_reads_an_image(lab):
    ran = run("ocr", *to_lab(lab), DATA / "red.png")
    assert ran.status == 0
    assert "Seen: red, 32x32." in ran.out


@pytest.mark.fault_server
def test_several_images_are_numbered(artist, tmp_path):
    ran = run("image", "-e", artist.url, "a cat", "-o", tmp_path / "cat.png", "--n", "2", "--negative-prompt", "a dog")
    assert ran.out.splitlines() == [str(tmp_path / "cat-1.png"), str(tmp_path / "cat-2.png")]
    assert (tmp_path / "cat-2.png").read_bytes() == PNG
    [body] = asked(artist)
    assert (body["n"], body["response_format"], "size" in body) == (2, "b64_json", False)
    assert orjson.loads(body["kwargs"]) == {"negative_prompt": "a dog"}


@pytest.mark.fault_server
@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["cat", "-o", "there.png"], 2, "exists: pass another name, or --overwrite"),
        (["cat", "-o", "-", "--n", "2"], 2, "--out - accepts one image"),
        (["cat", "-o", "a.png", "--size", "big"], 1, "size must be such as '512x512'"),
        (["cat", "-o", "a.png", "--n", "0"], 2, "--n"),
        (["cat", "-o", "a.txt"], 2, "--out a.txt: the suffix must name an image format"),
        (["cat", "-o", "a"], 2, "--out a: the suffix must name an image format"),
        (["", "-o", "a.png"], 1, "prompt"),
    ],
)
def test_an_invalid_argument_is_named_and_nothing_is_sent(artist, arguments, status, words):
    Path("there.png").write_bytes(b"years of work")
    ran = run("image", "-e", artist.url, *arguments)
    assert ran.status == status
    assert words in " ".join(ran.err.split())
    assert asked(artist) == []


@pytest.mark.fault_server
def test_documents_are_read_one_after_another_and_cannot_steer_the_terminal(reader):
    ran = run("ocr", "-e", reader.url, DATA / "red.png", DATA / "blue.png", "--prompt", "Only the table")
    assert ran.out.startswith(f"==> {DATA / 'red.png'} <==\n# A page")
    assert "\x1b" not in ran.out
    assert [b"Only the table" in seen.body for seen in reader.seen(READ)] == [True, True]


@pytest.mark.fault_server
def test_a_file_that_is_no_document_is_named(reader):
    ran = run("ocr", "-e", reader.url, DATA / "red.png", DATA / "capital_en.wav")
    assert ran.status == 1
    assert str(DATA / "capital_en.wav") in ran.err
    assert len(reader.seen(READ)) == 1


def test_pages_are_numbers_and_ranges():
    assert pages_of("1, 3-5") == [1, 3, 4, 5]
    assert pages_of(None) is None
    for wrong in ("", "0", "5-3", "one", "1,,2"):
        with pytest.raises(UsageError, match="such as 1,3-5"):
            pages_of(wrong)
