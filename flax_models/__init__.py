"""Flax linen networks parametrised by their activation.

Training them is in ``flax_models.training``.
"""

from flax_models import resnet
from flax_models.resnet import *  # noqa: F403

__all__ = resnet.__all__
