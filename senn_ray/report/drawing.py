"""From matplotlib to inline SVG that follows the page: its colours, its font, its size.

Figures are drawn in stand-in colours, which become CSS variables; so one drawing serves
light and dark pages. A figure that is also wanted as a file is drawn a second time, in
the colours of the light page. Identifiers get the name of the figure in front, because all
figures share one page.
"""

import contextlib
import html
import io
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import LogLocator, NullFormatter

INK, MUTED, GRID, PAPER = "#010101", "#010102", "#010103", "#010104"
COLOURS = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--line",
    PAPER: "--paper",
    **{f"#0101{n:02x}": f"--series-{n - 16}" for n in range(16, 22)},
}
# A colour for each family, and a shape for each arm, for those who see no colours.
ARMS = {
    "senn": ("#010110", "*"),
    "random": ("#010111", "o"),
    "tpe_pareto": ("#010112", "s"),
    "ladder_bisect": ("#010113", "^"),
    "max_once": ("#010114", "D"),
    "wide_prune": ("#010115", "8"),
    "wide_magnitude": ("#010115", "1"),
    "confirm": ("#010115", "x"),
    "gradmax": ("#010110", "P"),
    "qmc": ("#010111", "h"),
    "tpe": ("#010112", "v"),
    "tpe_pruner": ("#010112", "<"),
    "tpe_full": ("#010112", ">"),
    "ladder": ("#010113", "p"),
    "grid": ("#010114", "H"),
    "no_growth_at_final": ("#010115", "d"),
    "confirm_full": ("#010115", "X"),
}


UNFILLED = frozenset("x1")
"""Shapes that are lines, and need a width."""


def look_of(arm: str) -> tuple[str, str]:
    """Return the colour and the shape of an arm; those of other packages share one."""
    return ARMS.get(arm, (INK, "."))


_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.linewidth": 0.6,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "legend.frameon": False,
    "legend.fontsize": 8,
}
WIDTH_IN = 6.4
PNG_DPI = 200
BAND = 0.1
"""How much an interval covers: many overlap."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Paint:
    """The colours of a figure."""

    ink: str
    muted: str
    grid: str
    paper: str
    senn: str


STAND_IN = Paint(ink=INK, muted=MUTED, grid=GRID, paper=PAPER, senn=ARMS["senn"][0])
# Those of the light page, as ``page.css`` has them.
LIGHT = Paint(
    ink="#1d2326", muted="#5b656b", grid="#d8dcd8", paper="#fdfdfb", senn="#b3400d"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """A figure of the page, and the data that it shows."""

    name: str
    title: str
    caption: str
    svg: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    png: bytes | None = None
    """The same as a picture, for figures that are wanted outside the page."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Caption:
    """What a figure is called, and what it shows, for those who cannot see it too."""

    name: str
    title: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Data:
    """What a figure shows, as a table."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """The panels of a figure."""

    height_in: float
    heights: tuple[float, ...] = (1,)
    columns: int = 1


def figure(
    caption: Caption,
    data: Data,
    layout: Layout,
    draw: Callable[[Canvas, list[Axes]], None],
) -> Figure:
    """Draw a figure of the page."""
    with canvas(
        caption.name,
        height_in=layout.height_in,
        heights=layout.heights,
        columns=layout.columns,
    ) as (drawn, panels):
        draw(drawn, panels)
        svg = to_svg(
            drawn, name=caption.name, title=caption.title, description=caption.text
        )
    return Figure(
        name=caption.name,
        title=caption.title,
        caption=caption.text,
        svg=svg,
        columns=data.columns,
        rows=tuple(data.rows),
    )


def gaps(values: Iterable[float | None]) -> list[float]:
    """Write what is not known as not a number, which leaves a gap in a drawing."""
    return [math.nan if value is None else value for value in values]


def legend_below(drawn: Canvas, panels: Sequence[Axes], *, ncols: int = 4) -> None:
    """Put one legend for all panels below them, each label once."""
    named: dict[str, Any] = {}
    for panel in panels:
        handles, labels = panel.get_legend_handles_labels()
        named.update(zip(labels, handles, strict=True))
    drawn.legend(
        list(named.values()), list(named), loc="outside lower center", ncols=ncols
    )


@contextlib.contextmanager
def canvas(
    name: str,
    *,
    height_in: float,
    heights: Sequence[float] = (1,),
    columns: int = 1,
    paint: Paint = STAND_IN,
) -> Iterator[tuple[Canvas, list[Axes]]]:
    """Prepare a figure in the style of the page.

    Args:
        name: The name of the figure; equal names and data give equal files.
        height_in: Height in inches at a width of 6.4.
        heights: Relative heights of panels that share their horizontal axis.
        columns: Panels side by side.
        paint: Colours; the stand-ins for what becomes part of the page.

    Yields:
        The figure and its panels.
    """
    with mpl.rc_context({**_STYLE, **_coloured(paint), "svg.hashsalt": name}):
        drawn = Canvas(figsize=(WIDTH_IN, height_in), layout="constrained")
        panels = drawn.subplots(
            len(heights),
            columns,
            sharex="col",
            squeeze=False,
            gridspec_kw={"height_ratios": list(heights)},
        )
        yield drawn, list(panels.flat)


def _coloured(paint: Paint) -> dict[Any, Any]:
    inked = ("text.color", "axes.labelcolor", "xtick.labelcolor", "ytick.labelcolor")
    muted = ("axes.edgecolor", "xtick.color", "ytick.color")
    return {
        **dict.fromkeys(inked, paint.ink),
        **dict.fromkeys(muted, paint.muted),
        "grid.color": paint.grid,
    }


def log_scale(panel: Axes, side: Literal["x", "y"], values: Sequence[float]) -> None:
    """Make an axis logarithmic, with ticks as plain numbers.

    Args:
        panel: The panel.
        side: Which axis.
        values: What is drawn along it; unless all are positive and spread by a factor
            of three, the axis stays linear.
    """
    if not values or min(values) <= 0 or max(values) < 3 * min(values):
        return
    narrow = max(values) < 100 * min(values)
    panel.set(**{f"{side}scale": "log"})
    axis = panel.xaxis if side == "x" else panel.yaxis
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if narrow else (1,)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def to_svg(drawn: Canvas, *, name: str, title: str, description: str) -> str:
    """Turn a figure into an ``<svg>`` element."""
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    drawn.savefig(buffer, format="svg", metadata=nothing)
    svg = buffer.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    body = svg[svg.index("<svg") :].partition(">")[2]
    body = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{name}-", body)
    body = re.sub(r' (?:d|x|y|transform)="[^"]*"', _rounded, body)
    for stand_in, variable in COLOURS.items():
        body = body.replace(stand_in, f"var({variable})")
    box = re.search(r'viewBox="[^"]*"', svg)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" '
        f'xmlns:xlink="http://www.w3.org/1999/xlink" role="img" '
        f'{box.group() if box else ""} aria-labelledby="{name}-title {name}-desc">'
        f'<title id="{name}-title">{html.escape(title)}</title>'
        f'<desc id="{name}-desc">{html.escape(description)}</desc>{body}'
    )


def _rounded(attribute: re.Match[str]) -> str:
    """Cut coordinates to hundredths of a point: finer ones are not seen, and heavy."""
    return re.sub(r"(\.\d\d)\d+", r"\1", attribute.group())


def to_png(drawn: Canvas, paint: Paint) -> bytes:
    """Turn a figure into a picture."""
    buffer = io.BytesIO()
    # Without the version of matplotlib, equal data give equal files.
    nothing = {"Software": None}
    drawn.savefig(
        buffer, format="png", dpi=PNG_DPI, facecolor=paint.paper, metadata=nothing
    )
    return buffer.getvalue()
