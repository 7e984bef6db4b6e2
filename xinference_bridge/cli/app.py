"""The commands and their options. Each command imports its implementation when it is called."""

# No postponed annotations: typer reads them at run time.
from pathlib import Path
from typing import Annotated

import typer

from xinference_bridge.cli.console import output
from xinference_bridge.cli.media_commands import MEDIA_COMMANDS
from xinference_bridge.cli.options import FAILED, Common, with_common_options
from xinference_bridge.version import __version__

app = typer.Typer(
    name="xinference-bridge",
    help="Inspect a Xinference server and use its models. Start with `doctor`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Uid = Annotated[str, typer.Argument(metavar="UID", help="The model's UID, or its name if unique.")]
TextField = Annotated[str, typer.Option("--field", metavar="NAME", help="The field or column that holds the text.")]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"xinference-bridge {__version__}")
        raise typer.Exit


@app.callback()
def _all(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Print the version.")
    ] = False,
) -> None: ...


@app.command()
@with_common_options
def doctor(
    common: Common,
    model: Annotated[str | None, typer.Option("--model", "-m", metavar="UID", help="The model to check.")] = None,
    context: Annotated[
        bool,
        typer.Option("--context", help="Measure how many tokens one request to the model can hold."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check each step, from the address to a model's first answer, and show how to fix the first problem.

    Exits with status 0 only if no step fails.
    """
    from xinference_bridge.cli.doctor import Examination
    from xinference_bridge.cli.report import print_steps, steps_as_json

    examination = Examination(common, model, context=context)
    if as_json:
        text, well = steps_as_json(examination)
        typer.echo(text)
    else:
        well = print_steps(examination, output())
    if not well:
        raise typer.Exit(FAILED)


@app.command()
@with_common_options
def models(common: Common, as_json: AsJson = False) -> None:
    """List the running models, with engine, abilities and context."""
    from xinference_bridge.cli.tables import models_as_json, print_models

    with common.connection() as connection:
        running = connection.models()
    if as_json:
        typer.echo(models_as_json(running))
    elif running:
        print_models(running, output())
    else:
        typer.echo(f"No model runs at {connection.server_url}.", err=True)


@app.command()
@with_common_options
def chat(
    common: Common,
    *,
    uid: Annotated[
        str | None,
        typer.Argument(metavar="[UID]", help="The model's UID, or its name if unique. Default: the only chat model."),
    ] = None,
    message: Annotated[
        str | None,
        typer.Option(
            "--message", "-m", metavar="TEXT", help="Send this, print the answer and exit. Piped input is added to it."
        ),
    ] = None,
    image: Annotated[
        list[Path] | None,
        typer.Option("--image", metavar="FILE", help="Send an image along with the first message. Repeat it for more."),
    ] = None,
    audio: Annotated[
        list[Path] | None,
        typer.Option("--audio", metavar="FILE", help="Send a recording along with the first message."),
    ] = None,
    system: Annotated[str | None, typer.Option("--system", "-s", metavar="TEXT", help="The system prompt.")] = None,
    temperature: Annotated[
        float | None,
        typer.Option(
            min=0, max=2, metavar="NUMBER", help="Sampling temperature; 0 always picks the most likely token."
        ),
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, metavar="NUMBER", help="Maximum length of the answer, in tokens.")
    ] = None,
    think: Annotated[
        bool | None,
        typer.Option("--think/--no-think", help="Turn a hybrid model's reasoning on or off.", show_default=False),
    ] = None,
    reasoning: Annotated[
        bool | None,
        typer.Option(
            "--reasoning/--no-reasoning", help="Show the reasoning, dimmed. Default: on a terminal.", show_default=False
        ),
    ] = None,
) -> None:
    """Chat with a model. Without --message, start an interactive conversation; type `/help` for its commands."""
    from xinference_bridge.cli.attachments import attached
    from xinference_bridge.cli.chat import talk
    from xinference_bridge.cli.conversation import Conversation
    from xinference_bridge.cli.model_argument import only_model, uid_of

    with common.connection() as connection:
        model = only_model(connection, "chat") if uid is None else uid_of(connection, uid, "chat")
        conversation = Conversation(connection, model, system)
        conversation.attachments += [attached(path, "image") for path in image or ()]
        conversation.attachments += [attached(path, "audio") for path in audio or ()]
        stated = {"temperature": temperature, "max_tokens": max_tokens}
        conversation.parameters |= {name: value for name, value in stated.items() if value is not None}
        if think is not None:
            conversation.think(think)
        talk(conversation, message, reasoning=reasoning, debug=common.debug)


@app.command()
@with_common_options
def embed(
    common: Common,
    *,
    uid: Uid,
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE",
            help="One text per line, .jsonl, .csv, .tsv, .json (an array) or .parquet. `-` is standard input.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="Where the vectors go: .jsonl or .parquet. `-` is standard output, as JSONL.",
        ),
    ] = Path("-"),
    field: TextField = "text",
    batch_size: Annotated[int, typer.Option(min=1, metavar="NUMBER", help="Texts per request.")] = 64,
    concurrency: Annotated[int, typer.Option(min=1, metavar="NUMBER", help="Concurrent requests.")] = 4,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output if it exists.")] = False,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Skip entries without a text, and report how many.")
    ] = False,
) -> None:
    """Embed the texts in files. If stopped, it resumes where it was when you run it again."""
    from xinference_bridge.cli.embed import Embedding, embed_files
    from xinference_bridge.cli.model_argument import uid_of
    from xinference_bridge.models.embedding import EmbeddingHandle

    with common.connection() as connection:
        model = EmbeddingHandle(connection, uid_of(connection, uid, "embed"))
        how = Embedding(field, batch_size, concurrency, overwrite=overwrite, skip_bad=skip_bad)
        embed_files(model, files, out, how)


@app.command()
@with_common_options
def rerank(
    common: Common,
    *,
    uid: Uid,
    query: Annotated[str, typer.Argument(metavar="QUERY", help="What the texts should be relevant to.")],
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="One text per line, or any file that `embed` reads. `-` is standard input."
        ),
    ],
    top_n: Annotated[int | None, typer.Option(min=1, metavar="NUMBER", help="Print only the best N texts.")] = None,
    field: TextField = "text",
    as_json: AsJson = False,
) -> None:
    """Rank the texts in a file by relevance to a query, best first."""
    from xinference_bridge.cli.model_argument import uid_of
    from xinference_bridge.cli.rerank import print_ranking, ranked, ranking_as_json
    from xinference_bridge.models.rerank import RerankHandle

    with common.connection() as connection:
        ranking = ranked(
            RerankHandle(connection, uid_of(connection, uid, "rerank")), query, file, field=field, top_n=top_n
        )
    if as_json:
        typer.echo(ranking_as_json(ranking))
    else:
        print_ranking(ranking, output())


for _command in MEDIA_COMMANDS:
    app.command()(_command)


@app.command()
@with_common_options
def launch(
    common: Common,
    *,
    name: Annotated[str, typer.Argument(metavar="MODEL", help="A built-in or registered model, such as qwen3.")],
    engine: Annotated[
        str | None, typer.Option("--engine", metavar="NAME", help="vllm, sglang, transformers, llama.cpp, mlx, …")
    ] = None,
    uid: Annotated[str | None, typer.Option("--uid", "-u", metavar="UID", help="The UID to assign.")] = None,
    model_type: Annotated[
        str, typer.Option("--type", "-t", metavar="TYPE", help="LLM, embedding, rerank, image, audio, video.")
    ] = "LLM",
    size: Annotated[
        str | None, typer.Option("--size", metavar="BILLIONS", help="Size in billions of parameters: 7, 0_5.")
    ] = None,
    model_format: Annotated[
        str | None, typer.Option("--format", metavar="NAME", help="pytorch, ggufv2, awq, gptq, mlx.")
    ] = None,
    quantization: Annotated[
        str | None, typer.Option("--quantization", metavar="NAME", help="none, Int4, Q4_K_M, …")
    ] = None,
    replica: Annotated[int, typer.Option(min=1, metavar="NUMBER", help="Number of replicas.")] = 1,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", "-o", metavar="NAME=VALUE", help="Any other launch parameter; can be repeated."),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until the model is ready.")] = True,
    within: Annotated[float, typer.Option("--within", metavar="SECONDS", help="How long to wait.")] = 1800.0,
) -> None:
    """Launch a model and wait until it is ready. Requires a login: --username and --password."""
    from xinference_bridge.cli.launch import extra_options, launched

    with common.connection() as connection:
        info = launched(
            connection,
            name,
            wait=wait,
            engine=engine,
            uid=uid,
            model_type=model_type,
            size=size,
            format=model_format,
            quantization=quantization,
            replica=replica,
            timeout=within,
            **extra_options(option or ()),
        )
    typer.echo(info.uid)


@app.command()
@with_common_options
def stop(common: Common, *, uid: Annotated[str, typer.Argument(metavar="UID", help="The model's UID.")]) -> None:
    """Terminate a model. Requires a login: --username and --password."""
    with common.connection() as connection:
        connection.terminate(uid)
    typer.echo(f"Terminated {uid}.", err=True)


@app.command()
@with_common_options
def status(common: Common, as_json: AsJson = False) -> None:
    """List the launched models, ready or not, with their replicas and the reason for any failure."""
    from xinference_bridge.cli.launch import print_statuses, statuses_as_json

    with common.connection() as connection:
        statuses = connection.status()
    if as_json:
        typer.echo(statuses_as_json(statuses))
    elif statuses:
        print_statuses(statuses, output())
    else:
        typer.echo(f"No model was launched at {connection.server_url}.", err=True)
