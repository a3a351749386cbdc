"""The encoder in the box, from random weights: its pictures, recipes, logs and commands. See README.md here."""
