"""Distillation of trained parts: drafters, probes and transfer heads, from a frozen target."""
