"""Data, simulation, protocols, training, evaluation and interpretation, as in the papers. The service imports none."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""The repository, beside whose code caches and runs lie."""
