"""Distributed physics-informed solver for calcium and voltage in branched neurons under rTMS."""

__version__ = "0.1.0"

__all__ = ["__version__"]
