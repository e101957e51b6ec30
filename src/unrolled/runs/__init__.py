"""The run folder: written, read, checked and listed without torch."""
