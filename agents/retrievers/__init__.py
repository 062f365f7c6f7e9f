"""Versioned indexes and how documents get into them."""
