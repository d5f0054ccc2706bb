"""Randomised killing: everything that finetui starts is killed at random moments, and nothing may be lost.

`python -m tests.faults.soak --kills 1000 --seed 1` (or `make soak`). Real supervisors, real processes that launch,
stop, resume, take in, rebuild and back up, the real app in a terminal. Only the training is a stand-in; its checkpoints
go through the worker's own code.
"""
