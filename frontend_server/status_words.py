"""What each state means to a clerk: one sentence in Chinese and in English, in one table.

States are those of drops and of destinations (``exchanged.states``); reasons are why a drop is held.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from exchanged.states import DestinationState, DropState

_D = DestinationState
_O = DropState

# State -> (Chinese, English).
MESSAGES: Final[Mapping[DropState | DestinationState, tuple[str, str]]] = MappingProxyType(
    {
        _O.SEEN: ("已发现，正在等待写入完成。", "Seen; waiting until it is whole."),
        _O.INCOMPLETE: (
            "材料不齐，请补齐所列文件；补齐后将自动发送。",
            "Incomplete: add the files that are listed; it is then sent by itself.",
        ),
        _O.HELD: (
            "暂时无法检查，系统将自动重试，无需重新存放。",
            "It cannot be checked at the moment; this is tried again by itself. Do not drop it again.",
        ),
        _O.REFUSED: (
            "未发送，请按所列问题更正后重新存放。",
            "Not sent: correct what is listed and drop it again.",
        ),
        _O.DUPLICATE: (
            "相同内容此前已经发送，本次没有重复发送。",
            "The same content was sent before; it was not sent again.",
        ),
        _O.WITHDRAWN: (
            "在发送前已由办案系统撤回，没有发送。",
            "Taken back before it was sent; nothing was sent.",
        ),
        _O.DISPOSED: (
            "签收或拒收已经登记，回执正在发出。",
            "The answer is registered, and its receipt is on its way.",
        ),
        _O.TAKEN: ("已封装，等待发送。", "Sealed; waiting to be sent."),
        _D.QUEUED: ("已封装，等待发送。", "Sealed; waiting to be sent."),
        _D.ON_HOLD: (
            "已封装，在前置机上暂缓发送；原因请询问运维人员。",
            "Sealed, and on hold at the front-end; your IT staff knows why.",
        ),
        _D.OFFERED: ("正在发送。", "Being sent."),
        _D.HANDED_OVER: (
            "已交给下一节点，等待省级节点受理。",
            "Handed over to the next node; not yet accepted.",
        ),
        _D.ACCEPTED: (
            "已由受理节点校验并受理，正在送往接收单位。",
            "Verified and accepted; on its way to the receiver.",
        ),
        _D.PASSED_ON: ("已交给下一节点。", "Passed on to the next node."),
        _D.ARRIVED: ("已到达接收单位的前置机。", "At the receiver's front-end."),
        _D.DELIVERING: ("正在送入接收单位的收件文件夹。", "Being put into the receiver's inbox."),
        _D.DELIVERED: ("已送达接收单位的收件文件夹。", "Delivered to the receiver's inbox."),
        _D.COLLECTED: ("接收单位的办案系统已取走。", "Collected by the receiver's case software."),
        _D.SIGNED: ("接收单位已签收。", "Signed for by the receiver."),
        _D.REFUSED: (
            "被拒收，请按所列问题更正后重新发送。",
            "Refused: correct what is listed and send it again.",
        ),
        _D.UNDELIVERABLE: (
            "无法送达接收单位，请核对接收单位或联系省级交换中心。",
            "It cannot be delivered: check the receiver or ask the provincial centre.",
        ),
        _D.EXPIRED: ("超过有效期，没有送达。", "It expired before it was delivered."),
        _D.CANCELLED: ("已在发送前取消。", "Cancelled before it was sent."),
    }
)

_CLOCK: Final = (
    "前置机的系统时间不可信，时间确认后自动发送，请联系运维人员（处理办法见 exchangectl node status）。",
    "The front-end's clock cannot be trusted; sent once that is confirmed. Ask IT (exchangectl node status).",
)
# Why a drop is held, where there is more to say than that it is tried again.
REASONS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "poison": (
            "检查该件时系统内部多次出错，已停止重试，请联系运维人员（poison）。",
            "Checking it failed inside several times; it is not tried again. Ask your IT staff (poison).",
        ),
        "directory-not-current": (
            "机构名录尚未安装或已过期，更新后自动发送。",
            "The directory is missing or out of date; it is sent once that is renewed.",
        ),
        "node-set-back": (
            "前置机运行在旧的台账副本上，已停止发送；恢复后自动发送，请联系运维人员。",
            "The front-end runs on an old copy of its ledger; sent once that is restored. Tell IT.",
        ),
        "clock-jumped": _CLOCK,
        "clock-not-confirmed": _CLOCK,
        "no-space": (
            "前置机磁盘空间不足，清理后自动发送，请联系运维人员。",
            "The front-end is short of disk space; it is sent once there is room. Tell your IT staff.",
        ),
        "no-link": (
            "前置机没有配置通往接收单位的链路，请联系运维人员。",
            "The front-end has no link towards the receiver. Tell your IT staff.",
        ),
        "receiver-key-missing": (
            "此路线要求附件加密，但机构名录中没有接收单位的加密密钥；登记后自动发送，请联系运维人员。",
            "The directory lacks a key to encrypt to the receiver; it is sent once there is one. Tell IT.",
        ),
        "drop-unreadable": (
            "前置机没有读取该件的权限，请联系运维人员检查文件夹权限。",
            "The front-end may not read it. Let your IT staff check the permissions.",
        ),
        "scanner-failed": (
            "安全扫描程序没有给出结果，恢复后自动继续，请联系运维人员。",
            "The security scan gives no answer; it goes on once there is one. Tell your IT staff.",
        ),
        "check-takes-long": (
            "该件检查时间较长，正在单独检查，完成后自动发送，无需处理。",
            "Checking it takes long and goes on apart; it is sent after that. There is nothing to do.",
        ),
        "earlier-attempt-open": (
            "上一次发送尚未结束；结束后自动再次发送。",
            "The earlier attempt has not ended yet; it is sent again after that.",
        ),
    }
)


def message_of(state: DropState | DestinationState, reason: str = "") -> tuple[str, str]:
    """The sentences for a state; ``reason`` narrows down why a drop is held."""
    if state is DropState.HELD and reason:
        zh, en = REASONS.get(reason, MESSAGES[state])
        return (zh, en) if reason in REASONS else (f"{zh}（{reason}）", f"{en} ({reason})")
    return MESSAGES[state]
