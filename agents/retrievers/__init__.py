"""Versioned indexes and how documents get into them.

`collect` reads files, `chunk` cuts them into passages, `IndexStore` keeps them, `EmbeddedRetriever` finds them.
"""
