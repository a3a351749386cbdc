"""The encoder that comes along: how good it is beside its teacher, with words, and what it costs."""
