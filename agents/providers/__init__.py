"""Models behind their APIs."""
