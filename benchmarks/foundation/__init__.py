"""Index, store, search and measure: the figures of the foundation."""
