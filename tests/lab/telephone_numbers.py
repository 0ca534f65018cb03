"""Telephone numbers as a zone of DNS may have them, with every oddity that ENUM's standards speak of."""

SIP = "E2U+sip"


class Number:
    """`records` are (order, preference, flags, services, regexp, replacement). `uri` is where a call goes, None for nowhere.
    `oracle` is what Kamailio's enum module makes of it where that is something else, and `why` what the RFC says."""

    def __init__(self, number, records, uri, oracle=..., why="", bind=True):
        """`bind` False: BIND refuses to serve these records."""
        self.number, self.records, self.uri, self.why, self.bind = number, records, uri, why, bind
        self.oracle = uri if oracle is ... else oracle


def naptr(regexp, order=10, preference=10, services=SIP, flags="u", replacement="."):
    return order, preference, flags, services, regexp, replacement


def to(uri, **more):
    return naptr(f"!^.*$!{uri}!", **more)


def chain(name, **more):
    return naptr("", services="", flags="", replacement=name, **more)


GOOD = to("sip:good@example.com", preference=90)
MAIL = to("mailto:info@example.com", services="E2U+email:mailto", preference=50)
HOSTILE = "^((((.*)*)*)*)*x$"

NUMBERS = (
    # the number of RFC 6116, and the order of records
    Number("+442079460148", [naptr(r"!^(\+442079460148)$!sip:\1@example.com!", 100, 50),
                             naptr(r"!^\+442079460148$!h323:operator@example.com!", 100, 51, "E2U+h323"),
                             to("mailto:info@example.com", order=100, preference=52, services="E2U+email:mailto")],
           "sip:+442079460148@example.com"),
    Number("+390461000001", [to("sip:one@example.com")], "sip:one@example.com"),
    Number("+390461000002", [to("sip:late@example.com", order=20, preference=1), to("sip:third@example.com", preference=30),
                             to("sip:first@example.com", preference=20)], "sip:first@example.com"),
    Number("+390461000003", [MAIL, to("sip:later@example.com", order=20)], "sip:later@example.com"),
    Number("+390461000004", [MAIL, to("tel:+390461000004", services="E2U+pstn:tel"),
                             to("h323:gk@example.com", services="E2U+h323"), to("http://example.com/", services="E2U+web:http")], None),
    # regular expressions
    Number("+390461000010", [naptr(r"!^\+39(.*)$!sip:\1@gw.example.com!")], "sip:0461000010@gw.example.com"),
    Number("+390461000011", [naptr(r"!^\+39(....)(.*)$!sip:\2.\1@example.com!")], "sip:000011.0461@example.com"),
    Number("+390461000012", [naptr(r"!^+39(.*)$!sip:\1@example.com!")], "sip:0461000012@example.com",
           None, 'RFC 2916 section 3.2.3 writes "^+" itself; POSIX leaves it undefined, and no other meaning makes sense', bind=False),
    Number("+390461000013", [naptr(r"!^\+([0-9]{2})([[:digit:]]+)$!sip:\2@\1.example.com!")], "sip:0461000013@39.example.com"),
    Number("+390461000014", [naptr(r"!^\+(39|44)(0?)(.*)$!sip:\3@example.com!")], "sip:461000014@example.com"),
    Number("+390461000015", [naptr(r"!^\+39(9)?(.*)$!sip:x\1\2@example.com!")], "sip:x0461000015@example.com",
           None, "RFC 3402 section 3.2: a substitution as sed does it, where a group that took no part is empty"),
    Number("+390461000016", [naptr("!^.*$!sip:Case@Example.COM!i")], "sip:Case@Example.COM"),
    Number("+390461000017", [naptr(r"!(\d)(.*)!sip:digit@example.com!"), GOOD], "sip:good@example.com"),
    # delimiters
    Number("+390461000020", [naptr("/^.*$/sip:slash@example.com/")], "sip:slash@example.com",
           None, "RFC 3402 section 3.2: the delimiter is any character but a digit, a flag or a backslash"),
    Number("+390461000021", [naptr("#^.*$#sip:hash@example.com#")], "sip:hash@example.com",
           None, "RFC 3402 section 3.2, as above"),
    Number("+390461000022", [naptr("z^.*$zsip:letter@example.comz")], "sip:letter@example.com",
           None, "RFC 3402 section 3.2, as above"),
    Number("+390461000023", [naptr(r"!^.*$!sip:a\!b@example.com!")], "sip:a!b@example.com",
           None, "RFC 3402 section 3.2: a delimiter behind a backslash is a character"),
    Number("+390461000024", [naptr(r"!^\!?.*$!sip:c@example.com!")], "sip:c@example.com",
           None, "RFC 3402 section 3.2, as above"),
    # services
    Number("+390461000030", [to("sip:old@example.com", services="sip+E2U")], "sip:old@example.com",
           None, "RFC 2916 had it so; zones that were never rewritten still do"),
    Number("+390461000031", [to("sip:compound@example.com", services="E2U+voice:sip+sip")], "sip:compound@example.com"),
    Number("+390461000032", [to("sip:first@example.com", services="E2U+sip+email:mailto")], "sip:first@example.com"),
    Number("+390461000033", [to("sip:case@example.com", services="e2u+SIP")], "sip:case@example.com"),
    Number("+390461000034", [to("sip:flag@example.com", flags="U")], "sip:flag@example.com"),
    Number("+390461000035", [to("sips:secure@example.com")], "sips:secure@example.com"),
    # malformed: skipped, and the next one counts
    Number("+390461000040", [naptr("!^.*$!sip:open@example.com"), GOOD], "sip:good@example.com", bind=False),
    Number("+390461000041", [naptr(""), GOOD], "sip:good@example.com"),
    Number("+390461000042", [naptr(r"!^\+49.*$!sip:other@example.com!"), GOOD], "sip:good@example.com"),
    Number("+390461000043", [naptr(r"!^.*$!sip:\1@example.com!"), GOOD], "sip:good@example.com", bind=False),
    Number("+390461000044", [naptr("!^.*$!!"), GOOD], "sip:good@example.com",
           "<null>", "RFC 3402 section 3.2: a substitution whose result is no key is a faulty rule"),
    Number("+390461000045", [to("mailto:a@example.com"), GOOD], "sip:good@example.com",
           "<null>", "RFC 3764: the service sip gives a SIP or SIPS URI"),
    Number("+390461000046", [to("sip:both@example.com", replacement="example.com."), GOOD], "sip:good@example.com",
           "sip:both@example.com", "RFC 3403 section 4.1: a record with both a regular expression and a replacement is in error"),
    Number("+390461000047", [to("sip:s@example.com", flags="s"), GOOD], "sip:good@example.com",
           "sip:s@example.com", "RFC 6116 section 3.4: u is the only flag"),
    Number("+390461000048", [naptr("!(^.*$!sip:paren@example.com!"), GOOD], "sip:good@example.com", bind=False),
    Number("+390461000049", [naptr("!^.*$!sip:a@example.com\r\nX-Header: b!"), GOOD], "sip:good@example.com",
           "<null>", "RFC 3986 section 2: no URI holds control characters"),
    Number("+390461000050", [to("sip:e2u@example.com", services="E2U"), GOOD], "sip:good@example.com"),
    Number("+390461000051", [to("sip:loc@example.com", services="SIP+D2U"), GOOD], "sip:good@example.com"),
    Number("+390461000052", [naptr(f"!{HOSTILE}!sip:hostile@example.com!"), GOOD], "sip:good@example.com"),
    Number("+390461000053", [naptr("!^.*$!sip:flags@example.com!x"), GOOD], "sip:good@example.com",
           "sip:flags@example.com", "RFC 3402 section 3.2: i is the only flag of a substitution", bind=False),
    # records that are not terminal
    Number("+390461000060", [chain("one.chain.e164.arpa.")], "sip:chained@example.com",
           None, "RFC 3403 section 4.1: a record without flags is not terminal, its replacement is looked up next"),
    Number("+390461000061", [chain("two.chain.e164.arpa.", preference=1), GOOD], "sip:chained@example.com",
           "sip:good@example.com", "RFC 3403 section 4.1, as above"),
    Number("+390461000062", [chain("loop.chain.e164.arpa.", preference=1), GOOD], "sip:good@example.com"),
    Number("+390461000063", [chain("nowhere.chain.e164.arpa.", preference=1), GOOD], "sip:good@example.com"),
    Number("+390461000064", [chain("deep1.chain.e164.arpa.", preference=1), GOOD], "sip:good@example.com"),
    # many: more than fits a datagram
    Number("+390461000070", [to(f"sip:many{n}@{'x' * 60}.{'y' * 60}.example.com", preference=100 - n) for n in range(20)],
           f"sip:many19@{'x' * 60}.{'y' * 60}.example.com"),
    Number("+390461000099", [], None),
)

CHAINS = {
    "one.chain": [to("sip:chained@example.com")],
    "two.chain": [chain("one.chain.e164.arpa.")],
    "loop.chain": [chain("pool.chain.e164.arpa.")],
    "pool.chain": [chain("loop.chain.e164.arpa.")],
    **{f"deep{n}.chain": [chain(f"deep{n + 1}.chain.e164.arpa.")] for n in range(1, 8)},
    "deep8.chain": [to("sip:too-deep@example.com")],
}


def domain(number):
    return ".".join(reversed(number.lstrip("+")))


def quoted(text):
    return '"' + "".join(c if " " < c < "\x7f" and c not in '\\"' else "\\" + (c if c in '\\"' else f"{ord(c):03d}")
                         for c in text) + '"'


def zone(address):
    """The zone e164.arpa of RFC 1035's master file format, served at `address`."""
    lines = ["$TTL 2", f"@ IN SOA ns hostmaster 1 60 60 60 2", "@ IN NS ns", f"ns IN A {address}"]
    names = [(domain(n.number), n.records) for n in NUMBERS if n.bind] + list(CHAINS.items())
    for name, records in names:
        for order, preference, flags, services, regexp, replacement in records:
            lines.append(f"{name} IN NAPTR {order} {preference} {quoted(flags)} {quoted(services)} {quoted(regexp)} {replacement}")
    return "\n".join(lines) + "\n"


def odd_names():
    """What BIND does not serve, as odd_names.py takes it."""
    return {domain(n.number) + ".e164.arpa": n.records for n in NUMBERS if not n.bind}


def record_count():
    return sum(len(n.records) for n in NUMBERS) + sum(len(records) for records in CHAINS.values())
