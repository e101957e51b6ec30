"""The lessons and the classic experiments."""
