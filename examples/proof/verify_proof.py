"""A second verifier of proofs, written from docs/proof-format.md alone: Python 3.11 and PyNaCl, one file.

    python verify_proof.py [--root ed25519-sha256:HEX ...] [--threshold N] FILE

Prints JSON. Exit codes: 0 proven, 1 refused, 2 wrong use, 3 held. Known limit: needs memory for the whole file.
"""
import argparse, base64, hashlib, json, re, sys, unicodedata
import xml.etree.ElementTree as ET
from datetime import datetime, timedelta

from nacl.bindings import crypto_core_ed25519_is_valid_point
from nacl.exceptions import CryptoError
from nacl.signing import VerifyKey

SUITE, DAY = "ed25519-sha256", timedelta(days=1)
# Kind of a member -> its letter in ORDER, and at most how many bytes.
MEMBERS = {
    "proof": ("P", 64), "case": ("C", 512), "directory.xml": ("D", 16 << 20), "seal.xml": ("S", 4 << 20),
    "seal.sig": ("G", 1 << 10), "receipt.xml": ("R", 257 << 10), "hop.xml": ("O", 17 << 10),
    "head.xml": ("H", 17 << 10), "log": ("L", 16 << 10), "packet.xml": ("X", 8 << 20), "part": ("A", 1 << 33)}
ORDER = re.compile("PC?D+(SGR*O*(HL)*(XA*)?)+")
ISSUERS = {"accepted": "a", "delivered": "r", "collected": "r", "signed": "r", "refused": "ar",
           "undeliverable": "ar", "expired": "asr"}  # a: admitting node, s: sender, r: recipient
SIGNATURE = rb"([a-z0-9-]{1,32}) ([0-9a-f]{32}) ((?:[0-9a-f]{2}){1,256})"
START, MOMENT = b"<!--exchanged-signature ", re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z", re.ASCII)
ENTRY = re.compile(r"exchanged-inclusion-1\n((?:seal|receipt) [0-9a-f]{64})\n(0|[1-9]\d{0,17})\n"
                   r"((?:[0-9a-f]{64}\n){0,64})", re.ASCII)
FORMS = str.maketrans("(〔[【﹝)〕]】﹞‐‑‒–—―−", "（（（（（）））））-------")
STATES = {"?": "held", "-": "absent"}  # how a code begins here that is not bad

class Fault(Exception):
    """A check that failed; its argument is the code without ``proof-``, behind the sign of its state."""

UNREAD = (Fault, KeyError, ValueError, TypeError, AttributeError, IndexError, RecursionError, ET.ParseError)

def need(condition, code="document-malformed"):
    if not condition:
        raise Fault(code)

def told(fault):
    code = fault.args[0] if isinstance(fault, Fault) else "document-malformed"
    return {"code": "proof-" + code.lstrip("?-"), "state": STATES.get(code[0], "bad")}

def sha(data):
    return hashlib.sha256(data).hexdigest()

def moment(text):
    need(MOMENT.fullmatch(text))
    return datetime.fromisoformat(text[:-1])

def one_form(text):
    return "".join(unicodedata.normalize("NFKC", text).split()).upper().translate(FORMS)

def read_file(file):
    """What concerns all, and one such thing for each packet: kind -> members."""
    folders, letters, number = [{kind: [] for kind in MEMBERS}], "", 0
    while (head := file.read(512)) != bytes(512):
        name, number = head[:100].rstrip(b"\0"), number + 1
        same = (name.ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + head[124:136] + b"0" * 11 + b"\0"
                + b" " * 8 + b"0" + bytes(100) + b"ustar\x0000" + bytes(64) + b"0000000\0" * 2 + bytes(167))
        need(re.fullmatch(rb"[0-7]{11}\0", head[124:136]), "layout")
        need(head == same[:148] + b"%06o\0 " % sum(same) + same[156:], "layout")
        kind, size = name.decode("ascii", "replace").rpartition("-")[2], int(head[124:135], 8)
        need(kind in MEMBERS and size <= MEMBERS[kind][1], "layout")
        folders += [{each: [] for each in MEMBERS}] * (kind == "seal.xml")
        folder = f"packet-{len(folders) - 1:04d}/" * (len(folders) > 1)
        need(name.decode() == f"{folder}{number:06d}-{kind}", "layout")
        data = file.read(size)
        need(len(data) == size and file.read(-size % 512) == bytes(-size % 512), "layout")
        text = data.decode("utf-8", "replace") if kind in {"proof", "case", "log"} else ""
        need(kind != "proof" or text[:-2] != "exchanged-proof-" or text[-2:] in {"0\n", "1\n"}, "?version")
        need(kind != "proof" or text == "exchanged-proof-1\n", "layout")
        need(kind != "case" or len(text) > 1 and text == one_form(text) + "\n", "layout")
        need(kind != "log" or ENTRY.fullmatch(text), "layout")
        folders[-1][kind].append(data)
        letters += MEMBERS[kind][0]
    need(file.read(513) == bytes(512) and ORDER.fullmatch(letters), "layout")
    need(len({folder["seal.xml"][0] for folder in folders[1:]}) == len(folders) - 1, "packet-twice")
    return folders

def verify(key, suite, prefix, document, value):
    """``key`` is an element of a directory."""
    need(key.attrib["suite"] == suite == SUITE, "?suite-unknown")
    public = bytes.fromhex(key.attrib["public"])
    need(len(value) == 64 and len(public) == 32, "signature-wrong")
    need(crypto_core_ed25519_is_valid_point(public), "signature-wrong")
    try:
        VerifyKey(public).verify(f"exchanged-{prefix}-1\n".encode() + document, value)
    except CryptoError:
        raise Fault("signature-wrong") from None

def split(data):
    """The document and its signatures: suite, key id, value."""
    document, found, rest = data.partition(START)
    lines = re.findall(START + SIGNATURE + rb"-->\n", found + rest)
    need(b"".join(START + b" ".join(line) + b"-->\n" for line in lines) == found + rest)
    need(document[-1:] == b"\n" and 1 <= len(lines) <= 32 and len({line[1] for line in lines}) == len(lines))
    return document, [(one.decode(), two.decode(), bytes.fromhex(three.decode())) for one, two, three in lines]

def parse(text, kind, root):
    """The root element; names lose the namespace of the kind."""
    need("<!DOCTYPE" not in text)
    element = ET.fromstring(text)
    version = "1" if kind == "packet" else element.get("formatVersion", "")
    start, _, rest = element.tag.rpartition(":")
    need(start == f"{{urn:exchanged:{kind}" and rest.endswith("}" + root) and version)
    need(rest == "1}" + root and version == "1", "?version")
    for each in element.iter():
        each.tag = each.tag.removeprefix(start + ":1}")
    return element

def flat(element):
    """Attributes, texts of children, and attributes of children as ``child/name``; of one name the last."""
    found = {f"{each.tag}/{name}": value for each in element for name, value in each.attrib.items()}
    return {**found, **element.attrib, **{each.tag: each.text or "" for each in element}}

class Directory:
    def __init__(self, data):
        self.document, self.lines = split(data)
        root = parse(self.document.decode(), "directory", "directory")
        nodes, agencies, roots = root.findall("node"), root.findall("agency"), root.findall("roots/root")
        self.roots = {each.attrib["id"]: each for each in roots}
        self.nodes = {each.attrib["code"]: each.attrib for each in nodes}
        self.agencies = {each.attrib["code"]: each.attrib for each in agencies}
        self.keys = {key.attrib["id"]: (key, node.attrib["code"]) for node in nodes for key in node.findall("key")}
        self.edition = int(root.get("epoch", 1)), int(root.attrib["version"])
        self.threshold = int(root.find("roots").attrib["threshold"])
        self.issued, self.expires = moment(root.attrib["issuedAt"]), moment(root.attrib["expiresAt"])
        listed = [each.attrib for each in roots + root.findall("node/key")]
        ids = [sha(f"{each['suite']}\n".encode() + bytes.fromhex(each["public"]))[:32] for each in listed]
        need(ids == [each["id"] for each in listed] and len(set(ids)) == len(ids))
        need(len(self.nodes) == len(nodes) and len(self.agencies) == len(agencies))
        need(1 <= self.threshold <= len(roots) and all(map(self.above, self.nodes)))

    def above(self, code):
        """The node and all above it."""
        return [code, *self.above(self.nodes[code].get("parent"))] if code else []

    def between(self, start, end):
        """The nodes on the tree way between two nodes."""
        up, down = self.above(start), self.above(end)
        meet = [each for each in up if each in down][:1]
        need(meet, "?speaker-unknown")
        return {*up} ^ {*down} | {*meet}

class Chain:
    """The directories of a file, signed one after the other from the anchor on."""

    def __init__(self, files, trusted, threshold):
        self.all = []
        for here in map(Directory, files):
            steps = [here, *self.all[-1:]]
            for suite, key_id, value in here.lines:
                root = next((each.roots[key_id] for each in steps if key_id in each.roots), None)
                need(root is not None, "directory-signature")
                verify(root, suite, "directory", here.document, value)
            signed, (epoch, version) = {line[1] for line in here.lines}, steps[-1].edition
            need(all(len(signed & each.roots.keys()) >= each.threshold for each in steps), "directory-chain")
            need(here is steps[-1] or (epoch, version) < here.edition < (epoch + 2, 0), "directory-chain")
            self.all.append(here)
        roots = self.all[0].roots.items()
        self.roots = {each: f"{key.attrib['suite']}:{key.attrib['public']}" for each, key in roots}
        anchored = [line for line in self.all[0].lines if self.roots[line[1]] in trusted]
        need(not trusted or len(anchored) >= threshold, "roots-not-trusted")

    def decides(self, at, *agencies):
        now = [each for each in self.all if each.issued <= at < each.expires][-1:]
        found = now or [each for each in self.all if each.issued > at]
        need(found, "?directory-silent")
        need(found[0].agencies.keys() >= set(agencies), "?speaker-unknown")
        return found[0]

    def open(self, prefix, document, suite, key_id, value):
        key = next((each.keys[key_id][0] for each in self.all if key_id in each.keys), None)
        need(key is not None, "?key-unknown")
        verify(key, suite, prefix, document, value)

    def read(self, data, kind, root):
        document, lines = split(data)
        need(len(lines) == 1)
        self.open(kind, document, *lines[0])
        return flat(parse(document.decode(), kind, root)), lines[0][1]

    def revoked(self, key_id):
        dates = [each.keys[key_id][0].get("revokedAt") for each in self.all if key_id in each.keys]
        return min((moment(date) for date in dates if date), default=None)

    def check_key(self, node, use, key_id, at):
        here, revoked = self.decides(at), self.revoked(key_id)
        need(node in here.nodes, "?speaker-unknown")
        key, owner = here.keys.get(key_id, (None, None))
        need(owner, "?key-unknown")
        need(owner == node, "key-of-another-node")
        need(use in [each.text for each in key.findall("use")], "key-of-another-use")
        need(moment(key.attrib["notBefore"]) <= at < moment(key.attrib["notAfter"]), "key-not-valid")
        need(not revoked or at < revoked, "key-revoked")

    def check_witness(self, _, key_id, times):
        revoked = self.revoked(key_id)
        need(not revoked or any(at < revoked for at in times), "?key-revoked-later")

class Packet:
    """One folder: what was read of it, and its claims in order."""

    def __init__(self, chain, files):
        self.chain, self.files, self.claims, self.read, self.in_log, self.noted = chain, files, [], [], {}, set()
        self.told, self.numbers = {"sender": "", "packet_id": "", "attempt": 0}, set()
        sealed = self.check("sealed", self.read_seal)
        if not self.told["sender"]:
            return
        receipts = [self.check("receipt", self.read_receipt, data) for data in files["receipt.xml"]]
        kinds = {claim["claim"] for claim, *_ in self.read}
        if not kinds & {"accepted", "refused", "undeliverable", "expired"}:
            self.check("accepted", lambda _: need(None, "?accepted-missing"))
        for data in files["hop.xml"]:
            self.check("hop", self.judge_hop, data)
        self.check("way", self.judge_way)
        entries = [f"seal {self.digest}", *(f"receipt {sha(data)}" for data in files["receipt.xml"])]
        for head, data in zip(files["head.xml"], files["log"], strict=True):
            self.check("log-entry", self.judge_log, head, ENTRY.fullmatch(data.decode()), entries)
        self.check("logged", lambda _: need({*entries} <= self.in_log.keys(), "-not-in-log"))
        self.check(sealed, self.judge_seal)
        for facts in self.read:
            self.check(facts[0], self.judge_receipt, *facts[1:])
        accepted = [facts[1] for facts in self.read if facts[0]["claim"] == "accepted" and facts[2] != self.key_id
                    and facts[0]["state"] == "proven"]
        self.check(sealed, chain.check_witness, self.key_id, accepted + self.in_log.get(entries[0], []))
        for claim, entry in zip([sealed, *receipts], entries, strict=True):
            claim["logged"] = entry in self.in_log
        self.content = self.check("content", self.judge_content)["state"] == "proven"

    def check(self, claim, steps, *args):
        """Do the next steps of a claim, or the first ones of a new one by that name."""
        if isinstance(claim, str):
            claim = dict(claim=claim, state="proven", code="", by="", at="", to="", logged=False)
            self.claims.append(claim)
        try:
            if claim["state"] == "proven":
                steps(claim, *args)
        except UNREAD as fault:
            claim |= told(fault)
        return claim

    def read_seal(self, claim):
        data, line = self.files["seal.xml"][0], re.fullmatch(SIGNATURE + rb"\n", self.files["seal.sig"][0])
        suite, self.key_id, value = (each.decode() for each in line.groups())
        self.chain.open("seal", data, suite, self.key_id, bytes.fromhex(value))
        element = parse(data.decode(), "seal", "seal")
        self.seal, self.parts = flat(element), [part.attrib for part in element.findall("part")]
        text = f"exchanged-content-1\npacket.xml {self.seal['packetXml/digest']}\n".encode()
        for part in self.parts:
            name = part["name"].encode() if "name" in part else base64.b64decode(part["nameBase64"])
            text += b"part %d %b %b\n" % (len(name), name, f"{part['size']} {part['digest']}".encode())
        people = element.findall("receiver") + element.findall("copyTo")
        self.sealed, self.recipients = moment(self.seal["sealedAt"]), [each.text for each in people]
        right = [self.key_id, suite, sha(text), *map(str, range(1, len(self.parts) + 1))]
        stated = [self.seal[name] for name in ("key/id", "key/suite", "contentDigest")]
        need(stated + [part["index"] for part in self.parts] == right, "seal-inconsistent")
        self.sender, self.digest, self.same = self.seal["sender"], sha(data), [
            self.seal["sender"], self.seal["packetId"], sha(data), self.seal["attempt"], self.seal["contentDigest"]]
        claim |= {"by": self.sender, "to": self.seal["packetId"], "at": self.seal["sealedAt"]}
        self.told = {"sender": self.sender, "packet_id": claim["to"], "attempt": int(self.seal["attempt"])}

    def judge_seal(self, _):
        here = self.chain.decides(self.sealed, self.sender)
        agency, node = here.agencies[self.sender], here.nodes[here.agencies[self.sender]["node"]]
        off = {agency.get("disabled"), node.get("disabled")} & {"true", "1"}
        need(not off, "sender-disabled" if here.issued <= self.sealed else "?sender-disabled-later")
        need(self.sealed < moment(agency.get("retiredAt", "9999-12-31T00:00:00Z")), "sender-retired")
        self.chain.check_key(agency["node"], "seal", self.key_id, self.sealed)

    def read_receipt(self, claim, data):
        said, key_id = self.chain.read(data, "receipt", "receipt")
        at, stated = moment(said["issued/at"]), ["sender", "packetId", "sealDigest", "attempt", "contentDigest"]
        stated = [said[name] for name in stated]
        need(said["kind"] in ISSUERS)
        claim |= {"claim": said["kind"], "by": said["issued/by"], "at": said["issued/at"], "to": said.get("recipient", "")}
        need(stated == self.same, "other-packet")
        self.read.append((claim, at, key_id, f"receipt {sha(data)}"))

    def judge_receipt(self, claim, at, key_id, entry):
        kind, by, to = claim["claim"], claim["by"], claim["to"]
        need(to in ["", *self.recipients], "not-a-recipient")
        here = self.chain.decides(at, self.sender, *[to] * bool(to))
        sender = here.agencies[self.sender]
        parties = {"a": [sender["admittingNode"]], "s": [sender["node"], self.sender],
                   "r": [here.agencies[to]["node"], to] if to else []}
        node = next((parties[part][0] for part in ISSUERS[kind] if by in parties[part]), None)
        need(node, "not-the-issuer")
        self.chain.check_key(node, "receipt", key_id, at)
        accepted, = [facts[1] for facts in self.read if facts[0]["claim"] == "accepted"][:1] or [None]
        same = [facts for facts in self.read if facts[0]["to"] == to]
        delivered, = [facts[1] for facts in same if facts[0]["claim"] == "delivered"][:1] or [None]
        need(at + DAY >= self.sealed, "order-impossible")
        if kind in {"delivered", "collected", "signed"}:
            need(accepted, "?accepted-missing")
            need(at + DAY >= accepted, "order-impossible")
        if kind in {"collected", "signed"}:
            need(delivered, "?delivered-missing")
            need(at >= delivered, "order-impossible")
        need(kind != "expired" or at + DAY >= moment(self.seal.get("expiresAt", "9999-12-31T00:00:00Z")), "order-impossible")
        need([facts[0]["claim"] for facts in same].count(kind) == 1, "?contradiction")
        need(kind not in {"undeliverable", "expired"} or not delivered, "?contradiction")
        self.chain.check_witness(claim, key_id, self.in_log.get(entry, []))

    def way(self, here):
        """The nodes on the way to each recipient, but for the sender's own."""
        start, turn = here.agencies[self.sender]["node"], here.agencies[self.sender]["admittingNode"]
        ends = [here.agencies[each]["node"] for each in self.recipients]
        ways = [here.between(start, turn), *(here.between(turn, end) for end in ends)]
        return set().union(*ways) - {start} | {*ends}

    def judge_hop(self, claim, data):
        said, key_id = self.chain.read(data, "hop", "hop")
        node, then, at, to = said["node"], moment(said["landedAt"]), moment(said["leftAt"]), said.get("nextNode", "")
        claim |= {"by": node, "at": said["leftAt"], "to": to}
        need([said["sender"], said["packetId"], said["sealDigest"]] == self.same[:3], "other-packet")
        here = self.chain.decides(at, self.sender, *self.recipients)
        way, ends = self.way(here), {here.agencies[each]["node"] for each in self.recipients}
        near = to in way and (here.nodes[node].get("parent") == to or here.nodes[to].get("parent") == node)
        need(node in way and (near or not to and node in ends), "hop-off-the-way")
        self.chain.check_key(node, "link", key_id, at)
        need(at + DAY >= then and at + DAY >= self.sealed, "order-impossible")
        self.chain.check_witness(claim, key_id, [])
        self.noted.add(node)

    def judge_way(self, _):
        here = self.chain.decides(self.sealed, self.sender, *self.recipients)
        need(self.noted >= self.way(here), "-way-incomplete")

    def judge_log(self, claim, head, entry, entries):
        claim["to"] = entry[1].partition(" ")[0]
        need(entry[1] in entries, "log-entry-other")
        said, key_id = self.chain.read(head, "log-head", "logHead")
        at, index, last = moment(said["at"]), int(entry[2]), int(said["size"]) - 1
        claim |= {"by": said["node"], "at": said["at"]}
        here = self.chain.decides(self.sealed, self.sender)
        need(here.agencies[self.sender]["admittingNode"] == said["node"], "log-of-another-node")
        self.chain.check_key(said["node"], "log", key_id, at)
        need(index <= last, "log-not-included")
        value = hashlib.sha256(f"\0exchanged-log-entry-1\n{entry[1]}\n".encode()).digest()
        for step in map(bytes.fromhex, entry[3].split()):
            need(last, "log-not-included")
            left, right = (step, value) if index % 2 or index == last else (value, step)
            while left is step and index and not index % 2:
                index, last = index // 2, last // 2
            value, index, last = hashlib.sha256(b"\1" + left + right).digest(), index // 2, last // 2
        need(not last and value.hex() == said["root"], "log-not-included")
        times = [facts[1] for facts in self.read if facts[3] == entry[1]] or [self.sealed]
        need(at + DAY >= times[0], "order-impossible")
        self.chain.check_witness(claim, key_id, [])
        self.in_log.setdefault(entry[1], []).append(at)

    def judge_content(self, _):
        need(self.files["packet.xml"], "-content-left-out")
        parts = [self.seal["packetXml/size"], self.seal["packetXml/digest"]]
        stated = [parts, *([part["size"], part["digest"]] for part in self.parts)]
        need(stated == [[str(len(data)), sha(data)] for data in self.files["packet.xml"] + self.files["part"]], "content-differs")
        text = self.files["packet.xml"][0].decode({"utf-8": "utf-8-sig"}.get(self.seal["packetXml/encoding"], self.seal["packetXml/encoding"]))
        envelope = parse(re.sub(r"\A\ufeff?<\?xml.*?\?>", "", text, flags=re.S), "packet", "packet").find("envelope")
        self.numbers = {(each.get("kind"), one_form(each.text or "")) for each in envelope.findall("case/number")}

    def judge_case(self, _, reached):
        need(self.content and self.numbers, "?case-not-shown")
        need(self.numbers & reached, "other-case")

def judge(file, trusted, threshold):
    first, *folders = read_file(file)
    chain = Chain(first["directory.xml"], trusted, threshold)
    packets = [Packet(chain, files) for files in folders]
    if first["case"]:
        number, numbers = first["case"][0].decode()[:-1], [packet.numbers for packet in packets]
        reached = {pair for pairs in numbers for pair in pairs if pair[1] == number}
        for pairs in numbers * len(numbers):
            reached |= pairs if pairs & reached else set()
        for packet in packets:
            packet.check("case", packet.judge_case, reached)
    claims = [claim for packet in packets for claim in packet.claims]
    worst = [claim for state in ("bad", "held") for claim in claims if claim["state"] == state]
    code, state = (worst[0]["code"], worst[0]["state"]) if worst else ("", "proven") if trusted else ("proof-roots-not-compared", "held")
    return {"verdict": {"bad": "refused"}.get(state, state), "code": code, "roots": [*chain.roots.values()],
            "threshold": chain.all[0].threshold, "packets": [packet.told | {"claims": packet.claims} for packet in packets]}

def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=argparse.FileType("rb"))
    parser.add_argument("--root", action="append", default=[])
    parser.add_argument("--threshold", type=int, default=1)
    given = parser.parse_args()
    try:
        answer = judge(given.file, given.root, given.threshold)
    except UNREAD as fault:
        answer = {"verdict": {"bad": "refused"}.get(told(fault)["state"], "held"), "code": told(fault)["code"]}
    print(json.dumps(answer, ensure_ascii=False, indent=1))
    return {"proven": 0, "refused": 1, "held": 3}[answer["verdict"]]

if __name__ == "__main__":
    sys.exit(main())
