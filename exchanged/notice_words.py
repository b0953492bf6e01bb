"""The words of notices: what is the matter and what to do, in Chinese and in English, one pair each.

``{names}`` are filled from the matter; all times are UTC. No sentence holds case data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from packet_spec.notice import Bilingual


@dataclass(frozen=True, slots=True)
class Words:
    """Message and advice for one reference."""

    message: Bilingual
    advice: Bilingual


RECEIPTS: Final[Mapping[str, Bilingual]] = MappingProxyType(
    {
        "accepted": Bilingual("受理（accepted）", "accepted"),
        "delivered": Bilingual("送达（delivered）", "delivered"),
        "collected": Bilingual("取走（collected）", "collected"),
        "signed": Bilingual("签收（signed）", "signed"),
    }
)
"""The receipt that is late."""

FAULTS: Final[Mapping[str, Bilingual]] = MappingProxyType(
    {
        "ours": Bilingual("本机", "this node"),
        "theirs": Bilingual("对方", "the other side"),
        "network": Bilingual("网络", "the network between"),
    }
)
"""Whose fault a broken link seems to be."""

ENDS: Final[Mapping[str, Bilingual]] = MappingProxyType(
    {
        "mailbox-file-refused": Bilingual("本机", "this node"),
        "batch-bad-at-neighbour": Bilingual("对方", "the neighbour"),
    }
)
"""Who found a batch damaged, by the event that tells it."""

LOG_DOUBTS: Final[Mapping[str, Bilingual]] = MappingProxyType(
    {
        "log-forked": Bilingual("同一长度有两个不同的根", "two heads of one size have different roots"),
        "log-rewritten": Bilingual(
            "新日志不是旧日志的延续", "the new log does not go on from the one known before"
        ),
        "log-shortened": Bilingual("日志变短了", "the log became shorter"),
        "log-split": Bilingual(
            "给本机看的日志与给别处看的不同", "another log was shown elsewhere than here"
        ),
    }
)
"""Why the log of a node is no longer believed."""

WORDS: Final[Mapping[str, Words]] = MappingProxyType(
    {
        "log-contradicted": Words(
            Bilingual(
                "节点 {node} 的受理日志自相矛盾（{why_zh}），{at} 发现：其记录可能被事后修改。"
                "原先的日志头：{held}；现在的日志头：{told}。",
                "The log of the node {node} contradicts itself: {why}. Found at {at}; its record may have"
                " been changed afterwards. Head known before: {held}. Head told now: {told}.",
            ),
            Bilingual(
                "收发照常，但该节点新的受理回执没有日志为证。请报告主管和省级交换中心以外的监督部门，"
                "保留本机数据，并导出证据：exchangectl log export --node {node} --output FILE；"
                "如属正常恢复，请向根密钥保管人索取恢复声明并运行：exchangectl log install FILE",
                "Packets go on, but new accepted receipts of that node are not backed by its log. Report it"
                " to your superiors and to a supervisor outside the provincial centre, keep this machine's"
                " data, and save the evidence: exchangectl log export --node {node} --output FILE. If the"
                " node was restored from a backup, ask the holders of the root keys for a recovery"
                " statement and run: exchangectl log install FILE",
            ),
        ),
        "log-overdue": Words(
            Bilingual(
                "节点 {node} 已受理，但其日志在 {deadline} 内没有出现的条目有 {count} 条，"
                "最早的始于 {since}。",
                "{count} entries of what the node {node} accepted did not appear in its log within"
                " {deadline}, the oldest since {since}.",
            ),
            Bilingual(
                "收发照常。请先看链路是否中断，再运行 exchangectl log show；"
                "仍然缺少的，请书面询问省级交换中心。",
                "Packets go on. See whether the link is down, then run: exchangectl log show. What stays"
                " missing, ask the provincial centre for, in writing.",
            ),
        ),
        "log-unproved": Words(
            Bilingual(
                "从别处带来的 {count} 个日志头，节点 {node} 在 {deadline} 内"
                "没有证明它们属于给本机看的日志，最早的始于 {since}。",
                "The node {node} did not prove within {deadline} that {count} heads brought from elsewhere"
                " are part of the log that it shows here, the oldest since {since}.",
            ),
            Bilingual(
                "收发照常。请先看链路是否中断，再运行 exchangectl log show；"
                "链路正常而仍无证明的，它给别处看的可能是另一份日志："
                "请报告主管和省级交换中心以外的监督部门。",
                "Packets go on. See whether the link is down, then run: exchangectl log show. Where it is up"
                " and no proof comes, another log may be shown elsewhere: report it to your superiors, and to"
                " whoever supervises the provincial centre.",
            ),
        ),
        "receipt-late": Words(
            Bilingual(
                "发往 {recipient} 的 {count} 件尚无{kind_zh}回执，最早的始于 {since}；时限为 {deadline}。",
                "{count} packets for {recipient} have no `{kind}` receipt yet, the oldest since {since};"
                " the deadline is {deadline}.",
            ),
            Bilingual(
                "暂不必处理。请先看有无链路中断的通知；超过时限会另行通知。",
                "Nothing needs to be done yet. See whether a link is down; another notice comes at the"
                " deadline.",
            ),
        ),
        "receipt-overdue": Words(
            Bilingual(
                "发往 {recipient} 的 {count} 件已超过时限（{deadline}）仍无{kind_zh}回执，"
                "最早的始于 {since}。",
                "{count} packets for {recipient} have no `{kind}` receipt within the deadline of {deadline},"
                " the oldest since {since}.",
            ),
            Bilingual(
                "请勿重复存放。请运维人员用 exchangectl packet trace 查看停在何处，必要时联系该处。",
                "Do not drop them again. Ask where they are: exchangectl packet trace ID; then call who holds"
                " them.",
            ),
        ),
        "link-down": Words(
            Bilingual(
                "链路 {link} 自 {since} 起中断；错误：{reason}；原因可能在{fault_zh}。",
                "The link {link} has been down since {since}: {reason}. It seems to be the fault of {fault}.",
            ),
            Bilingual(
                "待发内容没有丢失，恢复后自动发送。请检查网络，或运行：exchangectl link test {link}",
                "Nothing is lost; it is sent when the link is back. Check the network, or run:"
                " exchangectl link test {link}",
            ),
        ),
        "batch-damaged": Words(
            Bilingual(
                "链路 {link} 上有批次在途中受损或被改动，由{where_zh}发现，最近一次在 {at}。",
                "A batch on the link {link} was damaged or changed on its way; {where} found it, last at"
                " {at}.",
            ),
            Bilingual(
                "没有丢失：未被接收，其内容已用新编号重发。请检查途中的网桥、文件夹和介质，"
                "是否有人改动；明细：exchangectl event list --kind {event}",
                "Nothing is lost: it was not taken, and its content goes out again under a new number. Look"
                " for a bad disk or medium, and for who can write on the way:"
                " exchangectl event list --kind {event}",
            ),
        ),
        "bytes-rotten": Words(
            Bilingual(
                "本机保存的 {count} 个文件内容已变（磁盘损坏或被改动），{since} 起发现；"
                "等待它们的数据包没有发出。",
                "{count} files that this node stores have changed on its disk, as found since {since}. What"
                " waits for them is not sent.",
            ),
            Bilingual(
                "请先检查磁盘。文件名见 exchangectl event list --kind bytes-rotten；"
                "请从备份（大附件也可用 sent/ 中的原件）按原名恢复到 data_dir 之下。大附件随后自动继续，"
                "暂缓的数据包请运行：exchangectl queue release ID --reason TEXT",
                "Check the disk first. The files are named by: exchangectl event list --kind bytes-rotten."
                " Put each back below data_dir from a backup, or a large part from the original in sent/. A"
                " part then goes on by itself, a packet with: exchangectl queue release ID --reason TEXT",
            ),
        ),
        "neighbour-forked": Words(
            Bilingual(
                "链路 {link} 的对方自相矛盾（{conflict}）：有两个节点用同一身份运行，或对方用了旧台账。"
                "自 {since} 起该链路已停用。",
                "The neighbour on the link {link} contradicts itself ({conflict}): two nodes run "
                "under its name, or"
                " it runs on an older ledger. The link has been held since {since}.",
            ),
            Bilingual(
                "没有丢失。请联系对方，确认只剩一个节点运行，再运行："
                'exchangectl link accept {link} --incarnation X --reason "原因"（X 由对方用 node '
                'status 查得）',
                "Nothing is lost. Call its operator, see to it that only one of the two runs, "
                "then: exchangectl link"
                " accept {link} --incarnation X --reason TEXT, with X as its node status shows it.",
            ),
        ),
        "node-forked": Words(
            Bilingual(
                "链路 {link} 的对方看到有两个节点使用本机的身份（{conflict}），已停用该链路。",
                "The neighbour on the link {link} saw two nodes under the name of this one "
                "({conflict}) and holds the"
                " link.",
            ),
            Bilingual(
                "请查找并关停本机的副本（克隆的虚拟机、旧机器），再请对方放行：exchangectl link accept。",
                "Find the copy of this node (a cloned machine, the old one) and switch it off; "
                "then ask the other"
                " side for: exchangectl link accept.",
            ),
        ),
        "node-set-back": Words(
            Bilingual(
                "本机的台账比链路 {link} 的对方所知的要旧（{since} 起）：本机被退回到旧状态，已停止"
                "在该链路上收发。",
                "The ledger of this node is older than what the neighbour on the link {link} knows "
                "of it (since"
                " {since}): this node was set back, and stops on that link.",
            ),
            Bilingual(
                "请停机，并按手册恢复：exchangectl node restore BACKUP；切勿让两台机器以同一身份运行。",
                "Stop it and restore it properly: exchangectl node restore BACKUP. Never let two "
                "machines run as one"
                " node.",
            ),
        ),
        "node-restoring": Words(
            Bilingual(
                "本机于 {since} 从备份恢复，正在等待这些节点告知遗忘的内容：{nodes}。此前不收件、不"
                "送达、不发送。",
                "This node was restored from a backup at {since} and waits for what these give "
                "back: {nodes}. Until"
                " then it takes, delivers and sends nothing of its own.",
            ),
            Bilingual(
                "一般几分钟内自动结束。若对方长时间不通，可运行：exchangectl link skip NAME --reason TEXT",
                "It ends by itself within minutes. Where a neighbour cannot be reached for long: "
                "exchangectl link skip NAME --reason TEXT",
            ),
        ),
        "maybe-duplicate": Words(
            Bilingual(
                "恢复之后送达的 {count} 件可能此前已经送达过一次；其 delivery.xml 标有 maybeDuplicate。",
                "{count} packets delivered after the restore may have been delivered before; their "
                "delivery.xml says"
                " maybeDuplicate.",
            ),
            Bilingual(
                "请承办人按发送单位和编号核对，重复的只办理一次。",
                "Have the officers compare sender and packet id, and act on each packet once.",
            ),
        ),
        "packet-expired": Words(
            Bilingual(
                "发往 {recipient} 的 {count} 件在最近一天内超过有效期，没有送达。",
                "{count} packets for {recipient} expired within the last day and were not delivered.",
            ),
            Bilingual(
                "请告知承办人；需要时由办案系统以新的有效期重新发送。",
                "Tell the officers in charge; what is still needed is sent again with a new expiry.",
            ),
        ),
        "quarantined": Words(
            Bilingual(
                "有 {count} 项收到的内容被隔离（{reason}），最早的始于 {since}。",
                "{count} items that arrived are quarantined ({reason}), the oldest since {since}.",
            ),
            Bilingual(
                "可能是数据损坏、程序错误或伪造，请运维人员查看：exchangectl queue list --state quarantined",
                "This may be damage, a bug or a forgery. Look at: exchangectl queue list --state quarantined",
            ),
        ),
        "held-long": Words(
            Bilingual(
                "有 {count} 项收到的内容长时间无法判定（{reason}），最早的始于 {since}。",
                "{count} items that arrived have been held for long ({reason}), the oldest since {since}.",
            ),
            Bilingual(
                "请运维人员查看并处理：exchangectl queue list --state {state}",
                "Look at them: exchangectl queue list --state {state}",
            ),
        ),
        "drop-held-long": Words(
            Bilingual(
                "发件文件夹中有 {count} 件长时间无法检查（{reason}），最早的始于 {since}。",
                "{count} drops in the outbox have been held for long ({reason}), the oldest since {since}.",
            ),
            Bilingual(
                "原因见 status 文件夹中的状态文件；请勿重复存放。",
                "Their files in status/ say why. Do not drop them again.",
            ),
        ),
        "disk-floor": Words(
            Bilingual(
                "磁盘剩余空间低于下限（{floor} 字节），已暂停接收新的数据包。",
                "Less than {floor} bytes are free on the disk: no new packets are taken in.",
            ),
            Bilingual(
                "请清理或扩大 data_dir 所在的磁盘；回执和送达不受影响，空间恢复后自动继续。",
                "Free or add space on the volume of data_dir. Receipts and deliveries go on; intake resumes"
                " by itself.",
            ),
        ),
        "folder-hangs": Words(
            Bilingual(
                "单位文件夹 {root} 所在的共享盘没有响应：现在既不接收存放的数据包，也不投递。",
                "The share with the agency's folders {root} does not answer: nothing is taken from there or"
                " delivered now.",
            ),
            Bilingual(
                "请检查文件服务器和网络，无需重启本程序；恢复响应后自动继续，数据包不会丢失，链路照常工作。",
                "Check the file server and the network. Do not restart the daemon: it goes on by itself when"
                " the share answers. No packet is lost, and the links work.",
            ),
        ),
        "folder-in-use": Words(
            Bilingual(
                "另一个 exchanged 进程正在使用文件夹 {folder} 所在的目录：本机不使用它。",
                "Another daemon works in the folders of {folder}: this node leaves them alone.",
            ),
            Bilingual(
                "两个节点配置了同一个 [folders] root。请停止多余的一个，或为其指定自己的文件夹。",
                "Two nodes are configured with one [folders] root. Stop the one that is wrong there, or give"
                " it folders of its own.",
            ),
        ),
        "folder-marker-bad": Words(
            Bilingual(
                "文件夹 {folder} 的标记文件{state_zh}，已停止使用该文件夹。",
                "The marker of the folder {folder} is {state}: the folder is not used.",
            ),
            Bilingual(
                "共享盘可能没有挂载、只读，或挂载的是另一个；请检查挂载。"
                "确属新文件夹的，由运维人员停机后运行：exchangectl folder init --accept"
                "（其中标记文件 .exchanged-marker 属于其他节点的，先移走该文件）",
                "The share may not be mounted, be read-only, or another is in its place: check the mount. For"
                " a folder that is really new, with the daemon stopped: exchangectl folder init --accept"
                " (where .exchanged-marker names another node, move that file away first)",
            ),
        ),
        "directory-ends": Words(
            Bilingual(
                "机构名录第 {version} 版于 {at} 到期；到期后新的数据包一律挂起，不会丢失。",
                "Version {version} of the directory ends at {at}; after that new packets are held.",
            ),
            Bilingual(
                "请向省级交换中心索取新名录，并运行：exchangectl directory install FILE",
                "Ask the provincial centre for the next one, and run: exchangectl directory install FILE",
            ),
        ),
        "key-ends": Words(
            Bilingual(
                "本机密钥 {key_id}（用途：{use}）于 {at} 失效。",
                "The key {key_id} of this node (use: {use}) ends at {at}.",
            ),
            Bilingual(
                "本机会自行提出新密钥，请省级交换中心在到期前列入名录；查看：exchangectl key offers",
                "This node offers a new one by itself; have the provincial centre list it in the directory"
                " before then. The centre sees it with: exchangectl key offers",
            ),
        ),
    }
)

OVER: Final = Words(
    Bilingual("已于 {over_at} 解除。原通知：{message}", "Over since {over_at}. The notice was: {message}"),
    Bilingual("无需再处理。", "Nothing needs to be done any more."),
)

STATES: Final[Mapping[str, str]] = MappingProxyType(
    {"missing": "不存在或无法读取", "foreign": "不属于本机", "read-only": "所在的共享盘只读"}
)
"""The state of a folder's marker, in Chinese."""
