"""Stands in for Marquez in the testbed: takes OpenLineage events and answers as Marquez 0.51 does."""
