"""Draws the pictures of the documentation from the real thing: `make docs-pictures`, with the lab running.

The reports are what the command prints, kept as SVG. The architecture is read from the imports of the code. The chart
is the one that `make bench` drew last.
"""

from __future__ import annotations

import ast
import io
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI

from xinference_bridge.cli.doctor import Examination
from xinference_bridge.cli.options import Common
from xinference_bridge.cli.report import print_steps
from xinference_bridge.cli.tables import print_models

ROOT = Path(__file__).parent.parent
ASSETS = Path(__file__).parent / "assets"
CORE, LANGCHAIN, LLAMAINDEX = "xinference_bridge", "langchain_xinference_bridge", "llamaindex_xinference_bridge"


def main() -> None:
    """Draw them all."""
    if not os.environ.get("XINFERENCE_ENDPOINT"):
        sys.exit("The reports need a running lab: make lab, then make docs-pictures")
    draw_report("doctor", "xinference-bridge doctor --model tiny-chat", lambda console: _examine("tiny-chat", console))
    draw_report(
        "doctor-wrong", "xinference-bridge doctor --model tiny-cat", lambda console: _examine("tiny-cat", console)
    )
    draw_report("models", "xinference-bridge models", _list_models, width=170)
    _save("architecture", architecture())
    for name, drawn in (("benchmark", "results.svg"), ("load", "load.svg")):
        _save(name, (ROOT / "benchmarks" / drawn).read_text(encoding="utf-8"))


def _examine(uid: str, console: Console) -> None:
    print_steps(Examination(Common({}), uid), console)


def _list_models(console: Console) -> None:
    with Common({}).connection() as connection:
        print_models(connection.models(), console)


def draw_report(name: str, title: str, report: Callable[[Console], None], width: int = 100) -> None:
    """What the command prints on a terminal, as a picture that needs no font from elsewhere."""
    console = Console(
        record=True, width=width, file=io.StringIO(), force_terminal=True, highlight=False, markup=False, emoji=False
    )
    report(console)
    picture = console.export_svg(title=title, theme=MONOKAI, unique_id=name)
    picture = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)
    picture = picture.replace("Fira Code", "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono'")
    _save(name, picture)


def _save(name: str, picture: str) -> None:
    path = ASSETS / f"{name}.svg"
    path.write_text("\n".join(line.rstrip() for line in picture.splitlines()) + "\n", encoding="utf-8")
    print(f"drawn: {path.relative_to(ROOT)}")


# The architecture


@dataclass(frozen=True)
class Module:
    """A file of a package, and the full names of what it imports."""

    name: str
    imports: frozenset[str]

    @property
    def talks(self) -> bool:
        """Whether it sends bytes."""
        return not self.imports.isdisjoint({"requests", "requests.adapters", "aiohttp"})

    @property
    def waits(self) -> bool:
        """Whether it holds something or waits for something: locks, clocks, loops."""
        return not self.imports.isdisjoint({"threading", "asyncio", "concurrent.futures", "time", "atexit"})


def modules_of(package: str) -> Iterator[Module]:
    """The modules at the top of a package."""
    for path in sorted((ROOT / package).glob("*.py")):
        names: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        if path.stem not in ("__init__", "version"):
            yield Module(path.stem, frozenset(names))


def layers_of(core: list[Module]) -> list[tuple[str, list[str]]]:
    """The core's modules by what they do; one that stands on a waiting one belongs to those."""
    sends = {module.name for module in core if module.talks}
    waits = {module.name for module in core if module.waits} - sends
    more = True
    while more:
        standing = (
            {m.name for m in core if any(f"{CORE}.{name}" in m.imports for name in waits | sends)} - waits - sends
        )
        waits |= standing
        more = bool(standing)
    knows = [module.name for module in core if module.name not in waits | sends]
    return [
        ("knows the server: what to send, how to read what comes; no network, no clock", knows),
        ("keeps and waits: connection, login, retries", sorted(waits)),
        ("sends, called or awaited: requests, aiohttp", sorted(sends)),
    ]


def exported(package: str) -> list[str]:
    """The classes that a package exports, errors and older names left out."""
    tree = ast.parse((ROOT / package / "__init__.py").read_text(encoding="utf-8"))
    names: list[str] = next(
        ast.literal_eval(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "__all__"
    )
    return [name for name in names if not name.endswith("Error") and name not in ("Xinference", "__version__")]


def architecture() -> str:
    """The three packages, what each is made of and who imports whom, as the code says it."""
    core = list(modules_of(CORE))
    bridges = {name: list(modules_of(name)) for name in (LANGCHAIN, LLAMAINDEX)}
    for name, other in ((LANGCHAIN, LLAMAINDEX), (LLAMAINDEX, LANGCHAIN)):
        if any(imported.startswith(other) for module in bridges[name] for imported in module.imports):
            sys.exit(f"{name} imports {other}: the picture would lie")
    frameworks = (LANGCHAIN, LLAMAINDEX, "langchain_core", "llama_index")
    if any(imported.startswith(frameworks) for module in core for imported in module.imports):
        sys.exit("the core imports a framework: the picture would lie")
    layers = layers_of(core)
    drawing = _Drawing(width=860)
    for x, name, framework in ((20, LANGCHAIN, "LangChain, LangGraph"), (440, LLAMAINDEX, "LlamaIndex")):
        drawing.box((x, 20, 400, 46), [framework], "outside")
        drawing.arrow(x + 200, 66, 96)
        classes = [each for each in exported(name) if each != "XinferenceConnection"]
        drawing.box((x, 96, 400, 84), [name, *_folded(classes, 46)], "bridge")
        drawing.arrow(x + 200, 180, 210)
    y = 210
    height = 86 + sum(26 + 17 * len(_folded(names, 104)) for _, names in layers) + 12 * len(layers)
    drawing.box((20, y, 820, height), [], "core")
    drawing.text(40, y + 28, CORE, "name")
    drawing.text(40, y + 50, f"{', '.join(exported(CORE))}: one connection for both", "line")
    y += 70
    for title, names in layers:
        lines = _folded(names, 104)
        drawing.box((36, y, 788, 26 + 17 * len(lines)), [], "layer")
        drawing.text(50, y + 18, title, "title")
        for number, line in enumerate(lines):
            drawing.text(50, y + 36 + 17 * number, line, "small")
        y += 38 + 17 * len(lines)
    bottom = 210 + height
    drawing.arrow(430, bottom, bottom + 30)
    drawing.box((20, bottom + 30, 820, 46), ["Xinference: HTTP, server-sent events"], "outside")
    return drawing.svg(bottom + 96)


def _folded(words: list[str], most: int) -> list[str]:
    lines = [""]
    for word in words:
        if lines[-1] and len(lines[-1]) + len(word) > most:
            lines.append("")
        lines[-1] += (", " if lines[-1] else "") + word
    return lines


class _Drawing:
    """Boxes, arrows and words, in colours for light and dark pages alike."""

    STYLE = """
    text { font-family: system-ui, -apple-system, 'Segoe UI', sans-serif; fill: #1d1b26; }
    .name { font-size: 16px; font-weight: 600; } .line { font-size: 14px; }
    .title { font-size: 13px; font-weight: 600; } .small { font-size: 12px; }
    .outside { fill: #eceaf4; stroke: #8b86a3; } .bridge { fill: #ddd3f7; stroke: #6a4fc4; }
    .core { fill: #f3effd; stroke: #6a4fc4; } .layer { fill: #ffffff; stroke: #b9aee0; }
    .arrow { stroke: #6a4fc4; stroke-width: 2; marker-end: url(#tip); }
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._parts: list[str] = []

    def box(self, place: tuple[int, int, int, int], lines: list[str], kind: str) -> None:
        """A box (x, y, width, height) with centred lines, the first of them its name."""
        x, y, width, height = place
        self._parts.append(f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}" rx="8"/>')
        top = y + height / 2 - (len(lines) - 1) * 10 + 5
        for number, line in enumerate(lines):
            style = "line" if number else "name"
            at = f'x="{x + width / 2:g}" y="{top + 20 * number:g}"'
            self._parts.append(f'<text class="{style}" text-anchor="middle" {at}>{escape(line)}</text>')

    def text(self, x: int, y: int, words: str, style: str) -> None:
        """A line of words."""
        self._parts.append(f'<text class="{style}" x="{x}" y="{y}">{escape(words)}</text>')

    def arrow(self, x: int, y: int, until: int) -> None:
        """An arrow downwards."""
        self._parts.append(f'<line class="arrow" x1="{x}" y1="{y}" x2="{x}" y2="{until - 6}"/>')

    def svg(self, height: int) -> str:
        """The whole picture."""
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self._width} {height}" role="img">',
                f"<style>{self.STYLE}</style>",
                '<defs><marker id="tip" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="6" markerHeight="6"',
                ' orient="auto">',
                '<path d="M0 0 8 4 0 8z" fill="#6a4fc4"/></marker></defs>',
                f'<rect width="{self._width}" height="{height}" fill="#ffffff" rx="10"/>',
                *self._parts,
                "</svg>",
            ]
        )


if __name__ == "__main__":
    main()
