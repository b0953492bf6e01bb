"""A second verifier of proofs, written from docs/proof-format.md alone: Python 3.11 and PyNaCl, one file.

    python verify_proof.py FILE [FINGERPRINT]

Prints GOOD and exits with 0, or prints the first thing that is wrong or cannot be told and exits with 1. The
fingerprint of the roots has to come by another road: without it a proof may be invented. Holds the file in memory.
"""
import base64, hashlib, re, sys, unicodedata
import xml.etree.ElementTree as ET
from datetime import datetime, timedelta

from nacl.bindings import crypto_core_ed25519_is_valid_point
from nacl.exceptions import CryptoError
from nacl.signing import VerifyKey

SUITE, DAY = "ed25519-sha256", timedelta(days=1)
# Kind of a member, as its name without numbers has it -> at most how many bytes.
TOP = {"proof": 64, "case": 512, "directory/.xml": 16 << 20, "head/.xml": 5 << 10}
FOLDER = {"seal.xml": 4 << 20, "seal.sig": 1 << 10, "receipt/.xml": 257 << 10, "hop/.xml": 17 << 10,
          "log/": 16 << 10, "packet.xml": 8 << 20, "part/": (8 << 30) - 1}
LIMITS = TOP | FOLDER
ISSUERS = {"accepted": "a", "delivered": "r", "collected": "r", "signed": "r", "refused": "ar",
           "undeliverable": "ar", "expired": "asr"}  # a: admitting node, s: sender, r: recipient
SIGNATURE = rb"([a-z0-9-]{1,32}) ([0-9a-f]{32}) ((?:[0-9a-f]{2}){1,256})"
AFTER, ENDED = {"delivered", "collected", "signed"}, {"undeliverable", "expired"}
START = b"<!--exchanged-signature "
MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{6})?Z")
ENTRY = re.compile(rb"exchanged-inclusion-1\nhead ([0-9]{4})\nentry ((?:seal|receipt) [0-9a-f]{64})\n"
                   rb"index (0|[1-9][0-9]{0,17})\n((?:path [0-9a-f]{64}\n){0,64})")
FORMS = str.maketrans("(〔[【﹝)〕]】﹞\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "（（（（（）））））-------")
BROKEN = (LookupError, ValueError, TypeError, AttributeError, ArithmeticError, RecursionError, CryptoError, ET.ParseError)

class Fault(Exception):
    """A check that failed; its argument is the code without ``proof-``, empty for a broken form."""

def need(condition, code=""):
    if not condition:
        raise Fault(code)
def do(code, function, *args):
    """The function's answer; whatever has a broken form in it is a fault of that code."""
    try:
        return function(*args)
    except (Fault, *BROKEN) as fault:
        raise Fault(isinstance(fault, Fault) and fault.args[0] or code) from None
def sha(data):
    return hashlib.sha256(data).hexdigest()
def moment(text):
    need(MOMENT.fullmatch(text))
    return datetime.fromisoformat(text[:-1])
def one_form(text):
    return "".join(unicodedata.normalize("NFKC", text).split()).upper().translate(FORMS)

def read_file(file):
    """What concerns all, and the folders of the packets: kind of member -> members."""
    top, folders, names = {kind: [] for kind in TOP}, [], []
    while (head := file.read(512)) != bytes(512):
        name, size = head[:100].rstrip(b"\0"), int(head[124:135], 8)
        same = (name.ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + b"%011o\0" % size + b"0" * 11 + b"\0"
                + b" " * 8 + b"0" + bytes(100) + b"ustar\x0000" + bytes(64) + b"0000000\0" * 2 + bytes(167))
        need(head == same[:148] + b"%06o\0 " % sum(same) + same[156:])
        names.append(name.decode("ascii"))
        kind = re.sub(r"(?<=/)[0-9]{4}(?=[./]|$)", "", names[-1]).removeprefix("packet//")
        folders += [{each: [] for each in FOLDER}] if kind == "seal.xml" else []
        need(0 <= size <= LIMITS[kind])
        data = file.read(size + -size % 512)
        need(len(data) == size + -size % 512 and not any(data[size:]))
        (top if kind in TOP else folders[-1])[kind].append(read_member(kind, data[:size]))
    need(file.read(513) == bytes(512))
    places = [("", top), *((f"packet/{number:04d}/", each) for number, each in enumerate(folders, 1))]
    need(names == [start + re.sub("/", f"/{number:04d}", kind) for start, place in places
                   for kind, members in place.items() for number in range(1, len(members) + 1)])
    need(len(top["proof"]) == 1 and len(top["case"]) <= 1 and top["directory/.xml"] and folders)
    need(all(len(each["seal.sig"]) == 1 >= len(each["packet.xml"]) >= bool(each["part/"]) for each in folders))
    need({int(entry[1]) for each in folders for entry in each["log/"]} == {*range(1, len(top["head/.xml"]) + 1)})
    need(len({each["seal.xml"][0] for each in folders}) == len(folders), "packet-twice")
    return top, folders
def read_member(kind, data):
    other = "version" if re.fullmatch(rb"exchanged-proof-[1-9][0-9]{0,8}\n", data) else ""
    need(kind != "proof" or data == b"exchanged-proof-1\n", other)
    need(kind != "case" or len(data) > 1 and data.decode() == one_form(data.decode()) + "\n")
    need(kind != "log/" or ENTRY.fullmatch(data))
    return ENTRY.fullmatch(data) if kind == "log/" else data
def verify(key, suite, prefix, document, value, wrong="signature-wrong"):
    """``key`` are the attributes of a key or root in a directory."""
    need(key["suite"] == suite == SUITE, "suite-unknown")
    public = bytes.fromhex(key["public"])
    need(do(wrong, crypto_core_ed25519_is_valid_point, public), wrong)
    do(wrong, VerifyKey(public).verify, f"exchanged-{prefix}-1\n".encode() + document, value)
def split(data):
    """The document, and of each signature line suite, key id and value."""
    document, found, rest = data.partition(START)
    lines = re.findall(START + SIGNATURE + rb"-->\n", found + rest)
    need(b"".join(START + b" ".join(line) + b"-->\n" for line in lines) == found + rest)
    need(document.endswith(b"\n") and 1 <= len(lines) <= 32 and len({line[1] for line in lines}) == len(lines))
    return document, [(suite.decode(), key_id.decode(), bytes.fromhex(value.decode())) for suite, key_id, value in lines]
def parse(data, kind, root):
    """The root element; names lose the namespace of the kind."""
    need(b"<!DOCTYPE" not in data)
    element = ET.fromstring(data.decode())
    start, _, rest = element.tag.rpartition(":")
    same = rest.startswith("1}") and element.get("formatVersion", "1") == "1"
    need(same or kind == "packet" or start != f"{{urn:exchanged:{kind}", "version")
    need(f"{start}:{rest}" == f"{{urn:exchanged:{kind}:1}}{root}")
    for each in element.iter():
        each.tag = each.tag.removeprefix(start + ":1}")
    return element
def flat(element):
    """Attributes, texts of children, and attributes of children as ``child/name``."""
    found = {f"{each.tag}/{name}": value for each in element for name, value in each.attrib.items()}
    return found | element.attrib | {each.tag: each.text or "" for each in element}

class Directory:
    def __init__(self, document):
        root = parse(document, "directory", "directory")
        roots, nodes, agencies = root.findall("roots/root"), root.findall("node"), root.findall("agency")
        keys = [(key, node.attrib["code"]) for node in nodes for key in node.findall("key")]
        self.roots = {each.attrib["id"]: each.attrib for each in roots}
        self.nodes, self.agencies = ({each.attrib["code"]: each.attrib for each in all} for all in (nodes, agencies))
        self.keys = {key.attrib["id"]: (key, node) for key, node in keys}
        self.issued, self.expires = moment(root.attrib["issuedAt"]), moment(root.attrib["expiresAt"])
        numbers = root.get("epoch", "1"), root.attrib["version"], root.find("roots").attrib["threshold"]
        *self.edition, self.threshold = map(int, numbers)
        listed = [*(each.attrib for each in roots), *(key.attrib for key, _ in keys)]
        ids = [sha(f"{each['suite']}\n".encode() + bytes.fromhex(each["public"]))[:32] for each in listed]
        need([each["id"] for each in listed] == ids and 1 <= self.threshold <= len(roots) and self.issued < self.expires)
        need([*map(len, (self.nodes, self.agencies, {*ids}))] == [*map(len, (nodes, agencies, ids))])
        need(all(moment(key.attrib["notBefore"]) < moment(key.attrib["notAfter"]) for key, _ in keys))
        need(all({each["node"], each["admittingNode"]} <= self.nodes.keys() for each in self.agencies.values()))
        need(all(len(self.above(code)) <= len(nodes) for code in self.nodes))
        public = sorted(f"{each['suite']}:{each['public']}\n" for each in self.roots.values())
        self.fingerprint = sha(f"exchanged-roots-1\n{self.threshold}\n{''.join(public)}".encode())
    def above(self, code):
        found = [code]
        while (code := self.nodes[code].get("parent")) and len(found) <= len(self.nodes):
            found.append(code)
        return found
    def is_leg(self, sender, recipients, leg):
        """A way goes up to the first node that is above its end too, and down from there."""
        agency, ends = self.agencies[sender], [self.agencies[each]["node"] for each in recipients]
        ways = [(agency["node"], agency["admittingNode"]), *((agency["admittingNode"], end) for end in ends)]
        legs = {(end, "") for end in ends}
        for up, down in ((self.above(first), self.above(last)) for first, last in ways):
            pairs, both = {*zip(up, up[1:]), *zip(down[1:], down)}, {*up} & {*down}
            legs |= {each for each in pairs if both and not {*each} <= both}
        return leg in legs

class Chain:
    def __init__(self, files, fingerprint):
        self.all = []
        for document, lines in (do("directory-signature", split, data) for data in files):
            here = do("directory-content", Directory, document)
            before = self.all[-1] if self.all else here
            for suite, key_id, value in lines:
                root = before.roots.get(key_id) or here.roots.get(key_id)
                need(root, "directory-signature")
                verify(root, suite, "directory", document, value, "directory-signature")
            need(all(len({line[1] for line in lines} & each.roots.keys()) >= each.threshold for each in (before, here)),
                 "directory-chain")
            need(here is before or before.edition < here.edition < [before.edition[0] + 2, 0], "directory-chain")
            self.all.append(here)
        need(fingerprint in ("", self.all[0].fingerprint), "roots-not-trusted")
    def decides(self, at, *agencies):
        found = [each for each in self.all if each.issued <= at < each.expires][-1:]
        found = found or [each for each in self.all if each.issued > at]
        need(found, "directory-silent")
        need(found[0].agencies.keys() >= {*agencies}, "speaker-unknown")
        return found[0]
    def open(self, prefix, document, suite, key_id, value):
        key = next((each.keys[key_id][0].attrib for each in self.all if key_id in each.keys), None)
        need(key, "key-unknown")
        verify(key, suite, prefix, document, value)
    def read(self, data, kind, root):
        document, lines = split(data)
        need(len(lines) == 1)
        self.open(kind, document, *lines[0])
        return flat(parse(document, kind, root)), lines[0][1]
    def check_key(self, node, use, key_id, at, witnesses):
        """``witnesses`` are moments at which others saw the statement."""
        here = self.decides(at)
        need(node in here.nodes, "speaker-unknown")
        need(key_id in here.keys, "key-unknown")
        key, owner = here.keys[key_id]
        need(owner == node, "key-of-another-node")
        need(use in [each.text for each in key.findall("use")], "key-of-another-use")
        need(moment(key.attrib["notBefore"]) <= at < moment(key.attrib["notAfter"]), "key-not-valid")
        dates = [each.keys[key_id][0].get("revokedAt") for each in self.all if key_id in each.keys]
        revoked = min((moment(date) for date in dates if date), default=None)
        need(not revoked or at < revoked, "key-revoked")
        need(not revoked or any(seen < revoked for seen in witnesses), "key-revoked-later")

def is_included(entry, head):
    index, last = int(entry[3]), int(head["size"]) - 1
    value, fits = hashlib.sha256(b"\0exchanged-log-entry-1\n" + entry[2] + b"\n").digest(), index <= last
    for step in (bytes.fromhex(line[5:].decode()) for line in entry[4].splitlines()):
        fits, is_left = fits and last > 0, index % 2 or index == last
        value = hashlib.sha256(b"\1" + (step + value if is_left else value + step)).digest()
        while is_left and index and not index % 2:
            index, last = index // 2, last // 2
        index, last = index // 2, last // 2
    return fits and last == 0 and value.hex() == head["root"]

def check_packet(chain, folder, top):
    """One line that says what the folder shows. Nobody can write more into it than codes, numbers and times."""
    document, line = folder["seal.xml"][0], re.fullmatch(SIGNATURE + rb"\n", folder["seal.sig"][0])
    suite, sealer, value = (each.decode() for each in line.groups())
    chain.open("seal", document, suite, sealer, bytes.fromhex(value))
    element = parse(document, "seal", "seal")
    seal, parts = flat(element), [each.attrib for each in element.findall("part")]
    text = f"exchanged-content-1\npacket.xml {seal['packetXml/digest']}\n".encode()
    for part in parts:
        name = part["name"].encode() if "name" in part else base64.b64decode(part["nameBase64"])
        text += b"part %d %b %b\n" % (len(name), name, f"{part['size']} {part['digest']}".encode())
    need([seal["key/id"], seal["key/suite"], seal["contentDigest"]] == [sealer, suite, sha(text)], "seal-inconsistent")
    need([part["index"] for part in parts] == [*map(str, range(1, len(parts) + 1))], "seal-inconsistent")
    sender, sealed, digest = seal["sender"], moment(seal["sealedAt"]), sha(document)
    recipients = [each.text for tag in ("receiver", "copyTo") for each in element.findall(tag)]
    need(re.fullmatch("([0-9a-f-]{1,36} )+", " ".join([sender, seal["packetId"], seal["attempt"], *recipients, ""])))
    receipts = [chain.read(data, "receipt", "receipt") for data in folder["receipt/.xml"]]
    times = {f"seal {digest}": sealed}
    for data, (said, _) in zip(folder["receipt/.xml"], receipts, strict=True):
        said["entry"], said["to"] = f"receipt {sha(data)}", said.get("recipient", "")
        said["when"] = times[said["entry"]] = moment(said["issued/at"])
        same = all(said[each] == seal[each] for each in ("sender", "packetId", "attempt", "contentDigest"))
        need(same and said["sealDigest"] == digest, "other-packet")
    here, seen = chain.decides(sealed, sender), {entry: [] for entry in times}
    agency, at_home = here.agencies[sender], here.nodes[here.agencies[sender]["node"]]
    for entry in folder["log/"]:
        need(entry[2].decode() in times, "log-entry-other")
        head, key_id = chain.read(top["head/.xml"][int(entry[1]) - 1], "log-head", "logHead")
        need(head["node"] == agency["admittingNode"], "log-of-another-node")
        chain.check_key(head["node"], "log", key_id, moment(head["at"]), ())
        need(is_included(entry, head), "log-not-included")
        need(times[entry[2].decode()] - moment(head["at"]) <= DAY, "order-impossible")
        seen[entry[2].decode()].append(moment(head["at"]))
    for said, key_id in receipts:
        check_receipt(chain, seal, recipients, [each for each, _ in receipts], said, key_id, seen[said["entry"]])
    off = {agency.get("disabled"), at_home.get("disabled")} & {"true", "1"}
    need(not off, "sender-disabled" + "-later" * (here.issued > sealed))
    need("retiredAt" not in agency or sealed < moment(agency["retiredAt"]), "sender-retired")
    accepted = [said["when"] for said, key_id in receipts if said["kind"] == "accepted" and key_id != sealer]
    chain.check_key(agency["node"], "seal", sealer, sealed, accepted + seen[f"seal {digest}"])
    kinds = {said["kind"] for said, _ in receipts}
    need("accepted" in kinds or kinds & {"refused", *ENDED} and not kinds & AFTER, "accepted-missing")
    for hop, key_id in (chain.read(data, "hop", "hop") for data in folder["hop/.xml"]):
        left = moment(hop["leftAt"])
        need([hop["sender"], hop["packetId"], hop["sealDigest"]] == [sender, seal["packetId"], digest], "other-packet")
        there, leg = chain.decides(left, sender, *recipients), (hop["node"], hop.get("nextNode", ""))
        need(there.is_leg(sender, recipients, leg), "hop-off-the-way")
        chain.check_key(hop["node"], "link", key_id, left, ())
        need(max(moment(hop["landedAt"]), sealed) - left <= DAY, "order-impossible")
    carried = [(str(len(data)), sha(data)) for data in folder["packet.xml"] + folder["part/"]]
    stated = [(seal["packetXml/size"], seal["packetXml/digest"]), *((part["size"], part["digest"]) for part in parts)]
    need(not folder["packet.xml"] or carried == stated, "content-differs")
    for case in top["case"]:
        need(case.decode()[:-1] in do("case-not-shown", numbers_of, folder["packet.xml"], seal), "other-case")
    told = [f"{each['kind']} {each['to'] or '-'} {each['when']}Z" for each, _ in receipts]
    told += ["content"] * bool(carried) + [f"case {case.decode()[:-1]!r}" for case in top["case"]]
    return f"{sender} {seal['packetId']} attempt {seal['attempt']} sealed {sealed}Z, " + ", ".join(told)

def check_receipt(chain, seal, recipients, receipts, said, key_id, seen):
    kind, to, at, sender = said["kind"], said["to"], said["when"], seal["sender"]
    all_said = [(each["kind"], each["to"]) for each in receipts]
    need(to in ["", *recipients], "not-a-recipient")
    agencies = chain.decides(at, sender, *[to] * bool(to)).agencies
    parties = {"a": [agencies[sender]["admittingNode"]], "s": [agencies[sender]["node"], sender],
               "r": [agencies[to]["node"], to] if to else []}
    speaker = next((parties[part][0] for part in ISSUERS[kind] if said["issued/by"] in parties[part]), None)
    need(speaker, "not-the-issuer")
    chain.check_key(speaker, "receipt", key_id, at, seen)
    need(moment(seal["sealedAt"]) - at <= DAY, "order-impossible")
    accepted = [each["when"] for each in receipts if each["kind"] == "accepted"] or [at]
    delivered = [each["when"] for each in receipts if (each["kind"], each["to"]) == ("delivered", to)]
    need(kind not in AFTER or accepted[0] - at <= DAY, "order-impossible")
    missing = "order-impossible" if delivered else "delivered-missing"
    need(kind not in {"collected", "signed"} or delivered and delivered[0] <= at, missing)
    need(kind != "expired" or "expiresAt" in seal and moment(seal["expiresAt"]) - at <= DAY, "order-impossible")
    need("accepted" not in dict(all_said) or ("refused", "") not in all_said, "contradiction")
    came = kind in ENDED and any(one == "delivered" and to in ("", other) for one, other in all_said)
    need(not came and all_said.count((kind, to)) == 1, "contradiction")
def numbers_of(packet_xml, seal):
    text = packet_xml[0].decode(seal["packetXml/encoding"]).removeprefix("\ufeff")
    root = parse(re.sub(r"\A<\?xml.*?\?>", "", text, flags=re.S).encode(), "packet", "packet")
    return [one_form(each.text or "") for each in root.findall("envelope/case/number")]

def check(file, fingerprint=""):
    """The fingerprint of the proof's roots and a line for each packet. Raises Fault with the code."""
    top, folders = do("layout", read_file, file)
    chain = Chain(top["directory/.xml"], fingerprint)
    return chain.all[0].fingerprint, [do("document-malformed", check_packet, chain, each, top) for each in folders]
def main(path, fingerprint=""):
    try:
        with open(path, "rb") as file:
            found, lines = check(file, fingerprint)
    except (Fault, OSError) as fault:
        sys.exit(f"NOT PROVEN: {fault}" if isinstance(fault, OSError) else f"NOT PROVEN: proof-{fault.args[0]}")
    print(*lines, f"roots {found}", *["GOOD"] * bool(fingerprint), sep="\n")
    sys.exit(None if fingerprint else "NOT PROVEN: proof-roots-not-compared")

if __name__ == "__main__":
    main(*sys.argv[1:]) if 1 < len(sys.argv) < 4 else sys.exit(__doc__)
