"""Builds the testbed's images from their recipes, each once for as long as its recipe stays the same."""
