"""The `transcribe` command: recordings as text, words with times, or subtitles."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import typer

from xinference_bridge.cli.options import UsageError
from xinference_bridge.cli.output_files import STDOUT, naming_file, refuse_existing
from xinference_bridge.cli.upload_progress import upload_progress
from xinference_bridge.models.audio import AudioHandle
from xinference_bridge.printable import harmless, harmless_json
from xinference_bridge.protocol.transcript import Transcription

Form = Literal["text", "srt", "vtt", "words", "json"]
#: Subtitles of several recordings cannot share one file.
_ONE_FILE_EACH = ("srt", "vtt")


@dataclass(frozen=True, slots=True)
class Listening:
    """How recordings are transcribed and printed."""

    form: Form = "text"
    translate: bool = False
    language: str | None = None
    prompt: str | None = None

    @property
    def timestamps(self) -> Literal["segment", "word"] | None:
        """The timestamps that this form needs."""
        return {"text": None, "words": "word"}.get(self.form, "segment")


def form_of(*, srt: bool, vtt: bool, words: bool, as_json: bool) -> Form:
    """Return the output form that the options select.

    Raises:
        UsageError: They contradict each other.
    """
    asked: list[Form] = []
    asked += ["srt"] if srt else []
    asked += ["vtt"] if vtt else []
    asked += ["words"] if words else []
    asked += ["json"] if as_json else []
    if len(asked) > 1:
        raise UsageError(f"--{asked[0]} and --{asked[1]} exclude each other: use one of them")
    return asked[0] if asked else "text"


def transcribe_files(
    model: AudioHandle, files: Sequence[Path], how: Listening, out: Path | None, *, overwrite: bool = False
) -> None:
    """Transcribe each file and print the text, or write it to `out`, a file or a folder.

    If a file fails, the transcripts before it are written or printed.

    Raises:
        UsageError: Subtitles of several recordings would go into one file, or a transcript would replace a recording,
            another transcript or an existing file.
    """
    if out == STDOUT:
        out = None
    if len(files) > 1 and not (out is not None and out.is_dir()) and (how.form in _ONE_FILE_EACH or out is not None):
        raise UsageError("several files need --out FOLDER, an existing folder for the results")
    targets = _targets(files, how.form, out, overwrite=overwrite)
    heard: list[tuple[Path, Transcription]] = []
    try:
        for file, target in zip(files, targets, strict=True):
            transcription = _heard(model, file, how)
            heard.append((file, transcription))
            if target is not None:
                target.write_text(_written(transcription, file, how.form), encoding="utf-8")
                typer.echo(harmless(f"{target}"))
            elif how.form != "json":
                heading = f"==> {harmless(str(file))} <==\n" if len(files) > 1 else ""
                typer.echo(heading + harmless(_written(transcription, file, how.form)), nl=False)
    finally:
        if heard and out is None and how.form == "json":
            entries = [_as_dict(file, transcription) for file, transcription in heard]
            typer.echo(harmless_json(json.dumps(entries, indent=2, ensure_ascii=False)))


def _targets(files: Sequence[Path], form: Form, out: Path | None, *, overwrite: bool) -> list[Path | None]:
    """Return the file of each transcript, None for standard output. Nothing has been sent yet."""
    if out is None:
        return [None] * len(files)
    folder = out.is_dir()
    targets: dict[Path, Path] = {}
    for file in files:
        target = out / f"{file.stem}.{_SUFFIXES[form]}" if folder else out
        if target in targets:
            raise UsageError(f"{targets[target]} and {file} would both be written to {target}: transcribe them apart")
        if target.exists() and any(one.exists() and one.samefile(target) for one in files):
            raise UsageError(f"--out {target} is one of the recordings")
        refuse_existing(target, overwrite=overwrite)
        targets[target] = file
    return list(targets)


_SUFFIXES: dict[Form, str] = {"text": "txt", "words": "tsv", "srt": "srt", "vtt": "vtt", "json": "json"}


def _heard(model: AudioHandle, file: Path, how: Listening) -> Transcription:
    listen = model.translate if how.translate else model.transcribe
    with naming_file(file), upload_progress(file.name) as on_progress:
        return listen(
            file, language=how.language, prompt=how.prompt, timestamps=how.timestamps, on_progress=on_progress
        )


def _written(transcription: Transcription, file: Path, form: Form) -> str:
    if form == "srt":
        return transcription.to_srt()
    if form == "vtt":
        return transcription.to_vtt()
    if form == "words":
        return "".join(f"{word.start:.2f}\t{_end(word.end)}\t{word.word}\n" for word in transcription.words)
    if form == "json":
        return json.dumps(_as_dict(file, transcription), indent=2, ensure_ascii=False) + "\n"
    return transcription.text + "\n"


def _end(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.2f}"


def _as_dict(file: Path, transcription: Transcription) -> dict[str, object]:
    return {"file": str(file), **asdict(transcription)}
