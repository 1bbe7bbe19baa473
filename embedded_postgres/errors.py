"""What every part of the launcher raises."""


class EmbeddedError(Exception):
    """The message is for people: what was wrong and what to do."""
