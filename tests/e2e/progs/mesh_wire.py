"""Lists the connections of a capture of the loopback interface by what the connecting side sent first:
"SOURCE DESTINATION PORT tls", plain, or silent.

    mesh_wire.py FILE
"""
import ipaddress
import struct
import sys


def packets(path):
    with open(path, "rb") as capture:
        data = capture.read()
    at = 24
    while at + 16 <= len(data):
        size = struct.unpack("<I", data[at + 8:at + 12])[0]
        yield data[at + 30:at + 16 + size]  # behind the Ethernet header
        at += 16 + size


def segment(packet):
    """(source, destination, flags, payload)"""
    if packet[0] >> 4 == 4:
        start, width, at = (packet[0] & 15) * 4, 4, 12
        end = struct.unpack(">H", packet[2:4])[0]
    else:
        start, width, at = 40, 16, 8
        end = 40 + struct.unpack(">H", packet[4:6])[0]
    tcp = packet[start:end]
    ports = struct.unpack(">HH", tcp[:4])
    addresses = [ipaddress.ip_address(packet[i:i + width]) for i in (at, at + width)]
    return (addresses[0], ports[0]), (addresses[1], ports[1]), tcp[13], tcp[(tcp[12] >> 4) * 4:]


def main():
    first = {}
    for packet in packets(sys.argv[1]):
        source, destination, flags, payload = segment(packet)
        if flags & 18 == 2:  # SYN without ACK
            first[source, destination] = b""
        elif payload and first.get((source, destination)) == b"":
            first[source, destination] = payload
    for (source, destination), payload in first.items():
        kind = "silent" if not payload else "tls" if payload[0] == 22 and payload[1] == 3 else "plain"
        print(source[0], *destination, kind)


main()
