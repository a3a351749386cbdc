"""Learning a descriptor: samplers choose a batch, targets say what it is scored against, miners which pairs count, and
a loss judges the matrix of scores. Everything torch is imported where it is used, so that listing needs none.

One step, as `objective` spells it::

    columns = target(vectors, labels, items)                     # what anchors are scored against
    matrix = columns.matrix(vectors, loss.similarity)            # (n, m) scores and two masks
    value = loss(*miner(matrix, generator))                      # ()
"""
