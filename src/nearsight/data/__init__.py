"""Pictures in: `images` finds and decodes them within limits, `datasets/` knows sets with labels and captions."""
