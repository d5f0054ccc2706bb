"""Sweeps: many runs of one recipe with some of its fields varied, asked for one after the other."""
