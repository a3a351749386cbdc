"""A pooling makes one vector of a set: the cells of a feature map, the words of a sentence, regions of a picture.

To add one, write ``pooling/NAME.py`` with a docstring and ``build(*, width: int, seed: int, option=default, ...) ->
torch.nn.Module`` (the first two are given: members have `width` values, `seed` draws what starts at random). The
module maps members (n, s, width) of floats and, where sets differ in size, a mask (n, s) of bool (True: a member is
there; every row has one at least) to (n, width). tests/contracts/test_poolings.py finds it, judges it by a loop over
numpy arrays where its file there gives one, and holds it to this: the order of members means nothing; what the mask
leaves out changes nothing, not even as NaN, and gets no gradient; a set's vector does not depend on the sets beside
it; gradients are finite, also for members that are equal, 0 or large; the same seed gives the same weights and leaves
the program's own randomness alone; without a mask and for one size of set it becomes an ONNX graph, and with masks,
for sets of up to `longest` members, ``module.tabled(longest)`` does, a module that gives the same vectors
(`_sets.pooling` brings it: itself, unless the file says otherwise).

Where a pooling's address stands inside another's, as in ``torchvision/resnet50?pool=gem?p=2;learned=false``, a ``;``
divides its options.
"""

from __future__ import annotations

from typing import Any

from nearsight.core.registry import Catalogue

POOLINGS = Catalogue("nearsight.encode.pooling", "pooling")


def pooling_at(address: str, *, width: int, seed: int) -> Any:
    """The pooling at an address that may come out of another one. Raises UnknownName, InputError, MissingExtra."""
    return POOLINGS.build(address.replace(";", "&"), width=width, seed=seed)
