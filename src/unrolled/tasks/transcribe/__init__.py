"""Transcription: symbols for sound or signals whose places in time nobody has marked."""
