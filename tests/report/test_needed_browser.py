"""A look at the pages that was asked for is never left out in silence."""

from pathlib import Path

import pytest

from tests.report import browser

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("environ", "skipped"),
    [({}, True), ({browser.NEEDED: "0"}, True), ({browser.NEEDED: "1"}, False)],
    ids=["nobody asked", "declined", "asked"],
)
def test_a_missing_browser_is_skipped_only_where_nobody_asked(environ, skipped) -> None:
    assert browser.may_skip(environ) is skipped


def test_a_browser_that_was_asked_for_and_is_missing_fails_with_what_to_do(
    monkeypatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(browser, "FOUND", None)
    with pytest.raises(AssertionError, match="apt-get install chromium"):
        browser.look(tmp_path / "any.html", tmp_path, width=360)


@pytest.mark.parametrize("script", [".ci/run", "scripts/check"])
def test_the_scripts_ask_for_the_browser(script: str) -> None:
    assert f"export {browser.NEEDED}=" in (ROOT / script).read_text()
