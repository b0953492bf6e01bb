"""Sentences of the findings about versions of the standard, and about schemas that a province adds to it."""

from __future__ import annotations

from typing import Final

from packet_spec.findings import Severity

SENTENCES: Final[dict[str, tuple[Severity, str, str]]] = {
    "pack-older": (
        Severity.WARN,
        "本件按较早的标准版本{found}检查通过，现行版本为{expected}。请联系办案系统的维护人员尽快升级。",
        "The packet fits the older version {found} of the standard; now it is {expected}. Ask your vendor.",
    ),
    "pack-not-in-force": (
        Severity.REFUSE,
        "本件按标准版本{found}封装，该版本在封装时不在有效期内，有效版本：{expected}。请重新发送。",
        "The packet was sealed by {found}, which was not in force then; in force: {expected}. Send it again.",
    ),
    "schema-rule-broken": (
        Severity.REFUSE,
        "{element_zh}不符合本地数据规范的规定：{expected}。请对照规范更正。",
        "{element_en} breaks a rule of the local schema: {expected}. Correct it by the schema.",
    ),
}
