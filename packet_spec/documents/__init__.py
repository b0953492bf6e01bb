"""Whether an attachment is what it says: its declared format held against its content.

``check`` is the door: one document in, findings out; ``agreement`` holds an index against the packages of
the same packet. The same code runs at a vendor's desk, at the sending front-end and at the admitting node.
Nothing here opens a file: documents come as seekable binary file objects.
"""
