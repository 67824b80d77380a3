"""Deployment manager for fleets of plain Linux machines."""

__version__ = "0.1.0"
