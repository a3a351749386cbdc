"""Near-duplicates: pictures of a collection that are one picture, resized, recompressed or cut a little.

::

    exact copies (one hash of content)              found for nothing
    join.near        rows with a neighbour          the stored vectors, tile by tile: candidates
    signatures       32 x 32 of those, once         kept in the collection
    alignment        laid over each other           whether a candidate is the same picture
    join.led         who leads whom                 each group around the picture that is kept

Vectors alone call two beaches the same, and pixels alone are dear to compare with everything: so vectors propose and
pixels decide.
"""

from nearsight.search.duplicates.groups import AT_LEAST, POLICIES, Copy, Group, copies, duplicates

__all__ = ["AT_LEAST", "POLICIES", "Copy", "Group", "copies", "duplicates"]
