"""A report in headless Chromium: what a reader would see, as numbers."""

import html
import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FOUND = next(filter(None, map(shutil.which, NAMES)), None)
NEEDED = "SENN_RAY_NEED_BROWSER"
HELP = "no Chromium here; apt-get install chromium"
# The page lies in a frame, whose width is that of a phone; the window cannot be so small.
HARNESS = """<!DOCTYPE html><meta charset="utf-8"><title>harness</title>
<style>body {{ margin: 0 }} iframe {{ border: 0; width: {width}px; height: 800px }}</style>
<iframe srcdoc="{page}"></iframe><pre id="found"></pre>
<script>
const frame = document.querySelector("iframe");
frame.addEventListener("load", () => {{
  const page = frame.contentDocument, view = frame.contentWindow;
  for (const part of page.querySelectorAll("details")) part.open = true;
  const root = page.documentElement, all = (what) => [...page.querySelectorAll(what)];
  const outlined = (part) => {{
    part.focus();
    return view.getComputedStyle(part).outlineStyle !== "none";
  }};
  document.getElementById("found").textContent = JSON.stringify({{
    scroll_width: root.scrollWidth,
    width: root.clientWidth,
    background: view.getComputedStyle(page.body).backgroundColor,
    headings: all("h1, h2, h3, h4").map((part) => Number(part.tagName[1])),
    figures: all("figure svg").map((svg) => ({{
      name: svg.getAttribute("aria-labelledby").split("-title")[0],
      width: svg.getBoundingClientRect().width,
      height: svg.getBoundingClientRect().height,
      title: svg.querySelector("title").textContent,
      text: svg.querySelector("desc").textContent,
    }})),
    ids: all("[id]").map((part) => part.id),
    focusable: all("a, summary, [tabindex]").map(outlined),
    loaded: view.performance.getEntriesByType("resource").map((entry) => entry.name),
    links: all("a").map((link) => link.getAttribute("href")),
    text: page.body.innerText,
  }});
}});
</script>"""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a browser made of a page."""

    console: tuple[str, ...]
    found: dict[str, Any]


def may_skip(environ: Mapping[str, str] = os.environ) -> bool:
    """Tell whether a missing browser is no failure: where nobody asked for one.

    Args:
        environ: The environment; ``SENN_RAY_NEED_BROWSER=1`` asks for a browser.
    """
    return environ.get(NEEDED, "") in {"", "0"}


def look(page: Path, folder: Path, *, width: int, dark: bool = False) -> Seen:
    """Open a page.

    Args:
        page: The page.
        folder: For what the browser needs.
        width: Of the view, in CSS pixels.
        dark: Whether the reader prefers dark pages.
    """
    assert FOUND is not None, f"{HELP} ({NEEDED} is set)"
    harness = folder / "harness.html"
    harness.write_text(
        HARNESS.format(width=width, page=html.escape(page.read_text(), quote=True))
    )
    done = subprocess.run(
        [
            FOUND, "--headless", "--no-sandbox", "--disable-gpu",
            "--disable-dev-shm-usage", "--disable-background-networking",
            "--enable-logging=stderr", f"--user-data-dir={folder / 'profile'}",
            "--window-size=1300,900", "--virtual-time-budget=10000",
            f"--blink-settings=preferredColorScheme={0 if dark else 1}",
            "--dump-dom", harness.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=200,
        check=True,
    )  # fmt: skip
    text = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, flags=re.DOTALL)
    assert text is not None, done.stderr
    lines = done.stderr.splitlines()
    return Seen(
        console=tuple(line for line in lines if "CONSOLE" in line),
        found=json.loads(html.unescape(text.group(1))),
    )
