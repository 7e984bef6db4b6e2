"""Pictures of four pages of the built site, on a desktop and a phone, light and dark: `make docs-shots`.

python docs/screenshots.py FOLDER
"""

from __future__ import annotations

import functools
import os
import shutil
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from playwright.sync_api import sync_playwright

SITE = Path(__file__).parent.parent / "site"
PAGES = {
    "home": "index.html",
    "chat": "langchain/chat/index.html",
    "reference": "reference/langchain/index.html",
    "performance": "performance/index.html",
}
SCREENS = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}
SCHEMES = ("light", "dark")


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named by http.server
        """Say nothing."""


def main(folder: str) -> None:
    """Take them all."""
    browser_path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not browser_path:
        sys.exit("No Chromium is installed: apt-get install chromium, or name one in CHROMIUM")
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    handler = functools.partial(_Quiet, directory=str(SITE))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, sync_playwright() as playwright:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox", "--disable-gpu"])
        for screen, viewport in SCREENS.items():
            for scheme in SCHEMES:
                context = browser.new_context(viewport=viewport, color_scheme=scheme)  # type: ignore[arg-type]
                page = context.new_page()
                for name, path in PAGES.items():
                    page.goto(f"http://127.0.0.1:{server.server_port}/{path}", wait_until="networkidle")
                    picture = target / f"{name}-{screen}-{scheme}.png"
                    page.screenshot(path=picture, full_page=name != "reference")
                    print(picture)
                context.close()
        browser.close()
        server.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:2])
