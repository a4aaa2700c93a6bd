"""Synthetic e-commerce data: reproducible, realistic, fast."""

from floe_synthetic.ecommerce import Batch, EcommerceGenerator, GeneratorState

__all__ = ["Batch", "EcommerceGenerator", "GeneratorState"]
