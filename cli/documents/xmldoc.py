"""Documents as XML, for the types whose first format it is (卷内文件目录, 信息查询结果, ...).

The vocabulary is this package's own (``urn:exchanged:fiction:1``): the exchange standard leaves the
inside of an XML document to the deployment.
"""

from __future__ import annotations

from cli.documents.context import MARK, DocumentContext
from packet_spec.xml import add, new_root, write_document


def render_xml(context: DocumentContext) -> bytes:
    """The document of ``context``: facts, paragraphs and one ``entry`` for each line of its index."""
    root = new_root(
        "fiction",
        "document",
        {
            "documentType": context.document_type,
            "title": context.title,
            "number": context.number,
            "date": context.issued_on.isoformat(),
        },
    )
    add(root, "mark", MARK)
    add(root, "issuer", context.issuer)
    add(root, "addressee", context.addressee)
    add(root, "caseName", context.case_name)
    for tag, texts in (
        ("caseNumber", context.case_numbers),
        ("party", context.parties),
        ("paragraph", context.paragraphs),
    ):
        for text in texts:
            add(root, tag, text)
    for entry in context.entries:
        add(
            root,
            "entry",
            number=str(entry.number),
            documentType=entry.document_type,
            title=entry.title,
            file=entry.file,
            volume=entry.volume,
            pages=str(entry.pages),
            size=str(entry.size),
            sha256=entry.sha256,
        )
    return write_document(root)
