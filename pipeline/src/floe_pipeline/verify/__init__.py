"""Proof that the lake holds what the generator made: checks named by the promise, and evidence files."""
