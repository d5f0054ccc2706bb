"""Models measured on the same rows: what the figures are, how sure they are, what a model still knows."""
