"""A head maps a tower's vectors to the vectors that are searched: narrower, or of another kind.

To add one, write ``heads/NAME.py`` with a docstring and ``build(*, width: int, seed: int, option=default, ...) ->
torch.nn.Module`` (the first two are given: the tower's vectors have `width` values, `seed` draws what starts at
random). The module maps (n, width) floats to (n, dim) and says `dim` in an attribute; unit length is the encoder's own
business. tests/contracts/test_heads.py finds it and holds it to this: the same seed gives the same weights and leaves
the program's own randomness alone; in eval mode a row's vector does not depend on the rows beside it; gradients reach
the input and what is learned; it becomes an ONNX graph.
"""

from __future__ import annotations

from nearsight.core.errors import InputError
from nearsight.core.registry import Catalogue

HEADS = Catalogue("nearsight.encode.heads", "head")

WIDEST = 1 << 16


def with_dim(address: str, dim: int) -> str:
    """The head's address with `dim` as its length, where it can be told one and the address does not."""
    name = address.partition("?")[0]
    asked = any(option.name == "dim" for option in HEADS.options(name)) and "dim" not in HEADS.check(address)
    return f"{address}{'&' if '?' in address else '?'}dim={dim}" if asked else address


def require_dim(name: str, dim: int) -> None:
    """Raises InputError (code ``head``) for a length that is not within 1 .. WIDEST."""
    if not 1 <= dim <= WIDEST:
        raise InputError(f"the head {name} gives 1 to {WIDEST} dimensions, not {dim}", code="head")
