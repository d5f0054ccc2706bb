"""Prompt suites: the same questions put to several models."""
