"""`XinferenceConnection`: the object that models share, and its methods."""

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
    """A connection to one Xinference server, safe to share between threads, event loops and processes.

    Building one makes no network call. Connections with equal settings are equal, and share one pool of sockets, one
    login and one cache of model descriptions. A setting that is left out comes from the environment (see
    `ENVIRONMENT_NAMES`) or is the default. A pickle contains the credentials, because a spawned worker needs them;
    `repr`, `str` and `model_dump` leave them out.

    Raises:
        XinferenceConfigurationError: A setting is misspelled or invalid.
    """

    def __init__(self, server_url: str | None = None, /, **settings: Any) -> None:
        super().__init__(server_url, **settings)

    # The methods that most users need

    def models(self) -> ModelList:
        """Return the models that are running now.

        Returns:
            A list with one entry per model, in the server's order. Jupyter shows it as a table.

        Raises:
            XinferenceConnectionError: The server at `server_url` cannot be reached.
            XinferenceAuthenticationError: The server requires a credential, or rejected this one.
            XinferenceError: The request failed for another reason.
        """
        return ModelList(self.client.run(self.client.running.models()))

    async def amodels(self) -> ModelList:
        """Async version of `models`."""
        return ModelList(await self.client.arun(self.client.running.models()))

    def model(self, uid_or_name: str) -> ModelInfo:
        """Return the running model with this UID, or the only one with this model name.

        Args:
            uid_or_name: A UID as `xinference list` prints it, or a model name.

        Returns:
            The model's description.

        Raises:
            XinferenceModelNotFoundError: No such model is running, or several have this name.
        """
        return self.client.run(self.client.running.model(uid_or_name))

    async def amodel(self, uid_or_name: str) -> ModelInfo:
        """Async version of `model`."""
        return await self.client.arun(self.client.running.model(uid_or_name))

    def check(self, uid_or_name: str, ability: str | None = None, *, try_it: bool = False) -> ModelInfo:
        """Check a configuration: connect, authenticate, find the model and check its type.

        Args:
            uid_or_name: A UID or a model name.
            ability: What the model must support: "chat", "generate", "embed", "rerank", or one of the server's own
                abilities ("vision", "tools", …). None: anything.
            try_it: Whether to also send one small request to the model.

        Returns:
            The model's description.

        Raises:
            XinferenceModelTypeError: The model is of another type.
            XinferenceModelNotFoundError: No such model runs.
            XinferenceError: Another check failed.
        """
        return self.client.run(self.client.running.check(uid_or_name, ability, try_it=try_it))

    async def acheck(self, uid_or_name: str, ability: str | None = None, *, try_it: bool = False) -> ModelInfo:
        """Async version of `check`."""
        return await self.client.arun(self.client.running.check(uid_or_name, ability, try_it=try_it))

    def wait_until_ready(self, uid: str, timeout: float = 300.0) -> ModelInfo:
        """Wait until the model is ready.

        Args:
            uid: The UID of the model.
            timeout: Maximum number of seconds to wait.

        Returns:
            The model's description.

        Raises:
            XinferenceTimeoutError: The model was not ready in time; the message has the server's last answer.
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
            The version, such as "4.1.0"; None if the credential lacks the permission.

        Raises:
            XinferenceConnectionError: The server cannot be reached.
        """
        return self.client.run(self.client.running.server_version(options or DEFAULT_OPTIONS))

    # Handles of what runs; nothing is asked before their first call

    def audio(self, model_uid: str) -> AudioHandle:
        """Return the handle of a model of sound, which transcribes, translates or speaks.

        Args:
            model_uid: The UID of the running model, or its name where one model has it.

        Examples:
            >>> XinferenceConnection().audio("whisper").uid
            'whisper'
        """
        return AudioHandle(self, model_uid)

    def image(self, model_uid: str) -> ImageHandle:
        """Return the handle of an image model, which generates, edits or reads images.

        Args:
            model_uid: The UID of the running model, or its name where one model has it.

        Examples:
            >>> XinferenceConnection().image("tiny-sd").uid
            'tiny-sd'
        """
        return ImageHandle(self, model_uid)

    # Launching and terminating models requires a login; an API key does not suffice

    def launch(
        self,
        model_name: str,
        *,
        engine: str | None = None,
        uid: str | None = None,
        model_type: str = "LLM",
        size: str | float | None = None,
        format: str | None = None,  # noqa: A002 - the server's name for it
        quantization: str | None = None,
        replica: int = 1,
        wait: bool = True,
        timeout: float = 1800.0,
        on_progress: Callable[[LaunchProgress], object] | None = None,
        **options: Any,
    ) -> ModelInfo:
        """Launch a model and wait until it is ready.

        Args:
            model_name: A built-in or registered model, such as `qwen3`.
            engine: `vllm`, `sglang`, `transformers`, `llama.cpp`, `mlx`; required for language models.
            uid: The UID to assign. None: the server picks one.
            model_type: `LLM`, `embedding`, `rerank`, `image`, `audio`, `video`.
            size: Its size in billions of parameters, as the server lists it: `7`, `"0_5"`.
            format: `pytorch`, `ggufv2`, `awq`, `gptq`, `mlx`.
            quantization: Such as `none`, `Int4`, `Q4_K_M`.
            replica: Number of replicas.
            wait: Whether to wait until it is ready.
            timeout: Maximum number of seconds to wait. A first launch downloads the model.
            on_progress: Called whenever the launch progress changes.
            **options: Other launch parameters of the server: `n_gpu`, `gpu_idx`, `model_path`, `peft_model_config`, …

        Returns:
            The model's description; without `wait`, only its UID, name and type.

        Raises:
            XinferencePermissionError: The credential is an API key, or the user may not launch models.
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
        format: str | None = None,  # noqa: A002 - the server's name for it
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
            uid: The UID of the model.

        Raises:
            XinferencePermissionError: The credential is an API key, or the user may not terminate models.
            XinferenceModelNotFoundError: No model runs under this UID.
            XinferenceBadRequestError: The model is still loading; the server can only terminate a model that is ready.
        """
        self.client.run(self.client.launching.terminate(uid))

    async def aterminate(self, uid: str) -> None:
        """Async version of `terminate`."""
        await self.client.arun(self.client.launching.terminate(uid))

    def progress(self, uid: str) -> LaunchProgress:
        """Return the progress of a launch.

        Args:
            uid: The UID of the model.

        Raises:
            XinferencePermissionError: The credential may not view launches.
        """
        return self.client.run(self.client.launching.progress(uid))

    async def aprogress(self, uid: str) -> LaunchProgress:
        """Async version of `progress`."""
        return await self.client.arun(self.client.launching.progress(uid))

    def status(self) -> list[ModelStatus]:
        """Return the state of every launched model, ready or not, with its replicas.

        Raises:
            XinferencePermissionError: The credential may not view launches.
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
        """Close the sockets, and discard the login and the cached model descriptions. The next call starts over."""
        client = registry.forget(self)
        if client is not None:
            client.close()

    async def aclose(self) -> None:
        """Async version of `close`. It waits until the sockets of the running event loop are closed."""
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
