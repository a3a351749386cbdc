"""Encode more pictures than one sitting takes, and take the vectors in afterwards.

::

    encode(source, encoder, out)      list the source once, cut the list into shards, encode those that are not there
    take_in(folder, collection)       the shards into a collection

A shard is a number: ``plan/000007.parquet`` says which pictures it has, and ``shards/000007.parquet`` is there, whole,
once they are encoded. So a run that was stopped or killed goes on with the numbers that are missing, and a worker that
dies leaves nothing behind. Who encodes which number is for a runner to say (`nearsight.search.bulk.runners`); what a
shard is, is `nearsight.search.bulk.shard` alone.

::

    folder/
      manifest.json          what was asked for: source, encoder and its fingerprint, dtype, how many pictures
      encoder/               the encoder folder, for workers, and for the collection that will be made of it
      plan/000000.parquet    path, mtime_ns, label, captions, fields
      shards/000000.parquet  these, sha256, size, vector; encoder, fingerprint and preprocessing in the file's metadata
      skipped/000000.parquet path, code, why, hint: what could not be used; listing_*.parquet: what the listing left out
"""

from nearsight.search.bulk.encode import encode
from nearsight.search.bulk.imports import take_in
from nearsight.search.bulk.options import Columns, Options

__all__ = ["Columns", "Options", "encode", "take_in"]
