"""Near-duplicates: pictures of a collection that are one picture, resized, recompressed or cut a little.

::

    contents         files of one hash              exact copies, found for nothing
    nearness         the cosine that copies have    measured once, with copies made of some pictures
    join.near        rows with a neighbour          the stored vectors, tile by tile: candidates
    signatures       32 x 32 of those, once         kept in the collection
    alignment        laid over each other           whether a candidate is the same picture
    join.led         who leads whom                 each group around the picture that is kept

Vectors alone call two beaches the same, and pixels alone are dear to compare with everything: so vectors propose and
pixels decide.
"""

from nearsight.search.duplicates.groups import ALIKE, POLICIES, Copy, Group, copies, duplicates

__all__ = ["ALIKE", "POLICIES", "Copy", "Group", "copies", "duplicates"]
