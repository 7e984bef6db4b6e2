"""The version of the distribution, from its metadata."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("xinference-bridge")
except PackageNotFoundError:  # run from a source tree without installation
    __version__ = "0.0.0"

USER_AGENT = f"xinference-bridge/{__version__}"
