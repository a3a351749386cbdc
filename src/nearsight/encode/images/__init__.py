"""Image towers: one file, one tower. See `nearsight.encode.encoder.ImageTower` for the contract."""
