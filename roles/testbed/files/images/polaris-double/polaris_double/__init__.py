"""Stands in for Apache Polaris 1.7.0 and its admin tool: floe_catalog behind their variables."""
