"""Activation functions for JAX, right on every float.

>>> import jaxacts
>>> jaxacts.gelu(-3.0, approximate=False)
Array(-0.00404969, dtype=float32, weak_type=True)
>>> jaxacts.get("mish") is jaxacts.mish
True

The public names are the registered activations (``jaxacts.names()``), and
`get`, `names` and `spec`, which find them. Needs jax and numpy alone; layers,
plots and the verification are modules with extras of their own.
"""

# Star imports give type checkers the functions; what else they bring in is
# removed below.
from jaxacts import _registry
from jaxacts import compressed as compressed
from jaxacts import initializers as initializers
from jaxacts import taylor as taylor
from jaxacts._registry import get, names, spec
from jaxacts._spec import Kink, Limits, Parameter, Spec
from jaxacts.composed import *  # noqa: F403
from jaxacts.exponential import *  # noqa: F403
from jaxacts.gated import *  # noqa: F403
from jaxacts.gaussian import *  # noqa: F403
from jaxacts.hard import *  # noqa: F403
from jaxacts.inverse_root import *  # noqa: F403
from jaxacts.nested import *  # noqa: F403
from jaxacts.normalizers import *  # noqa: F403
from jaxacts.pade import *  # noqa: F403
from jaxacts.parametric import *  # noqa: F403
from jaxacts.periodic import *  # noqa: F403
from jaxacts.quadratic import *  # noqa: F403
from jaxacts.rectifiers import *  # noqa: F403
from jaxacts.self_gated import *  # noqa: F403
from jaxacts.shrinkage import *  # noqa: F403
from jaxacts.sigmoids import *  # noqa: F403
from jaxacts.smooth_rectifiers import *  # noqa: F403
from jaxacts.sparse import *  # noqa: F403

__version__ = "0.1.0"
__all__ = [
    "Kink", "Limits", "Parameter", "Spec", "get", "names", "spec",
    *sorted(_registry.public_functions()),
]  # fmt: skip


def _tidy() -> None:
    """Binds the registered names, and nothing else that came by a star."""
    import types

    space = globals()
    for name, value in list(space.items()):
        own = (
            isinstance(value, types.ModuleType) and value.__name__ == f"jaxacts.{name}"
        )
        if name[0] != "_" and name not in __all__ and not own:
            del space[name]
    space.update(_registry.public_functions())


_tidy()
del _tidy
