"""What training is for: a loss, scores, and the examples behind them."""
