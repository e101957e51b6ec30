"""Text: characters, bytes or words; the language model of the lecture."""
