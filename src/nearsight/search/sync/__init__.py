"""Make a collection mirror a folder, doing no work twice.

`difference` walks the folder and holds it against the catalogue, `pipeline` reads, decodes and encodes what is new,
`mirror` is the whole run.
"""

from nearsight.search.sync.difference import moved_from
from nearsight.search.sync.mirror import sample, sync
from nearsight.search.sync.options import DEFAULT_LIMITS, Annotation, Options, columns, folder_label

__all__ = ["DEFAULT_LIMITS", "Annotation", "Options", "columns", "folder_label", "moved_from", "sample", "sync"]
