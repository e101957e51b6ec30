"""What can go wrong that a person can mend. The command line prints the sentence, not a traceback."""


class UsageError(ValueError):
    """An argument is wrong. Exit status 2."""


class DataError(ValueError):
    """What was read cannot be used: not text, empty, too short. Exit status 1."""


class EmptyPartError(DataError):
    """A part of the data has nothing that could be scored."""


class RunError(RuntimeError):
    """A run folder is damaged, of another kind, in use, or training cannot go on. Exit status 1."""
