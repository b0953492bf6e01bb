"""Real document files of invented content: PDF, OFD, JPEG, MP4, XML and dossier packages.

Every file can be opened by the ordinary programs of its format, says 虚构数据 FICTIONAL, and is the same
bytes for the same input. Nothing here knows packets or agencies.
"""
