#!/usr/bin/env python3
"""Holds the layers: which folder may include which, and behind which files an outside library stays.

  check_layers.py SOURCE_ROOT      exit status 1, and a line for every include that is against it
"""
import os
import re
import sys

# What a folder may include of the others. Siblings never include each other: what two of them share is a value in
# net/, or is handed over by meshd/.
MAY_INCLUDE = {
    "net": set(),
    "loop": {"net"},
    "mesh": {"net"},
    "tun": {"net"},
    "discovery": {"net"},
    "voice": {"net"},
    "dns": {"net"},
    "meshd": {"net", "loop", "mesh", "tun", "discovery", "voice", "dns"},
    "meshctl": {"net", "loop", "voice"},
}

# Outside headers, and the only files (by the start of their path) that may include them.
BEHIND = [
    (r"uv\.h$", ["loop/"]),
    (r"sofia-sip/", ["voice/"]),
    (r"avahi-", ["discovery/", "meshd/avahi_poll"]),
    (r"sqlite3\.h$", ["meshd/store", "meshd/sqlite"]),
    (r"(netlink/|linux/(rtnetlink|netlink|if_tun)\.h$)", ["tun/", "meshd/nft.cpp"]),
    (r"systemd/", ["meshd/resolved", "meshd/sd_bus"]),
    (r"CLI/", ["meshctl/", "meshd/"]),
    (r"spdlog/", ["meshd/", "meshctl/"]),
    (r"ares", ["loop/"]),
    (r"ldns/", ["loop/", "discovery/", "voice/", "dns/"]),
    (r"sodium", ["mesh/", "meshd/", "discovery/", "net/"]),
    (r"opus", ["voice/engine/opus"]),
    (r"speex/", ["voice/engine/resampler"]),
    (r"openssl/", ["mesh/", "loop/", "voice/", "meshd/", "net/"]),
]

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def sources(root):
    """Paths, relative to the root, of every C++ source and header in a layer."""
    for folder in MAY_INCLUDE:
        for place, _, names in os.walk(os.path.join(root, folder)):
            for name in sorted(names):
                if name.endswith((".cpp", ".hpp", ".h", ".cc")):
                    yield os.path.relpath(os.path.join(place, name), root)


def complaints_of(path, text):
    folder = path.split("/")[0]
    for number, line in enumerate(text.splitlines(), 1):
        if not (match := INCLUDE.match(line)):
            continue
        quoted, header = match.group(1) == '"', match.group(2)
        other = header.split("/")[0]
        if quoted and other not in MAY_INCLUDE:
            yield f'{path}:{number}: "{header}" does not begin with one of our folders: outside headers stand in <>'
        elif quoted and other != folder and other not in MAY_INCLUDE[folder]:
            yield f'{path}:{number}: {folder}/ may not include "{header}"'
        elif not quoted:
            for pattern, allowed in BEHIND:
                if re.match(pattern, header) and not path.startswith(tuple(allowed)):
                    yield f"{path}:{number}: <{header}> belongs behind {' and '.join(allowed)}"


def self_check():
    """The check itself notices what it is for."""
    assert list(complaints_of("mesh/a.cpp", '#include "voice/b.hpp"\n'))
    assert list(complaints_of("net/a.hpp", '# include "mesh/b.hpp"\n'))
    assert list(complaints_of("mesh/a.cpp", "#include <uv.h>\n"))
    assert list(complaints_of("meshd/daemon.cpp", "#include <sqlite3.h>\n"))
    assert list(complaints_of("voice/a.cpp", '#include "sofia-sip/sip.h"\n'))
    assert not list(complaints_of("meshd/store.cpp", '#include <sqlite3.h>\n#include "voice/b.hpp"\n'))
    assert not list(complaints_of("mesh/a.cpp", '#include "mesh/b.hpp"\n#include "net/c.hpp"\n#include <vector>\n'))


def main():
    self_check()
    root = sys.argv[1]
    paths = list(sources(root))
    if not paths:
        sys.exit(f"no sources under {root}")
    complaints = []
    for path in paths:
        with open(os.path.join(root, path), encoding="utf-8") as file:
            complaints += complaints_of(path, file.read())
    print("\n".join(complaints) or f"{len(paths)} files keep the layers")
    sys.exit(1 if complaints else 0)


if __name__ == "__main__":
    main()
