"""What runs an exported network: one file, one runtime."""
