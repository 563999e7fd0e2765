"""Every way that a random computation can go, with its probability."""

import math
from collections import defaultdict

import numpy as np

from terntable.host.decoding.rules import emitted


class Choices:
    """Takes the place of random numbers: :meth:`of` gives an index, and the computation is run again for each other one."""

    def __init__(self):
        self._script, self._chances = [], []
        self._made = 0

    def of(self, probabilities):
        """An index of positive probability."""
        if self._made == len(self._script):
            open_ones = [int(index) for index in np.flatnonzero(probabilities)]
            self._script.append(open_ones)
            self._chances.append([float(probabilities[index]) for index in open_ones])
        self._made += 1
        return self._script[self._made - 1][0]

    def pick(self, trials, uniforms):
        """In place of `rules.pick`; what the trials emit is enough, for nothing else of them is seen."""
        return self.of(emitted(trials))

    def law(self, run):
        """Result of `run` -> its probability, over all ways."""
        total = defaultdict(float)
        while True:
            self._made = 0
            result = run()
            assert self._made == len(self._script), "the computation went another way the second time"
            total[result] += math.prod(chances[0] for chances in self._chances)
            while self._script and len(self._script[-1]) == 1:
                self._script.pop()
                self._chances.pop()
            if not self._script:
                return dict(total)
            del self._script[-1][0], self._chances[-1][0]


def distance(one, other):
    """Total variation between two laws given as dictionaries."""
    return sum(abs(one.get(key, 0) - other.get(key, 0)) for key in {*one, *other}) / 2
