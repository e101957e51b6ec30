"""Symbols: vocabularies, and models that read, score and write a sequence of symbols, whatever they stand for."""
