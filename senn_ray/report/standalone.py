"""Drawings of the page as files of their own."""

import re
from functools import cache
from pathlib import Path


def standalone(svg: str) -> str:
    """Turn an ``<svg>`` element of the page into a file, in the light colours.

    Args:
        svg: What ``to_svg`` gave.
    """
    for variable, colour in _light().items():
        svg = svg.replace(f"var({variable})", colour)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{svg}\n'


@cache
def _light() -> dict[str, str]:
    """Read the colours of the light page: its style sheet is their one place."""
    css = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    block = css[: css.index("}")]
    return dict(re.findall(r"(--[\w-]+): (#\w{6})", block))
