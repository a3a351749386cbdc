"""How good a ranking is: exact rankings in blocks, metrics, intervals, the protocol card. numpy and core only.

Numbers, definitions and what other libraries answer: docs/measures.md.
"""
