"""Adapters registered under a name, in versions that do not change; see docs/registry.md."""
