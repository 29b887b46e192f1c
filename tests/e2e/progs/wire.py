"""Says what a capture of the loopback interface holds: for every direction of every TCP connection
that carried bytes, how its first bytes look. Reads pcap files only; judges nothing.

    wire.py FILE      prints "tls N" and "plain N" (directions), and "plain ADDRESS > ADDRESS BYTES" for each
"""
import struct
import sys


def packets(path):
    with open(path, "rb") as capture:
        data = capture.read()
    order = "<" if data[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    at = 24
    while at + 16 <= len(data):
        size = struct.unpack(order + "I", data[at + 8:at + 12])[0]
        if at + 16 + size > len(data):
            return
        yield data[at + 16 + 14:at + 16 + size]  # behind the Ethernet header
        at += 16 + size


def segments(path):
    """(flow, flags, sequence number, payload) of each TCP segment."""
    for packet in packets(path):
        if not packet:
            continue
        if packet[0] >> 4 == 4:
            start, addresses = (packet[0] & 15) * 4, packet[12:20]
            end = struct.unpack(">H", packet[2:4])[0] or len(packet)
        else:
            start, addresses = 40, packet[8:40]
            end = 40 + struct.unpack(">H", packet[4:6])[0]
        tcp = packet[start:end]
        if len(tcp) < 20:
            continue
        half = len(addresses) // 2
        ports = struct.unpack(">HH", tcp[:4])
        flow = (addresses[:half], ports[0], addresses[half:], ports[1])
        yield flow, tcp[13], struct.unpack(">I", tcp[4:8])[0], tcp[(tcp[12] >> 4) * 4:]


def first_bytes(path):
    """flow -> the payload that follows its SYN."""
    begins, first = {}, {}
    for flow, flags, sequence, payload in segments(path):
        if flags & 2:  # SYN: a new connection, perhaps on old ports
            begins[flow] = (sequence + 1) & 0xFFFFFFFF
        elif payload and begins.get(flow) == sequence:
            first.setdefault((flow, sequence), payload)
    return first


def looks_like_tls(payload):
    return payload[0] in (20, 21, 22) and payload[1:2] in (b"\x03", b"")


def main():
    counts = {"tls": 0, "plain": 0}
    for (flow, _), payload in first_bytes(sys.argv[1]).items():
        kind = "tls" if looks_like_tls(payload) else "plain"
        counts[kind] += 1
        if kind == "plain" and counts[kind] <= 10:
            ends = [".".join(map(str, flow[i])) + f":{flow[i + 1]}" for i in (0, 2)]
            print("plain", ends[0], ">", ends[1], payload[:24])
    for kind, count in counts.items():
        print(kind, count)


main()
