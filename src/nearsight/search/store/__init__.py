"""The truth on disk: a SQLite catalogue and append-only, checksummed vector segments.

::

    collection/
      manifest.json        format, version, collection id, encoder fingerprint, dim, dtype, engine
      encoder/             the encoder folder that made the vectors (absent where they came from elsewhere)
      catalogue.sqlite     items, where their vectors lie, checksums; user_version = generation
      catalogue.seal       CRC-32C of the catalogue as of its generation
      segments/000001.vec  4 KB header, then fixed-size rows
      segments/000001.key  4 KB header, then the key of each row
      engine/              derived; stamped and checksummed; rebuilt when anything differs
      captions/            derived; vectors of captions by their texts; made again where it is lost
      calibration.json     derived; what a score means; checksummed; absent until somebody calibrates
      LOCK                 the writer's lock, with its pid

A commit writes rows past the committed ones, fdatasyncs, then one SQLite transaction makes them count. What lies past
``segment.rows`` is garbage that the next commit overwrites. Rows are never changed in place and files never shrink
while they may be mapped.
"""
