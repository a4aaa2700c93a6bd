"""The lakehouse pipeline: generate, commit to Iceberg, transform, verify, look at."""
