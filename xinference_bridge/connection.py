"""`XinferenceConnection`: the one object that a team shares between its models, and the verbs on it."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from xinference_bridge.client import registry
from xinference_bridge.client.client import Client
from xinference_bridge.connection_settings import DEFAULT_OPTIONS, CallOptions, ConnectionSettings
from xinference_bridge.models.audio import AudioHandle
from xinference_bridge.models.image import ImageHandle
from xinference_bridge.protocol.launch import LaunchProgress, ModelStatus, launch_request
from xinference_bridge.protocol.model_info import ModelInfo
from xinference_bridge.protocol.model_list import ModelList

if TYPE_CHECKING:
    from typing_extensions import Self


class XinferenceConnection(ConnectionSettings):
    """How to reach one Xinference server; safe to share between threads, event loops and processes.

    Building one makes no network call. Equal settings are equal connections, and share one pool of sockets, one login
    and one view of which models run. A setting left out is taken from the environment (see `ENVIRONMENT_NAMES`), and
    else is the default. A pickle carries the credentials, so that a spawned worker can answer; `repr`, `str` and
    `model_dump` leave them out.

    Raises:
        XinferenceConfigurationError: A setting is misspelt or invalid.
    """

    def __init__(self, server_url: str | None = None, /, **settings: Any) -> None:
        super().__init__(server_url, **settings)

    # What every user meets; everything else is asked of the models themselves.

    def models(self) -> ModelList:
        """Return the models that run now, asked of the server.

        Returns:
            A list with one entry per model, in the server's order; Jupyter shows it as a table.

        Raises:
            XinferenceConnectionError: Nothing answers at `server_url`.
            XinferenceAuthenticationError: The server asks for a credential, or does not know this one.
            XinferenceError: Whatever else the server answers with.
        """
        return ModelList(self.client.run(self.client.running.models()))

    async def amodels(self) -> ModelList:
        """Async version of `models`."""
        return ModelList(await self.client.arun(self.client.running.models()))

    def model(self, uid_or_name: str) -> ModelInfo:
        """Return the running model with this UID, or else the only one with this model name.

        Args:
            uid_or_name: A UID as `xinference list` prints it, or a model name.

        Returns:
            The model's description.

        Raises:
            XinferenceModelNotFoundError: No such model runs, or several carry the name; the message lists what runs.
        """
        return self.client.run(self.client.running.model(uid_or_name))

    async def amodel(self, uid_or_name: str) -> ModelInfo:
        """Async version of `model`."""
        return await self.client.arun(self.client.running.model(uid_or_name))

    def check(self, uid_or_name: str, ability: str | None = None, *, try_it: bool = False) -> ModelInfo:
        """Check what a "Save" button would: reach the server, authenticate, find the model, match its type.

        Args:
            uid_or_name: A UID or a model name.
            ability: What the model is wanted for: "chat", "generate", "embed", "rerank", or one of the server's own
                words ("vision", "tools", …). None: anything.
            try_it: Whether to send one tiny request to the model, too.

        Returns:
            The model's description.

        Raises:
            XinferenceModelTypeError: The model is of another type.
            XinferenceModelNotFoundError: No such model runs.
            XinferenceError: Whatever else is wrong.
        """
        return self.client.run(self.client.running.check(uid_or_name, ability, try_it=try_it))

    async def acheck(self, uid_or_name: str, ability: str | None = None, *, try_it: bool = False) -> ModelInfo:
        """Async version of `check`."""
        return await self.client.arun(self.client.running.check(uid_or_name, ability, try_it=try_it))

    def wait_until_ready(self, uid: str, timeout: float = 300.0) -> ModelInfo:
        """Wait until the model answers to its description.

        Args:
            uid: The UID it was launched with.
            timeout: Seconds to wait at most.

        Returns:
            The model's description.

        Raises:
            XinferenceTimeoutError: It has not come up by then; the message has the server's last answer.
        """
        return self.client.run(self.client.running.wait_until_ready(uid, timeout))

    async def await_until_ready(self, uid: str, timeout: float = 300.0) -> ModelInfo:
        """Async version of `wait_until_ready`."""
        return await self.client.arun(self.client.running.wait_until_ready(uid, timeout))

    def server_version(self, options: CallOptions | None = None) -> str | None:
        """Return the server's version, which requires administrator rights.

        Args:
            options: Timeouts and retries of this call. None: the connection's.

        Returns:
            The version, such as "4.1.0"; None where the credential may not ask for it.

        Raises:
            XinferenceConnectionError: Nothing answers there.
        """
        return self.client.run(self.client.running.server_version(options or DEFAULT_OPTIONS))

    # Handles of what runs; nothing is asked before their first call

    def audio(self, model_uid: str) -> AudioHandle:
        """Return the handle of a model of sound, which transcribes, translates or speaks.

        Args:
            model_uid: The UID of the running model, or its name where one model has it.

        Examples:
            >>> connection = XinferenceConnection()
            >>> connection.audio("whisper").transcribe("tests/data/capital_en.wav").text
            'The capital of France is Paris.'
        """
        return AudioHandle(self, model_uid)

    def image(self, model_uid: str) -> ImageHandle:
        """Return the handle of an image model, which generates, edits or reads images.

        Args:
            model_uid: The UID of the running model, or its name where one model has it.

        Examples:
            >>> connection = XinferenceConnection()
            >>> connection.image("tiny-sd").generate("a cat", size="64x64")[0].mime_type
            'image/jpeg'
        """
        return ImageHandle(self, model_uid)

    # Models that are launched and ended: this takes a login, an API key may not

    def launch(
        self,
        model_name: str,
        *,
        engine: str | None = None,
        uid: str | None = None,
        model_type: str = "LLM",
        size: str | float | None = None,
        format: str | None = None,  # noqa: A002 - the server's word
        quantization: str | None = None,
        replica: int = 1,
        wait: bool = True,
        timeout: float = 1800.0,
        on_progress: Callable[[LaunchProgress], object] | None = None,
        **options: Any,
    ) -> ModelInfo:
        """Launch a model, and wait until it can be called.

        Args:
            model_name: A built-in or registered model, such as `qwen3`.
            engine: `vllm`, `sglang`, `transformers`, `llama.cpp`, `mlx`; required for language models.
            uid: The UID to assign. None: the server picks one.
            model_type: `LLM`, `embedding`, `rerank`, `image`, `audio`, `video`.
            size: Its size in billions of parameters, as the server lists it: `7`, `"0_5"`.
            format: `pytorch`, `ggufv2`, `awq`, `gptq`, `mlx`.
            quantization: Such as `none`, `Int4`, `Q4_K_M`.
            replica: How many replicas answer in turn.
            wait: Whether to wait until it is ready.
            timeout: Seconds to wait at most; a first launch downloads the model.
            on_progress: Called with each change of the launch's progress.
            **options: Whatever else the server takes: `n_gpu`, `gpu_idx`, `model_path`, `peft_model_config`, …

        Returns:
            The model's description; without `wait` its UID, name and type alone.

        Raises:
            XinferencePermissionError: The credential is an API key, or its user may not launch models.
            XinferenceServerError: The launch failed; the message has the server's reason.
            XinferenceTimeoutError: It is not ready yet; it is still loading.
            XinferenceConfigurationError: An argument is invalid.
        """
        request = launch_request(
            model_name,
            engine=engine,
            uid=uid,
            model_type=model_type,
            size=size,
            model_format=format,
            quantization=quantization,
            replica=replica,
            options=options,
        )
        return self.client.run(self.client.launching.launch(request, timeout if wait else None, on_progress))

    async def alaunch(
        self,
        model_name: str,
        *,
        engine: str | None = None,
        uid: str | None = None,
        model_type: str = "LLM",
        size: str | float | None = None,
        format: str | None = None,  # noqa: A002 - the server's word
        quantization: str | None = None,
        replica: int = 1,
        wait: bool = True,
        timeout: float = 1800.0,
        on_progress: Callable[[LaunchProgress], object] | None = None,
        **options: Any,
    ) -> ModelInfo:
        """Async version of `launch`."""
        request = launch_request(
            model_name,
            engine=engine,
            uid=uid,
            model_type=model_type,
            size=size,
            model_format=format,
            quantization=quantization,
            replica=replica,
            options=options,
        )
        return await self.client.arun(self.client.launching.launch(request, timeout if wait else None, on_progress))

    def terminate(self, uid: str) -> None:
        """Terminate a model.

        Args:
            uid: The UID it was launched with.

        Raises:
            XinferencePermissionError: The credential is an API key, or its user may not end models.
            XinferenceModelNotFoundError: No model runs under this UID.
            XinferenceBadRequestError: It is still loading: the server ends a model once it is ready.
        """
        self.client.run(self.client.launching.terminate(uid))

    async def aterminate(self, uid: str) -> None:
        """Async version of `terminate`."""
        await self.client.arun(self.client.launching.terminate(uid))

    def progress(self, uid: str) -> LaunchProgress:
        """Return how far the launch of a model is.

        Args:
            uid: The UID it was launched with.

        Raises:
            XinferencePermissionError: The credential may not watch models.
        """
        return self.client.run(self.client.launching.progress(uid))

    async def aprogress(self, uid: str) -> LaunchProgress:
        """Async version of `progress`."""
        return await self.client.arun(self.client.launching.progress(uid))

    def status(self) -> list[ModelStatus]:
        """Return the state of every model that was launched, ready or not, with its replicas.

        Raises:
            XinferencePermissionError: The credential may not watch models.
        """
        return self.client.run(self.client.launching.statuses())

    async def astatus(self) -> list[ModelStatus]:
        """Async version of `status`."""
        return await self.client.arun(self.client.launching.statuses())

    @property
    def client(self) -> Client:
        """The client that sends the requests, one per process for all connections with equal settings."""
        return registry.client_for(self)

    def close(self) -> None:
        """Close the sockets, and forget the login and the models' descriptions; the next call starts afresh."""
        client = registry.forget(self)
        if client is not None:
            client.close()

    async def aclose(self) -> None:
        """Async version of `close`; it waits until the running event loop's sockets are closed."""
        client = registry.forget(self)
        if client is not None:
            await client.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()
