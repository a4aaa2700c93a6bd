"""Synthetic e-commerce data: reproducible, realistic, fast."""
