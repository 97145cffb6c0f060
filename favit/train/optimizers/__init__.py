"""Optimizers beyond torch's Adam and AdamW, loaded by the runs that name one, whose code they then are part of."""
