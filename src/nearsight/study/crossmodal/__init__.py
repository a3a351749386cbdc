"""Pictures and words in one space: how well captions and pictures find each other."""
