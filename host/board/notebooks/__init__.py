"""Notebooks, which `pynq get-notebooks terntable` delivers: it copies all that is in this folder, except this file."""
