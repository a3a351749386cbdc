"""The routes, one file a subject: each has a `router`, and works through the `House` that a request's app carries."""
