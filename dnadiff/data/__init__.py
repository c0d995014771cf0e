"""Sequence data: genomes, intervals, windows, splits."""
