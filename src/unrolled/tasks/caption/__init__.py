"""Captions: a sentence for each picture."""
