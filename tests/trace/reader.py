#!/usr/bin/env python3
"""A second reader of trace files, from docs/trace-format.md alone: prints what the test compares."""

import json
import struct
import sys
from collections import Counter

ALL = (1 << 64) - 1
TABLE = []
for byte in range(256):
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    TABLE.append(byte)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def varint(data, at):
    if data[at] == 0:
        return int.from_bytes(data[at + 1 : at + 9], "little"), at + 9
    size = (data[at] & -data[at]).bit_length()
    return int.from_bytes(data[at : at + size], "little") >> size, at + size


def change(data, at):
    number, at = varint(data, at)
    return number >> 1 ^ -(number & 1), at


def raw(payload):
    at = 0
    while at < len(payload):
        tsc, kind, count, process, detail = struct.unpack_from("<QBBHI", payload, at)
        yield tsc, kind, process, detail, struct.unpack_from(f"<{count}Q", payload, at + 16)
        at += 16 + 8 * count


def compact(payload):
    slots, tsc, at = [[0] * 27 for _ in range(256)], 0, 0
    while at < len(payload) - 8:
        slot = slots[payload[at]]
        mask, at = varint(payload, at + 1)
        difference, at = change(payload, at)
        tsc = tsc + difference & ALL
        for cell in range(27):
            if mask >> cell & 1:
                difference, at = change(payload, at)
                slot[cell] = slot[cell] + difference & ALL
        kind, count, detail, process = struct.unpack("<BBIH", struct.pack("<Q", slot[0]))
        yield tsc, kind, process, detail, slot[1 : 1 + count]


def head(data):
    return json.loads(data[24 : 24 + struct.unpack_from("<I", data, 12)[0]])


def records(data):
    magic, version, _, size, _, crc = struct.unpack_from("<8sHHIII", data)
    assert magic == b"TRAPLINE" and version == 3, "no trace file"
    assert crc == crc32c(data[:20] + data[24 : 24 + size]), "damaged head"
    head(data)
    at = 24 + size
    while data[at : at + 8] == b"\xc5chunk\r\n":
        crc, size, content, encoding, _, _, first = struct.unpack_from("<IIBBHIQ", data, at + 8)
        assert crc == crc32c(data[at + 12 : at + 64 + size]), "damaged chunk"
        if content < 2:
            payload = data[at + 64 : at + 64 + size]
            for number, record in enumerate(compact(payload) if encoding else raw(payload), first):
                yield content, number, *record
        at += 64 + size
    assert data[at + 8 :] == b"\xc5close\r\n", "not closed"


def main():
    kinds, checksum = Counter(), 0
    with open(sys.argv[1], "rb") as file:
        for _, _, tsc, kind, process, detail, words in records(file.read()):
            kinds[kind] += 1
            # The order between guest and host does not matter to a sum.
            checksum = checksum + tsc + process + detail + sum(words) & ALL
    print(sum(kinds.values()), checksum, " ".join(f"{kind}:{kinds[kind]}" for kind in sorted(kinds)))


if __name__ == "__main__":
    main()
