"""Data, simulation, protocols, training, evaluation and interpretation, as in the papers. Nothing imports it."""
