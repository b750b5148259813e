"""The one error of training: something the person who started it can mend."""


class TrainingError(Exception):
    """A training cannot start or go on; the message says what is wrong and what to do."""
