"""Classification of sequences: one label for a whole sequence, or one for each of its steps."""
