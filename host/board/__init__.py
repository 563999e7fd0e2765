"""Boards: what vendor tools and drivers need of the accelerator, written from its tables."""
