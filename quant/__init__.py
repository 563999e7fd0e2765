"""Number formats: ternary codes, base-3 bytes and beats, INT8 rows, and readers of published checkpoints.

This package imports nothing else of Terntable and needs no torch.
"""
