"""Tasks: a loss, scores, and the examples behind them."""
