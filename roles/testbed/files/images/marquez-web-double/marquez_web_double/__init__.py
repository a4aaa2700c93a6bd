"""Stands in for marquez-web in the testbed: one page that draws the lineage graph, and a way to the API."""
