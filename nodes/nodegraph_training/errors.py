"""The one error of training: something the person who started it can mend."""

from nodegraph import NodegraphError


class TrainingError(NodegraphError):
    """A training cannot start or go on; the message says what is wrong and what to do."""
