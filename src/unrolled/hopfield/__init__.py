"""The Hopfield network: learning rules, recall, energy, capacity, optimisation. Its equation is in ``cells``."""

from unrolled.hopfield.layer import HopfieldLayer
from unrolled.hopfield.network import Hopfield
from unrolled.hopfield.outcome import Recall

__all__ = ["Hopfield", "HopfieldLayer", "Recall"]
