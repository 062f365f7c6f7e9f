"""Personal data and secrets in a text: what they look like, and the checksums they carry."""
