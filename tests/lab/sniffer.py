"""What passes a device, with the kernel's time of each packet: SIP messages as they are, of RTP when it came."""
import socket
import struct
import threading
from dataclasses import dataclass

ETH_P_ALL, ETH_P_IP, SO_TIMESTAMPNS = 3, 0x0800, 35
UDP, TCP, PACKET_OUTGOING = 17, 6, 4
METHODS = (b"INVITE ", b"ACK ", b"BYE ", b"CANCEL ", b"REGISTER ", b"OPTIONS ", b"UPDATE ", b"PRACK ",
           b"MESSAGE ", b"SUBSCRIBE ", b"NOTIFY ")


@dataclass
class SipSeen:
    at_s: float         # CLOCK_REALTIME
    outgoing: bool
    start: str          # "INVITE", or a status: "180"
    cseq_method: str
    call_id: str
    body_bytes: int
    text: str


class Sniffer:
    def __init__(self, space, device):
        self.sip, self.rtp_in, self.rtp_out = [], [], []  # of RTP: seconds
        self.socket = space.inside(lambda: self.open(device))
        threading.Thread(target=self.work, daemon=True).start()

    @staticmethod
    def open(device):
        opened = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
        opened.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        opened.bind((device, ETH_P_ALL))
        return opened

    def work(self):
        while True:
            try:
                packet, ancillary, _, address = self.socket.recvmsg(65535, 64)
            except OSError:  # its device is gone
                return
            seconds, nanoseconds = struct.unpack("qq", ancillary[0][2][:16])
            if address[1] == ETH_P_IP:
                self.look(packet, seconds + nanoseconds / 1e9, address[2] == PACKET_OUTGOING)

    def look(self, packet, at_s, outgoing):
        header = (packet[0] & 15) * 4
        if packet[9] == UDP:
            payload = packet[header + 8:]
        elif packet[9] == TCP:
            payload = packet[header + (packet[header + 12] >> 4) * 4:struct.unpack_from("!H", packet, 2)[0]]
        else:
            return
        if packet[9] == UDP and len(payload) >= 12 and payload[0] >> 6 == 2:
            if not 192 <= payload[1] <= 223:  # that would be RTCP (RFC 5761 section 4)
                (self.rtp_out if outgoing else self.rtp_in).append(at_s)
        while payload.startswith(b"SIP/2.0 ") or payload.startswith(METHODS):
            message = parsed(payload.decode("utf-8", "replace"), at_s, outgoing)
            self.sip.append(message)
            # On TCP one segment may hold several.
            payload = payload[payload.find(b"\r\n\r\n") + 4 + message.body_bytes:] if packet[9] == TCP else b""

    def registered(self, since_s=0.0):
        return any(m.start == "200" and m.cseq_method == "REGISTER" and m.at_s >= since_s for m in self.sip)

    def invites(self, since_s=0.0):
        """Call-IDs of calls that began here, the last one last."""
        return [m.call_id for m in self.sip if m.start == "INVITE" and m.outgoing and m.at_s >= since_s]

    def ring_back_ms(self, call_id, since_s=None):
        """From this phone's first INVITE of the call, or since then, to the first 180 or 183; None while there is none."""
        asked = [m.at_s for m in self.sip if m.call_id == call_id and m.start == "INVITE" and m.outgoing]
        rang = [m.at_s for m in self.sip if m.call_id == call_id and m.start in ("180", "183") and not m.outgoing
                and m.cseq_method == "INVITE"]
        return (rang[0] - (since_s or asked[0])) * 1e3 if asked and rang else None

    def longest_gap_ms(self, since_s, until_s):
        """Longest time without an incoming RTP packet, from `since_s` to `until_s` (both CLOCK_REALTIME)."""
        times = [since_s, *(t for t in self.rtp_in if since_s <= t <= until_s), until_s]
        return max(b - a for a, b in zip(times, times[1:])) * 1e3


def parsed(text, at_s, outgoing):
    lines = text.split("\r\n\r\n", 1)[0].split("\r\n")
    first = lines[0].split(" ")
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers.setdefault(name.strip().lower(), value.strip())
    return SipSeen(at_s, outgoing, first[1] if first[0] == "SIP/2.0" else first[0],
                   headers.get("cseq", "").split(" ")[-1], headers.get("call-id", headers.get("i", "")),
                   int(headers.get("content-length", headers.get("l", "0"))), text)
