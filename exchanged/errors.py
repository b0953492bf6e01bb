"""The engine's own errors. Their root and the errors about documents are in ``packet_spec.errors``."""

from __future__ import annotations

from packet_spec.errors import AuthorityError, ExchangeError


class ConfigurationError(ExchangeError):
    """The configuration cannot be used; all problems are told together."""

    reference = "configuration-unusable"
    hint = "run: exchangectl config check"

    def __init__(self, problems: tuple[str, ...], *, where: str = "", hint: str | None = None) -> None:
        super().__init__("the configuration cannot be used: " + "; ".join(problems), where=where, hint=hint)
        self.problems = problems


class LinkPeerError(ExchangeError):
    """A link of the configuration leads to another neighbour than the ledger knows, or has another name."""

    reference = "link-of-another-neighbour"
    hint = "put name and peer of the link back; another neighbour gets a [[link]] of another name"

    def __init__(self, summary: str, *, link: str, where: str, expected: str, found: str, hint: str) -> None:
        super().__init__(summary, where=where, expected=expected, found=found, hint=hint)
        self.link = link


class IllegalTransitionError(ExchangeError):
    """An event that the state table does not allow in this state: our bug, never the sender's."""

    reference = "illegal-transition"


class StaleStateError(ExchangeError):
    """The compare-and-set found another state: somebody was faster; look again."""

    reference = "stale-state"
    temporary = True


class TransportError(ExchangeError):
    """The link's transport failed; the next attempt may succeed."""

    reference = "transport-failed"
    temporary = True
    peer_text = "the link is not available"


class HostKeyError(TransportError):
    """The server shows another host key than the pinned one: nothing is sent."""

    reference = "host-key-changed"
    hint = "compare the server's key with the enrolment pack; never accept it unseen"


class HostKeyEndedError(TransportError):
    """The server shows a host key that the directory has revoked or let end: nothing is sent."""

    reference = "host-key-ended"
    hint = "ask the other side which host key it uses now; it must stand in the directory"


class LoginRefusedError(TransportError):
    """The server does not let our key into the account: unknown key, locked account, wrong user."""

    reference = "login-refused"
    hint = "ask the other side whether the account exists and holds this node's login key"


class ConnectionRefusedByPeerError(TransportError):
    """The machine answers, but nothing accepts connections on that port."""

    reference = "connection-refused"
    hint = "ask the other side whether its SSH server runs and on which port it listens"


class MailboxUnusableError(TransportError):
    """The mailbox is a folder of this machine, and it is missing, no folder, or cannot be read or written."""

    reference = "mailbox-unusable"
    hint = "check that the volume is mounted and who owns the folder: exchangectl config check"


class TransportFileError(TransportError):
    """One mailbox file could not be read or is not a plain file of the expected owner (C3)."""

    reference = "mailbox-file-refused"


class JailError(TransportError):
    """The jail of a neighbour's account is not as it must be: nothing goes over that link (C2)."""

    reference = "jail-unsound"
    # Only a person with root can mend it.
    temporary = False


class RemoteRefusedError(TransportError):
    """The server answered an SFTP request with a refusal; ``code`` is the SFTP version 3 status."""

    reference = "remote-refused"
    hint = "check account, key, quota and folders on the serving side: the mailbox with up/ and down/"

    def __init__(self, summary: str, *, code: int, where: str = "", found: str = "") -> None:
        super().__init__(summary, where=where, found=found)
        self.code = code


class NoSpaceError(TransportError):
    """The volume on the other side, or a foreign volume here, has no room."""

    reference = "no-space"


class MailboxFullError(NoSpaceError):
    """The server's volume has no room for what is to be put there."""

    reference = "mailbox-full"
    hint = "ask the other side to make room on the volume of its mailbox, or to raise the account's quota"


class VolumeDamagedError(ExchangeError):
    """fsync or a write failed on the ledger or spool volume: the process must exit with code 6."""

    reference = "volume-damaged"
    hint = "check the disk, then start with: exchanged --recover"


class ForeignVolumeError(ExchangeError):
    """A mailbox, agency folder or medium cannot be used; only that folder goes down."""

    reference = "folder-unusable"
    temporary = True


class FileOperationError(ExchangeError):
    """The system refused a file operation for a reason that is not damage to our own volume.

    A place that cannot be written to, a missing file, no permission, too many open files, a writer used after
    it failed.
    """

    reference = "file-operation-failed"
    temporary = True
    hint = "check owner, mode and free descriptors of the data directory"


class NameTakenError(ExchangeError):
    """Something else stands under the name that must not be replaced; both are untouched."""

    reference = "name-taken"


class AlreadyRunningError(ExchangeError):
    """Another daemon holds the lock of this data directory."""

    reference = "already-running"
    hint = "stop the other daemon, or check --config"


class KeyFileError(ExchangeError):
    """A private key file is missing, unreadable, or has wrong owner or mode."""

    reference = "key-file-unusable"


class KeyNotGivenError(KeyFileError):
    """A private key file, or the passphrase of one, is missing here; a unit may have it as a credential."""

    reference = "key-not-given"


class NoKeyInForceError(ExchangeError):
    """The directory lists keys of this node, and none that it has counts now: nothing is signed, all waits.

    What would be signed all the same would be refused by everybody, and set aside as suspicious.
    """

    reference = "no-key-in-force"
    temporary = True
    peer_text = "the other node has no valid key at the moment"
    hint = "ask the province for a directory with a valid key of this node; see: exchangectl key rehearse"


class LedgerDamagedError(ExchangeError):
    """The ledger contradicts itself or its hash chain is broken."""

    reference = "ledger-damaged"
    hint = "exchangectl ledger verify names every problem; restore the ledger from its newest backup"


class LedgerBusyError(ExchangeError):
    """Another program keeps the ledger locked, for half a minute and longer. Nothing is damaged."""

    reference = "ledger-busy"
    temporary = True
    hint = "close what else has the file open (a database tool, a copy program), then try again"


class NodeStuckError(ExchangeError):
    """The node can neither go on nor be stopped cleanly in this process: no other may take its place there.

    Usually a station waits in a system call for a folder that does not answer.
    """

    reference = "node-stuck"
    temporary = True
    hint = "see to the share or disk it waits for, or restart the service"


class LedgerBehindError(ExchangeError):
    """The ledger has the form of an older version; a starting daemon brings it to the newest."""

    reference = "ledger-behind"
    temporary = True
    hint = "restart the daemon with this version, then ask again"


class DependencyError(ExchangeError):
    """A library that the program needs is missing, too old or too new: nothing is tried with it."""

    reference = "dependency-unfit"
    hint = "install the program again into its own environment, with the libraries that it names"


class ProgramReplacedError(ExchangeError):
    """Another version was installed, or this one anew, over a node that runs: it ends, to be started again.

    Its workers would run the new program for the old one. Nothing that they say counts any more.
    """

    reference = "program-replaced"
    temporary = True
    hint = "its service starts it again by itself; a daemon that was started by hand: start it again"


class LedgerAheadError(ExchangeError):
    """The ledger has the form of a newer version, which this one can neither read nor write."""

    reference = "ledger-ahead"
    hint = "install the newer version again; an older one works only with a backup from before the update"


class NotFoundError(ExchangeError):
    """No such packet, key, receipt or node."""

    reference = "not-found"


class WorkerDiedError(ExchangeError):
    """A worker process crashed or ran out of time on one piece of work."""

    reference = "worker-died"
    temporary = True


class ScannerFailedError(ExchangeError):
    """The external scanner gave no clear answer about a document: held, neither passed nor refused."""

    reference = "scanner-failed"
    temporary = True
    peer_text = "the packet could not be checked yet"
    hint = "give a file to the command of [scanner] by hand, then run: exchangectl config check"


class StoredPartRottenError(ExchangeError):
    """A large part that this node stores is no longer what it was: nothing is said of a packet by it.

    ``where`` is the name of its file, DIGEST.GENERATION.
    """

    reference = "stored-part-rotten"
    temporary = True
    peer_text = "the packet could not be checked yet"
    hint = (
        "exchangectl event list --kind bytes-rotten names the file: put it back, or have the part sent anew"
    )


class StoredPacketRottenError(ExchangeError):
    """A sealed packet that this node stores is no longer what it was. ``where`` is its file in the spool."""

    reference = "stored-packet-rotten"
    temporary = True
    hint = "put the file back from a backup, or: exchangectl queue discard ID --reason TEXT"


class CheckTakesLongError(ExchangeError):
    """A check is not finished within the patience of the workers, or waits behind one of the same sender.

    It goes on in a process of its own (ADR 13) and is asked for again; nothing is counted against it.
    """

    reference = "check-takes-long"
    temporary = True
    peer_text = "the packet could not be checked yet"
    hint = "wait: it is asked for again by itself; if it lasts, see `exchangectl packet show ID`"


class ActRefusedError(ExchangeError):
    """An operator's act that is not allowed in the present state of its subject; nothing was changed."""

    reference = "act-refused"


class ActNotWithdrawnError(ExchangeError):
    """A command was stopped by the keyboard after it had asked for an act, which is not withdrawn by that."""

    reference = "act-not-withdrawn"
    hint = "exchangectl event list --kind operator-act; an act that still waits for others is not there yet"


class IncarnationClosedError(AuthorityError):
    """A neighbour speaks in an incarnation that an operator here has closed (C15): its file is left lying."""

    reference = "incarnation-closed"
    hint = (
        "switch off the copy that still speaks; if it is the right one:"
        " exchangectl link accept NAME --incarnation X --reason TEXT"
    )


class BackupUnusableError(ExchangeError):
    """A backup that is not finished, not whole, or not of this node; or a place where none can be made."""

    reference = "backup-unusable"
    hint = "exchangectl backup verify DIR names every problem"


class NotPermittedError(ExchangeError):
    """Whoever asks may not act at this node."""

    reference = "act-not-permitted"
    hint = "act as root (sudo), as the node's own user, or as a member of the group in [control] group"


class RequestError(ExchangeError):
    """A request or an answer at the control socket that cannot be read, or that contradicts itself."""

    reference = "act-request-wrong"


class AmbiguousError(ExchangeError):
    """A shortened packet id fits more than one packet; nothing was changed."""

    reference = "several-packets-fit"
    hint = "give more of the id, or SENDER/ID"


class ControlError(ExchangeError):
    """The daemon runs, or seems to, but does not answer at its control socket."""

    reference = "control-unreachable"
    temporary = True
    hint = "look at the daemon's log; the same command may be given again, it is not done twice"
