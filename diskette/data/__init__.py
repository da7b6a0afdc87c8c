"""Rows to lines and back: codec, dump, staging, integrity, apply and proof."""
