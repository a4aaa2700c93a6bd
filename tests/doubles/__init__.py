"""Contracts that the testbed's doubles share with the servers that they stand in for."""
