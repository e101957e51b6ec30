"""Scenes drawn by program: pictures whose description is known, with captions that can be judged by it."""
