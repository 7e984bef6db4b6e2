"""The commands for speech, images and documents; each is implemented in a module of its own."""

# No postponed annotations: typer reads them at run time.
from pathlib import Path
from typing import Annotated

import typer

from xinference_bridge.cli.options import Common, with_common_options

_Model = Annotated[
    str | None,
    typer.Option(
        "--model", "-m", metavar="UID", help="The model's UID or unique name. Default: the only model that can do this."
    ),
]
_Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the output if it exists.")]


@with_common_options
def transcribe(
    common: Common,
    *,
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE", help="Audio or video files: wav, mp3, flac, m4a, mp4, …")
    ],
    model: _Model = None,
    translate: Annotated[bool, typer.Option("--translate", help="Translate into English.")] = False,
    language: Annotated[
        str | None, typer.Option(metavar="NAME", help="The language spoken, such as fr. Default: detected.")
    ] = None,
    prompt: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Names and terms that may occur, for models that support it.")
    ] = None,
    srt: Annotated[bool, typer.Option("--srt", help="Output SubRip subtitles.")] = False,
    vtt: Annotated[bool, typer.Option("--vtt", help="Output WebVTT subtitles.")] = False,
    words: Annotated[bool, typer.Option("--words", help="Output each word with its start and end in seconds.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="PATH",
            help="A file, or a folder for one file per recording. Default: standard output.",
        ),
    ] = None,
    overwrite: _Overwrite = False,
) -> None:
    """Transcribe recordings as text or subtitles."""
    from xinference_bridge.cli.model_argument import chosen_model
    from xinference_bridge.cli.transcribe import Listening, form_of, transcribe_files
    from xinference_bridge.models.audio import AudioHandle

    how = Listening(form_of(srt=srt, vtt=vtt, words=words, as_json=as_json), translate, language, prompt)
    with common.connection() as connection:
        handle = AudioHandle(connection, chosen_model(connection, model, "transcribe"))
        transcribe_files(handle, files, how, out, overwrite=overwrite)


@with_common_options
def speak(
    common: Common,
    *,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The text to speak. `-` is standard input.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The audio file. `-` is standard output.")],
    model: _Model = None,
    voice: Annotated[str | None, typer.Option(metavar="NAME", help="One of the model's voices.")] = None,
    speed: Annotated[float, typer.Option(metavar="NUMBER", help="Speaking rate; 1 is normal.")] = 1.0,
    audio_format: Annotated[
        str | None, typer.Option("--format", metavar="NAME", help="mp3, wav, flac, …. Default: from the file name.")
    ] = None,
    overwrite: _Overwrite = False,
) -> None:
    """Speak a text into an audio file."""
    from xinference_bridge.cli.model_argument import chosen_model
    from xinference_bridge.cli.output_files import refuse_existing
    from xinference_bridge.cli.speak import format_of, refuse_speed, speak_into, text_of
    from xinference_bridge.models.audio import AudioHandle

    words, chosen = text_of(text), format_of(out, audio_format)
    refuse_speed(speed)
    refuse_existing(out, overwrite=overwrite)
    with common.connection() as connection:
        handle = AudioHandle(connection, chosen_model(connection, model, "speak"))
        speak_into(handle, words, out, audio_format=chosen, voice=voice, speed=speed, overwrite=overwrite)


@with_common_options
def image(
    common: Common,
    *,
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="The prompt.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The image file. `-` is standard output.")],
    model: _Model = None,
    size: Annotated[
        str | None, typer.Option(metavar="WxH", help="Width and height in pixels, such as 512x512.")
    ] = None,
    n: Annotated[
        int, typer.Option("--n", min=1, metavar="NUMBER", help="Number of images; the files are numbered.")
    ] = 1,
    negative_prompt: Annotated[str | None, typer.Option(metavar="TEXT", help="What the image must not show.")] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", min=1, metavar="NUMBER", help="Inference steps; fewer are faster.")
    ] = None,
    seed: Annotated[int | None, typer.Option(metavar="NUMBER", help="Seed, for a repeatable image.")] = None,
    overwrite: _Overwrite = False,
) -> None:
    """Generate images from a prompt and print the names of the files."""
    from xinference_bridge.cli.images import draw_into
    from xinference_bridge.cli.model_argument import chosen_model
    from xinference_bridge.models.image import ImageHandle

    with common.connection() as connection:
        handle = ImageHandle(connection, chosen_model(connection, model, "generate_image"))
        stated = {"size": size, "negative_prompt": negative_prompt, "num_inference_steps": steps, "seed": seed}
        wanted = {name: value for name, value in stated.items() if value is not None}
        draw_into(handle, prompt, out, n=n, overwrite=overwrite, **wanted)


@with_common_options
def ocr(
    common: Common,
    *,
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Images, or PDFs.")],
    model: _Model = None,
    prompt: Annotated[
        str | None, typer.Option(metavar="TEXT", help="What to read, for models that support it.")
    ] = None,
    pages: Annotated[
        str | None, typer.Option(metavar="LIST", help="Pages of a PDF, such as 1,3-5. Default: all.")
    ] = None,
) -> None:
    """Extract the text of images and PDFs."""
    from xinference_bridge.cli.images import pages_of, read_files
    from xinference_bridge.cli.model_argument import chosen_model
    from xinference_bridge.models.image import ImageHandle

    numbers = pages_of(pages)
    with common.connection() as connection:
        handle = ImageHandle(connection, chosen_model(connection, model, "ocr"))
        read_files(handle, files, prompt=prompt, pages=numbers)


#: In the order of the help.
MEDIA_COMMANDS = (transcribe, speak, image, ocr)
