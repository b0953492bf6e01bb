"""Every cap of the exchange standard in one place: number, unit and the reason for it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

# A packet.xml is metadata; documents travel beside it. Parsing 8 MiB stays well under a second.
PACKET_XML_BYTES: Final = 8 * MIB
# A dossier of single pages; more belongs into one document file.
PARTS: Final = 5_000
# 5,000 parts at about 500 bytes each, with room for long names.
SEAL_XML_BYTES: Final = 4 * MIB
# What a seal can list must be deliverable. A file stands there with two names of at most 255 bytes: as
# listed, and as its file is called. In XML the worst byte takes six, and five where both names have it.
DELIVERED_FILE_BYTES: Final = 3 * KIB
DELIVERY_XML_BYTES: Final = 16 * MIB
# Keys that one packet is encrypted to: those of 33 recipients, some with several while they rotate.
WRAPPED_KEYS: Final = 264
# Inline parts together: with packet.xml and seal.xml below a batch.
INLINE_PARTS_BYTES: Final = 8 * MIB
# A larger part is a blob of its own, resumable and stored once (C8).
INLINE_PART_BYTES: Final = 1 * MIB
# A batch is landed, verified and stored as one file.
BATCH_BYTES: Final = 32 * MIB
# Items of one batch: keeps a waybill below WAYBILL_BYTES.
BATCH_ITEMS: Final = 4_096
# Batches of one link that may wait for their acknowledgement.
OPEN_BATCHES: Final = 1_024
WAYBILL_BYTES: Final = 2 * MIB
# No clock of a machine shows less, and whoever counts days back from it stays within the calendar.
EARLIEST_CLOCK: Final = datetime(1970, 1, 1, tzinfo=UTC)
# Receipts and hop notes are machine-written and short.
RECEIPT_BYTES: Final = 256 * KIB
HOP_BYTES: Final = 16 * KIB
# What a note carries, and the note itself, in which that stands in base64.
NOTE_PAYLOAD_BYTES: Final = 1 * MIB
NOTE_BYTES: Final = 1536 * KIB
STATUS_BYTES: Final = 1 * MIB
# A notice names the first packets that it is about, and counts the rest: nobody reads more.
NOTICE_BYTES: Final = 64 * KIB
NOTICE_PACKETS: Final = 200
DISPOSITION_BYTES: Final = 256 * KIB
# At most 32 keys.
KEY_OFFER_BYTES: Final = 16 * KIB
# A log head is a few lines. A statement holds about a thousand entries; a note has room for no more.
LOG_HEAD_BYTES: Final = 4 * KIB
LOG_STATEMENT_BYTES: Final = 1 * MIB
# With the signatures of 32 roots.
LOG_RECOVERY_BYTES: Final = 16 * KIB
# 500 agencies with keys and names need about 1 MiB.
DIRECTORY_BYTES: Final = 16 * MIB
# A proof without its parts: a case of a thousand packets, and fifty directories.
PROOF_BYTES: Final = 512 * MIB
# The largest version and the largest epoch: 18 digits, as many as a file name of a mailbox may have.
DIRECTORY_VERSION: Final = 10**18 - 1
# The shipped standard as a pack has about 1 MiB; local additions are small beside it.
PACK_BYTES: Final = 8 * MIB
# Packs that a directory names: a few versions side by side, and some provinces' own.
PACKS: Final = 64
# Element depth of a packet.xml; libxml2's own stop is 256.
XML_DEPTH: Final = 32
XML_ATTRIBUTES: Final = 64
# Names of files: a component on ext4 and NTFS is at most 255 bytes or characters.
NAME_BYTES: Final = 255
# Findings listed in one verdict; more adds nothing that a clerk could use.
FINDINGS: Final = 200
# Persons of one body, and items of one list in it: a large fraud case has hundreds. Each person is
# checked by every rule, so this bounds the time of a check.
PERSONS: Final = 1_000
LIST_ITEMS: Final = 5_000
# Copies of one packet.
COPIES: Final = 32
# Zip drops: entries and the sum of the unpacked sizes (a dossier with video is gigabytes).
ZIP_ENTRIES: Final = PARTS + 16
ZIP_BYTES: Final = 64 * 1024 * MIB
ZIP_RATIO: Final = 200
# Attachments that are packages (a dossier, an OFD): files in one, and the length of a name with its folders.
DOCUMENT_ENTRIES: Final = 20_000
DOCUMENT_ENTRY_NAME_BYTES: Final = 512
# What they may unpack to. Documents hardly shrink; a blank scan does. Below the second number a bomb is none.
DOCUMENT_RATIO: Final = 50
DOCUMENT_HARMLESS_BYTES: Final = 64 * MIB
# XML documents, XML inside an OFD, and indexes (20,000 entries at some 400 bytes): parsed as a whole.
DOCUMENT_XML_BYTES: Final = PACKET_XML_BYTES
# Foreign vocabularies nest deeper than ours and have wide elements.
DOCUMENT_XML_DEPTH: Final = 128
DOCUMENT_XML_ATTRIBUTES: Final = 256
# An A3 page at 600 dots per inch has 70 million pixels; four bytes each stay below half a gigabyte.
IMAGE_PIXELS: Final = 100_000_000
# All pages of one picture file: 900 A4 pages at 300 dots per inch. Decoding takes about a minute.
IMAGE_TOTAL_PIXELS: Final = 8_000_000_000
IMAGE_PAGES: Final = 5_000
# The decoder holds a compressed picture file in memory.
IMAGE_BYTES: Final = 128 * MIB
# Boxes or elements of a video: a fragmented recording has two a second.
VIDEO_BOXES: Final = 200_000
# Faults told of one document; more adds nothing that a clerk could use.
DOCUMENT_FAULTS: Final = 20
