"""From a recipe to an encoder folder and the proof beside it; published tables, trained row by row."""
