"""What Dagster orchestrates, and how it starts and watches runs."""
