"""The commands and their own options; what each does stands in a module of its own, loaded when it is called."""

# No postponed annotations here: typer reads them.
from pathlib import Path
from typing import Annotated

import typer

from xinference_bridge.cli.console import output
from xinference_bridge.cli.options import FAILED, Common, with_common_options
from xinference_bridge.version import __version__

app = typer.Typer(
    name="xinference-bridge",
    help="Looks at a Xinference server, and talks to its models. Start with `doctor`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
Uid = Annotated[str, typer.Argument(metavar="UID", help="The model's UID, or its name where that is unique.")]
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
    model: Annotated[str | None, typer.Option("--model", "-m", metavar="UID", help="The model to look at.")] = None,
    context: Annotated[
        bool,
        typer.Option("--context", help="Measure how many tokens one request to the model may hold."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check each step from the address to a model's first answer, and say how to fix the first problem.

    Exits with status 0 only if all is well.
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
        typer.Argument(
            metavar="[UID]", help="The model's UID, or its name where that is unique; else the only chat model."
        ),
    ] = None,
    message: Annotated[
        str | None,
        typer.Option(
            "--message", "-m", metavar="TEXT", help="Send this, print the answer and exit. Piped input is added to it."
        ),
    ] = None,
    system: Annotated[str | None, typer.Option("--system", "-s", metavar="TEXT", help="The system prompt.")] = None,
    temperature: Annotated[
        float | None,
        typer.Option(min=0, metavar="NUMBER", help="Sampling temperature; 0 always picks the likeliest token."),
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, metavar="NUMBER", help="The longest answer, in tokens.")
    ] = None,
    think: Annotated[
        bool | None,
        typer.Option("--think/--no-think", help="Whether a hybrid model reasons first.", show_default=False),
    ] = None,
    reasoning: Annotated[
        bool | None,
        typer.Option(
            "--reasoning/--no-reasoning", help="Show the reasoning, dimmed. Default: on a terminal.", show_default=False
        ),
    ] = None,
) -> None:
    """Talk to a model. Without --message and at a terminal: a conversation, with `/help` for its commands."""
    from xinference_bridge.cli.chat import talk
    from xinference_bridge.cli.conversation import Conversation
    from xinference_bridge.cli.model_argument import only_model, uid_of

    with common.connection() as connection:
        model = only_model(connection, "chat") if uid is None else uid_of(connection, uid, "chat")
        conversation = Conversation(connection, model, system)
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
    batch_size: Annotated[int, typer.Option(min=1, metavar="NUMBER", help="Texts in one request.")] = 64,
    concurrency: Annotated[int, typer.Option(min=1, metavar="NUMBER", help="Concurrent requests.")] = 4,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output if it exists.")] = False,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out entries without a text, and say how many there were.")
    ] = False,
) -> None:
    """Embed the texts of files. Stopped and run again, it resumes where it was."""
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
    top_n: Annotated[int | None, typer.Option(min=1, metavar="NUMBER", help="How many of the best to print.")] = None,
    field: TextField = "text",
    as_json: AsJson = False,
) -> None:
    """Order the texts of a file by their relevance to a query, the best first."""
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


@app.command()
@with_common_options
def launch(
    common: Common,
    *,
    name: Annotated[str, typer.Argument(metavar="MODEL", help="A built-in or registered model, such as qwen3.")],
    engine: Annotated[
        str | None, typer.Option("--engine", metavar="NAME", help="vllm, sglang, transformers, llama.cpp, mlx, …")
    ] = None,
    uid: Annotated[str | None, typer.Option("--uid", "-u", metavar="UID", help="The UID to call it by.")] = None,
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
    replica: Annotated[int, typer.Option(min=1, metavar="NUMBER", help="Replicas that answer in turn.")] = 1,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", "-o", metavar="NAME=VALUE", help="Any other launch parameter; can be repeated."),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it can be called.")] = True,
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
    typer.echo(f"Ended {uid}.", err=True)


@app.command()
@with_common_options
def status(common: Common, as_json: AsJson = False) -> None:
    """List the models that were launched, ready or not, with their replicas and the reason of a failure."""
    from xinference_bridge.cli.launch import print_statuses, statuses_as_json

    with common.connection() as connection:
        statuses = connection.status()
    if as_json:
        typer.echo(statuses_as_json(statuses))
    elif statuses:
        print_statuses(statuses, output())
    else:
        typer.echo(f"No model was launched at {connection.server_url}.", err=True)
