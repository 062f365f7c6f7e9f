"""Scorers and the engine that runs them."""
