"""Experiments that people run: measure an encoder, train one, compare losses, reproduce a table; and their pages."""
