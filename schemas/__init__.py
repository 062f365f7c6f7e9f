"""Event contracts: typed, versioned, JSON on the wire. Imports nothing else of ours."""
