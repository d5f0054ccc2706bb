"""Deciding what a recipe leaves open, and saying what the run will take; without torch, before any process."""

from engine.planning.records import DeviceFacts, Estimate, MemoryParts, Probe, RunPlan, Suggestion

__all__ = ["DeviceFacts", "Estimate", "MemoryParts", "Probe", "RunPlan", "Suggestion"]
