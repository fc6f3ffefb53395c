"""What the page says of promises and outcomes."""

from senn_ray.analysis.summary import promise_summary
from senn_ray.report import formatting, growth_figures
from tests.analysis.test_promises import _run


def test_the_plot_of_promises_states_the_rank_correlation_and_its_checks() -> None:
    runs = [_run("a", (0.8, 0.6, 0.25, 0.05)), _run("b", (0.8, 0.2, 0.5, 0.1))]
    known = promise_summary(runs)
    figure = growth_figures.promises(runs, known)
    assert figure is not None
    assert f"(Spearman) {known.spearman:.2f} over 8" in figure.caption
    assert "over 8 checks of 2 runs; within a run, 0.90 (median)" in figure.caption
    assert formatting.correlation(promise_summary([])) == ""
