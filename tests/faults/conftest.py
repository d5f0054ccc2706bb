"""Real stores, real supervisors, and a stand-in for the worker where training is not at issue."""

from tests.engine.test_manager import home, managers, store

__all__ = ["home", "managers", "store"]
