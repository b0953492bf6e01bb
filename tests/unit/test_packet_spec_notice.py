from __future__ import annotations

from dataclasses import replace

import pytest

from packet_spec.errors import FormatError
from packet_spec.limits import NOTICE_PACKETS
from packet_spec.notice import (
    Bilingual,
    Notice,
    NoticeLevel,
    decode_notice,
    encode_notice,
    encode_notice_text,
)
from tests.support.documents import KEY, NOW, POLICE

NOTICE = Notice(
    number=17,
    reference="link-down",
    level=NoticeLevel.ALARM,
    node=POLICE,
    subject="province",
    raised_at=NOW,
    updated_at=NOW,
    over_at=None,
    message=Bilingual("链路中断", "The link is down"),
    advice=Bilingual("请检查网络", "Check the network"),
    count=300,
    packets=(KEY,),
)


@pytest.mark.parametrize("notice", [NOTICE, replace(NOTICE, over_at=NOW, subject="", count=0, packets=())])
def test_a_notice_reads_back(notice):
    assert decode_notice(encode_notice(notice)) == notice


def test_what_is_no_notice_is_refused():
    with pytest.raises(FormatError):
        decode_notice(encode_notice(NOTICE).replace(b'level="alarm"', b'level="loud"'))


def test_the_first_packets_are_named_and_the_rest_is_counted():
    many = replace(NOTICE, packets=(KEY,) * (NOTICE_PACKETS + 1))
    assert len(decode_notice(encode_notice(many)).packets) == NOTICE_PACKETS
    assert encode_notice_text(many).endswith(f"... +{300 - NOTICE_PACKETS}\n")


def test_the_text_says_the_same_in_both_languages():
    assert encode_notice_text(NOTICE) == (
        f"link-down (告警 alarm, 未解除 open)\n{POLICE}  2026-07-15T01:30:00Z\n\n链路中断\n请检查网络\n\n"
        f"The link is down\nCheck the network\n\n{KEY}\n... +299\n"
    )
    over = encode_notice_text(replace(NOTICE, over_at=NOW, packets=()))
    first, second = over.splitlines()[:2]
    assert first == "link-down (告警 alarm, 已解除 over)"
    assert second == f"{POLICE}  2026-07-15T01:30:00Z - 2026-07-15T01:30:00Z"
