"""The demo as text that a judge can read: Chinese and English, 80 columns, wide characters counted as two.

Pure: values in, lines out. Nothing longer than ``WIDTH`` columns is given, except a single word that is.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Final

from cli.demo.killing import Kill, Role
from cli.demo.outcome import FaultTold, Outcome, PacketTold, ReceiptTold
from cli.fiction.agencies import DEFAULT_AGENCIES, PROVINCE
from cli.render import display_width, printable, size
from packet_spec.catalogue import Catalogue
from packet_spec.findings import Finding, Severity
from packet_spec.model import ReceiptKind

WIDTH: Final = 80
_INDENT: Final = "    "
_COUNTY: Final = ("虚构县", "虚构市", "虚构")
_COUNTY_EN: Final = ("Fictional County ", "Fictional City ", "Fictional ")
RECEIPT_NAMES: Final = {
    ReceiptKind.ACCEPTED: "受理 accepted",
    ReceiptKind.DELIVERED: "送达 delivered",
    ReceiptKind.COLLECTED: "取件 collected",
    ReceiptKind.SIGNED: "签收 signed",
    ReceiptKind.REFUSED: "拒收 refused",
    ReceiptKind.UNDELIVERABLE: "无法送达 undeliverable",
    ReceiptKind.EXPIRED: "过期 expired",
}
_HOW: Final = {"marker": "标记 marker", "folder-gone": "取走 folder gone"}
_ROLES: Final = {
    Role.PROVINCE: "省级节点 province",
    Role.SENDER: "发送方 sender",
    Role.RECEIVER: "接收方 receiver",
}
FAULT_TITLES: Final = {
    "F1": (
        "起诉缺少认罪认罚具结书",
        "an indictment without the signed plea undertaking",
    ),
    "F4": ("身份证号码校验位错误", "an identity number with a wrong check digit"),
    "F8": ("同一数据包投递两次", "the same packet dropped twice"),
}
# A word for wrapping: a run without spaces and wide characters, or one wide character with the
# punctuation that must not begin a line.
_WORDS: Final = re.compile(r"\s+|[^\s\u2e80-\uffef]+|[\u2e80-\uffef][，。；：、）》”！？]*")


def short_name(code: str) -> str:
    """An agency as the timeline names it, in Chinese with its short sign: ``公安局 POL``; else the code."""
    for agency in DEFAULT_AGENCIES:
        if agency.code == code:
            return f"{_without(agency.name_zh, _COUNTY)} {agency.alias}"
    return code


def alias(code: str) -> str:
    """The short sign alone: ``POL``; ``HUB`` for the province; else the code."""
    known = (*DEFAULT_AGENCIES, PROVINCE)
    return next((agency.alias for agency in known if agency.code == code), code)


def legend_lines(codes: Iterable[str]) -> list[str]:
    """Who takes part: sign, code, and names in both languages."""
    wanted = set(codes)
    lines = ["参与单位（均为虚构） · the agencies (all fictional)"]
    for agency in (*DEFAULT_AGENCIES, PROVINCE):
        if agency.code in wanted:
            zh, en = _without(agency.name_zh, _COUNTY), _without(agency.name_en, _COUNTY_EN)
            lines += wrap(f"{agency.alias:<5}{agency.code}  {zh} · {en}", indent=_INDENT)
    return lines


def packet_lines(packet: PacketTold, catalogue: Catalogue) -> list[str]:
    """A packet: its number and date, type, way, and every receipt with its delay."""
    kind = catalogue.business_type(packet.business_type)
    head = f"{packet.label:>3} {packet.at:%Y-%m-%d %H:%M}"
    if packet.documents:
        head += f"  {packet.documents} 份文书 documents, {size(packet.size_bytes)}"
    lines = [_with_right_end(head, f"T+{packet.dropped_seconds:.1f} s")]
    lines += wrap(f"{kind.zh} · {kind.en}", indent=_INDENT)
    way = f"{short_name(packet.sender)} → {short_name(packet.receiver)}"
    if packet.copy_to:
        way += f"（抄送 copy: {', '.join(map(short_name, packet.copy_to))}）"
    lines += wrap(way, indent=_INDENT)
    return lines + fill(_receipts(packet.receipts), indent=_INDENT)


def fault_lines(fault: FaultTold, catalogue: Catalogue) -> list[str]:
    """A faulty drop: what is wrong with it, how it ended, and what the clerk is told."""
    zh, en = FAULT_TITLES[fault.label]
    kind = catalogue.business_type(fault.business_type)
    lines = [f"{fault.label:>3} {zh}", *wrap(en, indent=_INDENT)]
    way = f"{kind.zh}，{short_name(fault.sender)} → {short_name(fault.receiver)}"
    mark = "" if fault.state == fault.wanted else f" (应为 expected: {fault.wanted})"
    lines += wrap(f"{way}：{fault.state}{mark}", indent=_INDENT)
    lines += wrap(printable(fault.message_zh), indent=_INDENT)
    lines += wrap(printable(fault.message_en), indent=_INDENT)
    if fault.first:
        lines += wrap(f"与之重复 duplicate of: {printable(fault.first)}", indent=_INDENT)
    for finding in fault.findings:
        lines += _finding_lines(finding)
    return lines


def kill_lines(kill: Kill) -> list[str]:
    """A power cut: who, while what was in flight, and how long until the node was back."""
    head = f"  × 断电 SIGKILL {kill.number}: {_ROLES[kill.role]} {alias(kill.node)}"
    text = (
        f"{kill.label} {kill.state}，在途 in flight: {', '.join(kill.in_flight)}，"
        f"{kill.away_seconds:.1f} s 后恢复 until it was back"
    )
    return [_with_right_end(head, f"T+{kill.seconds:.1f} s"), *wrap(text, indent=_INDENT)]


def summary_lines(outcome: Outcome, seed: int | None) -> list[str]:
    """What it all came to, in both languages, and the verdict."""
    kinds = Counter(receipt.kind for packet in outcome.packets for receipt in packet.receipts)
    counted = "，".join(f"{RECEIPT_NAMES[kind]} {kinds[kind]}" for kind in RECEIPT_NAMES if kinds[kind])
    version, verified = outcome.directory_version, outcome.receipts_verified
    goals = _destinations(outcome)
    story = sum(packet.label.isdigit() for packet in outcome.packets)
    lines = [
        f"{story} 个数据包 packets, {goals} 个目的地 destinations, {outcome.seconds:.1f} s",
        f"回执 receipts: {counted}",
        f"{verified} 份回执均已用签名名录（第 {version} 版）中的公钥验证",
        f"all {verified} receipts verified with the keys of the directory (version {version})",
    ]
    if outcome.faults:
        ends = "，".join(f"{fault.label} {fault.state}" for fault in outcome.faults)
        lines.append(f"有错误的投递 faulty drops: {ends}")
    spares = sum(packet.label.startswith("S") for packet in outcome.packets)
    if spares:
        lines.append(f"另有 {spares} 个数据包，为断电而补发 further packets, sent to be met by power cuts")
    if outcome.kills:
        roles = Counter(kill.role for kill in outcome.kills)
        parts = "，".join(f"{_ROLES[role]} {roles[role]}" for role in Role)
        lines.append(f"断电 power cuts: {len(outcome.kills)} (seed {seed}): {parts}")
    wrapped = [line for text in lines for line in wrap(text, hanging=_INDENT)]
    return [*wrapped, *_verdict_lines(outcome)]


def wrap(text: str, *, indent: str = "", hanging: str | None = None, width: int = WIDTH) -> list[str]:
    """``text`` in lines of at most ``width`` columns: broken at spaces and between wide characters.

    ``indent`` stands before the first line, ``hanging`` (default: the same) before the others.
    """
    later = indent if hanging is None else hanging
    lines: list[str] = []
    line = indent
    for word in _WORDS.findall(text):
        if word.isspace():
            line += " " if line.strip() else ""
        elif line.strip() and display_width(line) + display_width(word) > width:
            lines.append(line.rstrip())
            line = later + word
        else:
            line += word
    return [*lines, line.rstrip()]


def fill(items: Iterable[str], *, indent: str = "", gap: str = "  ", width: int = WIDTH) -> list[str]:
    """``items`` beside each other as long as there is room; none is broken."""
    lines: list[str] = []
    for item in items:
        if lines and display_width(lines[-1] + gap + item) <= width:
            lines[-1] += gap + item
        else:
            lines.append(indent + item)
    return lines


def _receipts(receipts: Iterable[ReceiptTold]) -> Iterator[str]:
    """One text for each kind; who gave it is named where several did."""
    for kind, group in groupby(sorted(receipts, key=_rank), key=lambda receipt: receipt.kind):
        told = list(group)
        texts = []
        for receipt in told:
            who = f"{alias(receipt.recipient)} " if len(told) > 1 else ""
            how = f" ({_HOW[receipt.how]})" if receipt.how in _HOW else ""
            texts.append(f"{who}+{receipt.seconds:.2f} s{how}")
        yield f"{RECEIPT_NAMES[kind]} {', '.join(texts)}"


def _rank(receipt: ReceiptTold) -> tuple[int, float]:
    return list(RECEIPT_NAMES).index(receipt.kind), receipt.seconds


def _finding_lines(finding: Finding) -> Iterator[str]:
    zh, en = ("拒收", "refused") if finding.severity is Severity.REFUSE else ("提示", "warning")
    hanging = _INDENT + "  "
    yield from wrap(f"[{zh}] {printable(finding.zh)}", indent=_INDENT, hanging=hanging)
    yield from wrap(f"[{en}] {printable(finding.en)}", indent=_INDENT, hanging=hanging)
    places = (finding.code, finding.element, finding.document, finding.file)
    yield from wrap(f"({', '.join(printable(each) for each in places if each)})", indent=hanging)


def _verdict_lines(outcome: Outcome) -> list[str]:
    if outcome.differences:
        lines = ["与预期不同 what differs from an undisturbed run:"]
        for difference in outcome.differences:
            lines += wrap(printable(difference), indent="  - ", hanging=_INDENT)
        return lines
    return [
        "结论：每个数据包恰好送达一次，完整无误；应有的回执各一份，没有多余",
        "verdict: each packet was delivered exactly once and whole; each receipt is there",
        "exactly once, and there is nothing else",
    ]


def _destinations(outcome: Outcome) -> int:
    return sum(1 + len(packet.copy_to) for packet in outcome.packets if packet.label.isdigit())


def _with_right_end(left: str, right: str) -> str:
    return f"{left}{' ' * max(1, WIDTH - display_width(left) - display_width(right))}{right}"


def _without(name: str, prefixes: Iterable[str]) -> str:
    return next((name.removeprefix(prefix) for prefix in prefixes if name.startswith(prefix)), name)
