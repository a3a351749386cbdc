"""The HTTP API and the page: everything that comes in is bounded before work begins, everything that goes out is known.

::

    app        the application: what is served, and how errors look      settings   what may come in, how much at once
    guard      who may ask, and how long and how large a request is      problems   errors as application/problem+json
    house      the collections that are served, and who works for them   desks      how many are at work, who may wait
    room       one collection: its readers, its writer, its encoder      bodies     JSON and multipart, within bounds
    schemas    what is asked and answered                                asking     what is asked -> a query
    routes/    one file a subject                                        server     sockets, slow clients, the end
"""
