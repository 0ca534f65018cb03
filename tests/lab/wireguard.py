"""Stock WireGuard: wireguard-go, Debian's or another, told what a wg-quick configuration says."""
import os

from network import Failed, wait_until

QUICK_ONLY = ("Address", "DNS", "MTU", "Table", "PreUp", "PostUp", "PreDown", "PostDown", "SaveConfig")


def parsed(configuration):
    """(settings of [Interface] that only wg-quick knows, what `wg setconf` takes, all allowed IPs)."""
    quick, kept, allowed = {}, [], []
    for line in configuration.splitlines():
        name, equals, value = (part.strip() for part in line.partition("#")[0].partition("="))
        if equals and name in QUICK_ONLY:
            quick.setdefault(name, []).extend(part.strip() for part in value.split(","))
            continue
        if equals and name == "AllowedIPs":
            allowed += [part.strip() for part in value.split(",")]
        kept.append(line)
    return quick, "\n".join(kept) + "\n", allowed


class StockPeer:
    def __init__(self, space, device, configuration, folder, logs=None, program="wireguard-go"):
        """Brings the tunnel up as `wg-quick up` would."""
        os.makedirs(folder, exist_ok=True)
        self.space, self.device = space, device
        quick, plain, allowed = parsed(configuration)
        if "Address" not in quick or not allowed:
            raise Failed("the configuration names no Address, or no AllowedIPs")
        self.program = space.start([program, "-f", device], f"{logs or folder}/{space.name}-wireguard-go.log",
                                   env={**os.environ, "LOG_LEVEL": "error", "WG_PROCESS_FOREGROUND": "1"})
        wait_until(f"the device of wireguard-go in {space.name}",
                   lambda: os.path.exists(f"/run/wireguard/{device}.sock"), 5)
        path = f"{folder}/{space.name}-{device}.conf"
        with open(path, "w", opener=lambda p, flags: os.open(p, flags, 0o600)) as file:
            file.write(plain)
        space.run("wg", "setconf", device, path)
        for address in quick["Address"]:
            space.ip("addr", "add", address, "dev", device)
        space.ip("link", "set", device, "mtu", quick.get("MTU", ["1420"])[0], "up")
        for prefix in allowed:
            space.ip("-6" if ":" in prefix else "-4", "route", "replace", prefix, "dev", device)

    def stop(self):
        self.program.end()
