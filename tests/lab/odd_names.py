#!/usr/bin/python3
"""A name server before another: answers for NAPTR records that BIND refuses to serve, and passes on all else.

    odd_names.py ADDRESS BEHIND FILE     FILE: {"name": [[order, preference, flags, services, regexp, replacement], ...]}
"""
import json
import socket
import struct
import sys
import threading

NAPTR = 35


def wire_name(text):
    return b"".join(bytes([len(label)]) + label.encode() for label in text.split(".") if label) + b"\0"


def question_of(query):
    """The name, the type, and how many bytes both take."""
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode().lower())
        at += 1 + query[at]
    return ".".join(labels), struct.unpack(">H", query[at + 1:at + 3])[0], at + 5 - 12


def answer(query, records):
    _, _, size = question_of(query)
    out = query[:2] + struct.pack(">HHHHH", 0x8580, 1, len(records), 0, 0) + query[12:12 + size]
    for order, preference, flags, services, regexp, replacement in records:
        data = struct.pack(">HH", order, preference)
        data += b"".join(bytes([len(text)]) + text.encode() for text in (flags, services, regexp)) + wire_name(replacement)
        out += b"\xc0\x0c" + struct.pack(">HHIH", NAPTR, 1, 60, len(data)) + data
    return out


def udp(address, behind, odd):
    front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    front.bind((address, 53))

    def pass_on(query, sender):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as back:
            back.settimeout(2)
            back.sendto(query, (behind, 53))
            try:
                front.sendto(back.recv(65535), sender)
            except OSError:
                pass

    while True:
        query, sender = front.recvfrom(4096)
        name, kind, _ = question_of(query)
        if kind == NAPTR and name in odd:
            front.sendto(answer(query, odd[name]), sender)
        else:
            threading.Thread(target=pass_on, args=(query, sender), daemon=True).start()


def tcp(address, behind):
    front = socket.create_server((address, 53))

    def shuttle(source, target):
        try:
            while data := source.recv(65535):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    while True:
        client, _ = front.accept()
        server = socket.create_connection((behind, 53))
        for ends in ((client, server), (server, client)):
            threading.Thread(target=shuttle, args=ends, daemon=True).start()


def main():
    address, behind, path = sys.argv[1:]
    with open(path) as file:
        odd = json.load(file)
    threading.Thread(target=tcp, args=(address, behind), daemon=True).start()
    udp(address, behind, odd)


if __name__ == "__main__":
    main()
