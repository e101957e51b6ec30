"""Reads of a nanopore: raw current in, bases out."""
