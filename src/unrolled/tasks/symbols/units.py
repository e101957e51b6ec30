"""What the symbols of a text are. No torch here, so that help is instant."""

UNITS = ("characters", "bytes", "words")
