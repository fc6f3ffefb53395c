"""The pages in headless Chromium: at the width of a phone and of a desk, light, dark."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

from senn_ray.analysis.summary import summarise
from senn_ray.report import page, several
from senn_ray.report.view import Shown
from tests.analysis.test_summary import job_events
from tests.report.browser import FOUND, HELP, Seen, look, may_skip
from tests.report.test_page import _grown, _written
from tests.report.test_scan_figure import EVENTS as SCAN

pytestmark = pytest.mark.skipif(FOUND is None and may_skip(), reason=HELP)
MOST_BYTES = 1_500_000
LEAST_CONTRAST = 4.5
PHONE, DESK = 360, 1200


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    events = {
        "compare": [_grown(event) for event in job_events("compare")],
        "scan": SCAN,
    }
    written = {}
    for name, known in events.items():
        (folder / name).mkdir()
        written[name] = _written(folder / name, known)
    shown = [
        Shown(name=f"a rather long name of the {n}th {verb}", summary=summarise(known))
        for verb, known in events.items()
        for n in (1, 2)
    ]
    written["several"] = several.write(shown, folder / "several")
    return written


@pytest.fixture(scope="module")
def seen(
    pages: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, int], Seen]:
    return {
        (name, width): look(file, tmp_path_factory.mktemp("browser"), width=width)
        for name, file in pages.items()
        for width in (PHONE, DESK)
    }


def test_no_page_scrolls_sideways_or_reports_an_error(
    seen: dict[tuple[str, int], Seen],
) -> None:
    for (name, width), view in seen.items():
        assert view.console == (), name
        assert view.found["scroll_width"] == view.found["width"] <= width, name
        assert view.found["width"] > width - 20, "a scroll bar is narrower"


def test_the_browser_would_see_errors_and_sideways_scrolling(tmp_path: Path) -> None:
    bad = tmp_path / "bad.html"
    bad.write_text(
        "<h1>x</h1><div style='width: 2000px'>wide</div>"
        "<script>console.error('bad')</script>"
    )
    view = look(bad, tmp_path, width=PHONE)
    assert view.found["scroll_width"] > PHONE
    assert len(view.console) == 1


FIGURES = {
    "compare": {
        "sizes",
        "best-so-far",
        "over-targets",
        "promises",
        "growth-senn-0-000",
    },
    "scan": {"scan"},
    "several": {"scans", "rates"},
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_drawn_described_and_has_its_data(
    seen: dict[tuple[str, int], Seen], pages: dict[str, Path], name: str
) -> None:
    for width in (PHONE, DESK):
        figures = seen[name, width].found["figures"]
        assert {figure["name"] for figure in figures} >= FIGURES[name]
        for figure in figures:
            assert min(figure["width"], figure["height"]) > 150
            assert len(figure["text"]) > len(figure["title"]) > 0
            data = pages[name].parent / "figures" / f"{figure['name']}.csv"
            assert data.read_text().count("\n") > 1
    for link in seen[name, DESK].found["links"]:
        assert (pages[name].parent / link).is_file()


def test_pages_are_sane_for_keyboards_and_screen_readers(
    seen: dict[tuple[str, int], Seen],
) -> None:
    for view in seen.values():
        levels = view.found["headings"]
        steps = [b - a for a, b in pairwise(levels)]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert max(steps) <= 1
        assert len(set(view.found["ids"])) == len(view.found["ids"])
        assert view.found["focusable"]
        assert all(view.found["focusable"])


def test_pages_are_one_small_file_that_loads_nothing(
    seen: dict[tuple[str, int], Seen], pages: dict[str, Path]
) -> None:
    for name, file in pages.items():
        assert file.stat().st_size < MOST_BYTES
        assert seen[name, DESK].found["loaded"] == []


def test_dark_pages_are_dark_and_say_the_same(
    seen: dict[tuple[str, int], Seen], pages: dict[str, Path], tmp_path: Path
) -> None:
    light = seen["compare", PHONE]
    dark = look(pages["compare"], tmp_path, width=PHONE, dark=True)
    assert dark.found["text"] == light.found["text"]
    assert _luminance(light.found["background"]) > 0.8
    assert _luminance(dark.found["background"]) < 0.1


def test_text_stands_out_in_both_schemes() -> None:
    css = (Path(page.__file__).parent / "page.css").read_text()
    for block in re.findall(r":root \{(.*?)\}", css, flags=re.DOTALL):
        colours = dict(re.findall(r"--([\w-]+): (#\w{6})", block))
        texts = {n for n in colours if n not in {"paper", "card", "line"}}
        assert texts >= {"ink", "muted", "accent", "series-0", "series-5"}
        for name in texts:
            # Lines and points need less than words, but legends have their colours.
            for ground in ("paper", "card"):
                bound = LEAST_CONTRAST if "series" not in name else 3.0
                assert _contrast(colours[name], colours[ground]) >= bound, name


def _contrast(one: str, other: str) -> float:
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    if colour.startswith("#"):
        parts = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    else:
        parts = [int(part) for part in re.findall(r"\d+", colour)[:3]]
    shares = [part / 255 for part in parts]
    linear = [
        s / 12.92 if s <= 0.03928 else ((s + 0.055) / 1.055) ** 2.4 for s in shares
    ]
    return sum(w * s for w, s in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
