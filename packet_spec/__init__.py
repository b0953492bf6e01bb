"""The exchange standard as pure code: bytes and values in, values or errors out.

Nothing here touches a disk, socket, clock, random source, logger or environment. Schemas
and the compiled catalogue are package data, read once. A lower floor never imports a higher one:
``packet_spec <- exchanged <- frontend_server <- cli``.
"""
