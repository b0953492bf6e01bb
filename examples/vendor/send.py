"""Send one notice with one attachment, and wait for what becomes of it. Python 3.7, standard library only.

    python send.py OUTBOX STATUS ATTACHMENT SENDER RECEIVER REFERENCE TITLE [utf-8|gbk|gb18030]

The three steps that count are marked 1, 2, 3. All else is this one business type: see README.md.
三个关键步骤标为 1、2、3；其余内容只与本业务类型有关，见 README.md。
"""

import datetime
import hashlib
import os
import sys
import time
import xml.etree.ElementTree as ET

BUSINESS_TYPE = "notice.publish"  # 通知公告: guide, business types
DOCUMENT_TYPE = "COM-017"  # the document that this type requires 必备文书
STATUS = "{urn:exchanged:status:1}"


def send(outbox, attachment, sender, receiver, reference, title, encoding):
    """Put the drop into the outbox. 投递。"""
    name = reference  # new for every drop: letters, digits, hyphens 每次不同
    folder = os.path.join(outbox, name + ".tmp")
    os.mkdir(folder)  # 1. a temporary name: nobody reads what ends in .tmp 临时名

    file_name = os.path.basename(attachment)
    size, sha256 = copy(attachment, os.path.join(folder, file_name))  # 2. size and digest 大小和摘要
    now = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    packet = ET.Element("packet", {"xmlns": "urn:exchanged:packet:1", "version": "1.0"})
    envelope = ET.SubElement(packet, "envelope")
    for element, text in (  # in this order 顺序固定
        ("senderRef", reference),
        ("businessType", BUSINESS_TYPE),
        ("sender", sender),
        ("receiver", receiver),
        ("createdAt", now),
        ("priority", "normal"),
        ("track", "single"),
        ("handover", "copy"),
        ("secrecy", "none"),
    ):
        ET.SubElement(envelope, element).text = text
    body = ET.SubElement(ET.SubElement(packet, "body"), BUSINESS_TYPE, {"xmlns": "urn:exchanged:body:1"})
    ET.SubElement(body, "notice_title").text = title
    ET.SubElement(
        ET.SubElement(packet, "attachments"),
        "attachment",
        {"file": file_name, "documentType": DOCUMENT_TYPE, "size": str(size), "sha256": sha256},
    )
    # The declaration names the encoding; what GBK lacks becomes &#...; by itself.
    ET.ElementTree(packet).write(os.path.join(folder, "packet.xml"), encoding, xml_declaration=True)

    os.rename(folder, os.path.join(outbox, name))  # 3. the rename comes last 最后改名


def copy(source, target):
    digest, size = hashlib.sha256(), 0
    with open(source, "rb") as reader, open(target, "xb") as writer:
        for block in iter(lambda: reader.read(1 << 20), b""):
            writer.write(block)
            digest.update(block)
            size += len(block)
    return size, digest.hexdigest()


def load(status):  # None: not there yet, or just being replaced 读状态文件
    try:
        return ET.parse(status).getroot()
    except (OSError, ET.ParseError):
        return None


def wait(status, old):
    """Tell each state until it is final; the last one. 轮询状态，直到终态。"""
    before = None
    while True:
        time.sleep(1)
        root = load(status)
        if root is None or root.findtext(STATUS + "updatedAt") == old:  # of an earlier drop 旧状态
            continue
        state = root.findtext(STATUS + "state")
        if state != before:
            print("state:", state, root.findtext(STATUS + "message/" + STATUS + "zh"), flush=True)
            before = state
        if root.findtext(STATUS + "final") == "true":
            for finding in root.iter(STATUS + "finding"):
                print("finding:", finding.get("code"), finding.findtext(STATUS + "zh"))
                print("        ", finding.findtext(STATUS + "en"))
            return state


if __name__ == "__main__":
    if len(sys.argv) < 8:
        sys.exit(__doc__)
    outbox, rest, status = sys.argv[1], sys.argv[3:8], os.path.join(sys.argv[2], sys.argv[6] + ".status.xml")
    root = load(status)  # an earlier drop of that name may have left one 同名旧件的状态
    old = None if root is None else root.findtext(STATUS + "updatedAt")
    send(outbox, *rest, encoding=sys.argv[8] if sys.argv[8:] else "utf-8")
    sys.exit(0 if wait(status, old) in ("delivered", "collected", "signed") else 1)
