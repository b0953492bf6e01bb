"""The root of every error this product raises on purpose.

Each leaf carries a stable kebab-case ``reference``, a verdict whether trying again can help, a
text for the operator and a redacted text for the other side. This module imports nothing of ours.
"""

from __future__ import annotations

from typing import ClassVar


class ExchangeError(Exception):
    """Something went wrong that we can name.

    ``summary`` says what is wrong with which thing; ``where``, ``expected`` and ``found`` narrow it
    down; ``hint`` names the next command or act. ``peer_text`` is all that another agency may see.
    """

    reference: ClassVar[str] = "exchange-error"
    temporary: ClassVar[bool] = False
    peer_text: ClassVar[str] = "the packet could not be handled"
    hint: ClassVar[str] = ""

    def __init__(
        self,
        summary: str,
        *,
        where: str = "",
        expected: str = "",
        found: str = "",
        hint: str | None = None,
    ) -> None:
        super().__init__(summary)
        self.summary = summary
        self.where = where
        self.expected = expected
        self.found = found
        self.advice = self.hint if hint is None else hint

    def __reduce__(self) -> tuple[object, ...]:
        """Pickled as its state: constructors differ, and an error that cannot be read again breaks a pool."""
        return (_again, (type(self), self.args, self.__dict__.copy()))

    def __str__(self) -> str:
        parts = [self.summary]
        if self.where:
            parts.append(f"where: {self.where}")
        if self.expected or self.found:
            parts.append(f"expected: {self.expected or '-'}, found: {self.found or '-'}")
        return "; ".join(parts)

    def to_json(self) -> dict[str, str | bool]:
        """As programs read it, under ``error`` of an answer with ``--json`` and on the control socket."""
        return {
            "reference": self.reference,
            "summary": self.summary,
            "where": self.where,
            "expected": self.expected,
            "found": self.found,
            "hint": self.advice,
            "temporary": self.temporary,
        }


def _again(kind: type[ExchangeError], args: tuple[object, ...], state: dict[str, object]) -> ExchangeError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class FormatError(ExchangeError):
    """Bytes are not a document of the kind they should be (layout, XML, schema, digest)."""

    reference = "format-error"
    peer_text = "the document does not have the required form"


class SignatureError(ExchangeError):
    """A signature is missing, wrong, or made by a key that may not make it."""

    reference = "signature-error"
    peer_text = "the signature could not be verified"


class UnknownKeyError(SignatureError):
    """The key is not in the directory in force: the thing is held, never refused (C24)."""

    reference = "unknown-key"
    temporary = True
    peer_text = "the signing key is not known here"


class AuthorityError(SignatureError):
    """A valid signature by somebody who may not say this (C21): a security event."""

    reference = "no-authority"
    peer_text = "the signer may not make this statement"


class VersionError(ExchangeError):
    """A document of a format version that this program does not speak: held, versions named."""

    reference = "unknown-version"
    temporary = True
    peer_text = "the format version is not known here"


class NameRefusedError(ExchangeError):
    """An outside name cannot become a safe file name."""

    reference = "name-refused"
    peer_text = "a file name is not allowed"


class CatalogueError(ExchangeError):
    """The catalogue data contradicts itself or lacks a code that was asked for."""

    reference = "catalogue-error"


class PackError(FormatError):
    """A file that is no pack, or a pack that lacks something or reaches outside itself: it is not used."""

    reference = "pack-unusable"
    hint = "run: exchangectl pack check FILE"


class PackUnknownError(ExchangeError):
    """A pack that is not here, or that the directory does not name: what needs it is held, versions named."""

    reference = "pack-unknown"
    temporary = True
    peer_text = "the version of the exchange standard is not known here"
    hint = "run: exchangectl pack show"


class LayoutError(FormatError):
    """A container does not have exactly the prescribed members, headers, padding and end."""

    reference = "layout-wrong"


class DigestMismatchError(FormatError):
    """Bytes are not those that the signed list names: another digest or another size."""

    reference = "digest-mismatch"
    peer_text = "the content does not match its digest"


class XmlRefusedError(FormatError):
    """XML that is not read: not well-formed, with a DOCTYPE, or beyond a cap.

    ``code`` is the finding code for a packet.xml, ``line`` the line if it is known.
    """

    reference = "xml-refused"

    def __init__(
        self, summary: str, *, code: str, line: int | None = None, expected: str = "", found: str = ""
    ) -> None:
        where = "" if line is None else f"line {line}"
        super().__init__(summary, where=where, expected=expected, found=found)
        self.code = code
        self.line = line


class DecryptionError(FormatError):
    """What is encrypted does not open as it should: cut, changed, or wrapped for something else."""

    reference = "decryption-failed"
    peer_text = "the encrypted content does not open"


class DecryptionKeyMissingError(ExchangeError):
    """No private key that a packet was encrypted to is here: it waits for one, and nobody is blamed."""

    reference = "decryption-key-missing"
    temporary = True
    peer_text = "the packet could not be opened yet"
    hint = "put the private key back from its backup into the folder of keys"


class EncryptionError(ExchangeError):
    """A key that nothing can be encrypted with."""

    reference = "encryption-impossible"
    hint = "ask for a directory with another encryption key for that node"


class ReceiverKeyMissingError(ExchangeError):
    """The route asks for encrypted parts, and the directory has no key for a recipient: the drop waits."""

    reference = "receiver-key-missing"
    temporary = True
    hint = "let the province enrol an encryption key for the recipient's node, or open the route"


class SchemaError(FormatError):
    """A machine-written document does not fit its schema, or contradicts itself."""

    reference = "schema-violated"


class EncodingError(FormatError):
    """Bytes do not decode in the encoding that was decided for them."""

    reference = "encoding-wrong"


class DirectoryError(FormatError):
    """A directory that contradicts itself; no part of it is taken."""

    reference = "directory-inconsistent"
    hint = "ask the directory's publisher for a corrected version; the one in force stays in force"


class UnknownSuiteError(UnknownKeyError):
    """A signature suite that this program does not have: held until it is updated, like a version."""

    reference = "unknown-suite"
    peer_text = "the signature suite is not known here"


class DatedAheadError(UnknownKeyError):
    """A statement dated well after this node's clock: held until it may count (C18).

    ``counts_in_seconds`` is in how long that is.
    """

    reference = "dated-ahead"
    peer_text = "the statement carries a time that has not come yet"

    def __init__(self, summary: str, *, counts_in_seconds: float) -> None:
        super().__init__(summary)
        self.counts_in_seconds = counts_in_seconds


class RevokedSinceError(UnknownKeyError):
    """Dated before its key was revoked, but first seen afterwards: held, because dates can be forged."""

    reference = "revoked-since"
    peer_text = "the signing key was revoked"


class IssuerDisabledError(UnknownKeyError):
    """A receipt or hop note first seen while its issuer is disabled: held, its keys may be a thief's."""

    reference = "issuer-disabled"
    peer_text = "the signer is disabled in the directory"


class ValidatorError(ExchangeError):
    """A validator failed by itself and said nothing about the packet: held, never refused."""

    reference = "validator-failed"
    temporary = True
    peer_text = "the packet could not be checked yet"
    hint = "run `exchangectl packet check` on the packet; if it fails again, report it with the version"
