"""The verbs as functions, and the jobs behind them."""
