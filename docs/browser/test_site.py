"""The pages in a browser: each opens without errors, loads nothing from other hosts, and fits a phone."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from conftest import SITE
from playwright.sync_api import Browser, Page

PAGES = sorted(path.relative_to(SITE).as_posix() for path in SITE.rglob("*.html") if path.name != "404.html")
PHONE = {"width": 360, "height": 740}
DESKTOP = {"width": 1280, "height": 900}
#: The folder for a screenshot of each page, if set.
SHOTS = os.environ.get("DOCS_SHOTS")


def opened(browser: Browser, address: str, viewport: dict[str, int]) -> tuple[Page, list[str]]:
    """Return the page and the errors while it opened."""
    page = browser.new_page(viewport=viewport)
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("requestfailed", lambda request: wrong.append(f"failed: {request.url}"))
    page.on(
        "response",
        lambda response: wrong.append(f"{response.status}: {response.url}") if response.status >= 400 else None,
    )
    home = address.split("/", 3)[2]
    page.on(
        "request", lambda request: wrong.append(f"elsewhere: {request.url}") if _leaves(request.url, home) else None
    )
    page.goto(address, wait_until="networkidle")
    return page, wrong


def _leaves(url: str, home: str) -> bool:
    return not url.startswith(("data:", "blob:")) and url.split("/", 3)[2] != home


def test_there_are_pages() -> None:
    assert len(PAGES) > 25


@pytest.mark.parametrize("name", PAGES)
def test_a_page_opens_without_an_error_and_without_the_network(browser: Browser, site: str, name: str) -> None:
    page, wrong = opened(browser, f"{site}/{name}", DESKTOP)
    assert page.locator("h1").first.inner_text().strip()
    broken = page.eval_on_selector_all("img", "all => all.filter(i => !i.complete || !i.naturalWidth).map(i => i.src)")
    _keep(page, "desktop", name)
    page.close()
    assert not broken
    assert not wrong


@pytest.mark.parametrize("name", PAGES)
def test_a_phone_shows_a_page_without_scrolling_sideways(browser: Browser, site: str, name: str) -> None:
    page, _ = opened(browser, f"{site}/{name}", PHONE)
    widths = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    wide = page.evaluate(
        """() => [...document.querySelectorAll('.md-content *')].filter(e => {
            const box = e.getBoundingClientRect();
            if (box.width === 0 || box.right <= window.innerWidth + 1) return false;
            for (let p = e.parentElement; p; p = p.parentElement)
                if (['auto', 'scroll', 'hidden'].includes(getComputedStyle(p).overflowX)) return false;
            return true;
        }).slice(0, 5).map(e => e.outerHTML.slice(0, 120))"""
    )
    letters = page.evaluate("parseFloat(getComputedStyle(document.querySelector('.md-content p')).fontSize)")
    _keep(page, "phone", name)
    page.close()
    assert widths[0] <= widths[1], wide
    assert not wide
    assert letters >= 14


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_search_finds_the_chat_model(browser: Browser, site: str, viewport: dict[str, int]) -> None:
    page, wrong = opened(browser, f"{site}/index.html", viewport)
    if viewport is PHONE:
        page.locator("label[for=__search]").first.click()
    page.locator("input.md-search__input").click()
    page.locator("input.md-search__input").press_sequentially("ChatXinference")
    page.locator(".md-search-result__item").first.wait_for()
    found = page.locator(".md-search-result__item").all_inner_texts()
    _keep(page, "search-phone" if viewport is PHONE else "search", "index.html")
    page.close()
    assert any("ChatXinference" in text for text in found)
    assert not wrong


#: A search term, and the title or text of a page that must be among the results.
SEARCHES = {
    "retry": "Retries",
    "thinking": "Reasoning",
    "image": "Images and audio",
    "notebook": "Jupyter",
    "sparse": "Hybrid search",
    "num_ctx": "num_ctx",
    "async": "Async",
    "timeout": "Retries and timeouts",
    "whisper": "whisper",
    "ocr": "OCR",
    "failover": "Failover",
    "launch": "Launching models",
    "recording": "Testing your own app",
}


@pytest.mark.parametrize("word", SEARCHES)
def test_the_search_finds_what_people_type(browser: Browser, site: str, word: str) -> None:
    page, _ = opened(browser, f"{site}/index.html", DESKTOP)
    page.locator("input.md-search__input").click()
    page.locator("input.md-search__input").press_sequentially(word)
    page.locator(".md-search-result__item").first.wait_for()
    found = page.locator(".md-search-result__item").all_text_contents()
    page.close()
    assert any(SEARCHES[word] in text for text in found), [text.split("\n")[0][:60] for text in found]


@pytest.mark.parametrize("name", [name for name in PAGES if name.startswith("reference/")])
def test_no_example_of_the_reference_is_a_paragraph(browser: Browser, site: str, name: str) -> None:
    page, _ = opened(browser, f"{site}/{name}", DESKTOP)
    stray = page.eval_on_selector_all("p", "all => all.map(p => p.innerText).filter(text => text.includes('>>>'))")
    page.close()
    assert stray == []


def test_the_footer_says_the_version_and_the_changelog_is_there(browser: Browser, site: str) -> None:
    page, _ = opened(browser, f"{site}/changelog/index.html", DESKTOP)
    assert page.locator("h1").first.inner_text().startswith("Changelog")
    version = page.locator(".md-copyright").inner_text()
    page.close()
    assert re.search(r"xinference-bridge \d+\.\d+\.\d+", version)


@pytest.mark.parametrize("name", ["index.html", "performance/index.html", "command-line/index.html"])
def test_a_wide_table_can_be_scrolled_on_a_phone(browser: Browser, site: str, name: str) -> None:
    page, _ = opened(browser, f"{site}/{name}", PHONE)
    cut = page.eval_on_selector_all(
        ".md-typeset table",
        "all => all.filter(t => t.scrollWidth > t.clientWidth + 1 && getComputedStyle(t).overflowX !== 'auto').length",
    )
    page.close()
    assert cut == 0


def test_the_charts_are_dark_in_the_dark_and_fit_a_phone(browser: Browser, site: str) -> None:
    page = browser.new_page(viewport=PHONE, color_scheme="dark")
    page.goto(f"{site}/performance/index.html", wait_until="networkidle")
    charts = page.eval_on_selector_all(
        "img.chart", "all => all.map(i => [getComputedStyle(i).filter, i.getBoundingClientRect().right])"
    )
    page.close()
    assert len(charts) == 2
    assert all("invert" in style and right <= PHONE["width"] for style, right in charts)


def test_tabs_switch_on_the_whole_site(browser: Browser, site: str) -> None:
    context = browser.new_context(viewport=DESKTOP)
    page = context.new_page()
    page.goto(f"{site}/index.html", wait_until="networkidle")
    page.locator(".tabbed-labels").get_by_text("LlamaIndex").first.click()
    page.goto(f"{site}/async/index.html", wait_until="networkidle")
    shown = page.locator(".tabbed-block:visible").first.inner_text()
    context.close()
    assert "XinferenceLLM" in shown


def test_the_dark_scheme_is_readable(browser: Browser, site: str) -> None:
    page = browser.new_page(viewport=DESKTOP, color_scheme="dark")
    page.goto(f"{site}/index.html", wait_until="networkidle")
    scheme = page.evaluate("document.body.getAttribute('data-md-color-scheme')")
    _keep(page, "dark", "index.html")
    page.close()
    assert scheme == "slate"


def _keep(page: Page, kind: str, name: str) -> None:
    if SHOTS:
        path = Path(SHOTS) / kind / f"{name.removesuffix('.html').replace('/', '-')}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=path, full_page=kind != "search")
