"""Collections of pictures on disk, and finding things in them.

`store/` is the truth (catalogue and vector segments), `engines/` propose candidates, `Collection` is what users hold.
"""
