"""A sandbox for everything the lab starts: private user, mount, network and process namespaces.

Works as root, and without root where user namespaces are allowed. The first process in it is this script itself, so
when the script ends, however it ends, the kernel kills every process it started, and with them go the network
namespaces, devices and mounts: nothing can be left behind.
"""
import ctypes
import os
import signal
import sys

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x00020000, 0x10000000, 0x20000000, 0x40000000
MS_NOSUID, MS_REC, MS_PRIVATE = 2, 16384, 1 << 18
PR_SET_PDEATHSIG = 1

libc = ctypes.CDLL(None, use_errno=True)
without_root = os.getuid() != 0


class Unavailable(Exception):
    """This machine does not allow the lab. The text says what is missing and what to do."""


def call(what, name, *args):
    if getattr(libc, name)(*args) != 0:
        raise OSError(number := ctypes.get_errno(), f"{what}: {os.strerror(number)}")


def mount(source, target, kind, flags=0):
    call(f"mount {target}", "mount", source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), None)


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


def unshare():
    uid, gid = os.getuid(), os.getgid()
    kinds = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID
    try:
        if uid == 0:
            call("unshare", "unshare", kinds)
        else:
            call("unshare", "unshare", kinds | CLONE_NEWUSER)
            write("/proc/self/setgroups", "deny")
            write("/proc/self/uid_map", f"0 {uid} 1")
            write("/proc/self/gid_map", f"0 {gid} 1")
    except OSError as error:
        raise Unavailable(f"This machine does not let us make namespaces ({error.strerror}). "
                          + ("In a container, start it with --privileged." if uid == 0 else
                             "Use sudo, or allow user namespaces: sysctl kernel.unprivileged_userns_clone=1")) from error


def settle():
    """In the first process of the new namespaces: mounts of our own. Its id as seen from outside."""
    call("prctl", "prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    pid = int(os.readlink("/proc/self"))
    try:
        mount("none", "/", "none", MS_REC | MS_PRIVATE)
        mount("tmpfs", "/run", "tmpfs", MS_NOSUID)
        mount("proc", "/proc", "proc", MS_NOSUID)
    except OSError as error:
        raise Unavailable(f"A mount inside our own namespace is refused ({error.strerror}). In a container, start it "
                          "with --privileged; in a chroot, make its folder a mount point.") from error
    os.makedirs("/run/netns")
    try:
        os.close(os.open("/dev/net/tun", os.O_RDWR))
    except OSError as error:
        raise Unavailable(f"/dev/net/tun cannot be opened ({error.strerror}), and a mesh needs tunnel devices. "
                          + ("Load the module: modprobe tun" if error.errno in (2, 19) else
                             "Use sudo. In a container, add --device /dev/net/tun.")) from error
    return pid


def enter():
    """Returns in a child process inside the sandbox; this process waits for it and ends with its exit status.

    Returns the id of that process as seen from outside."""
    os.environ["PULSE_RUNTIME_PATH"] = "/run/pulse"  # espeak-ng's sound library makes a folder in /tmp, and ~/.config
    os.environ["PATH"] += ":/usr/sbin:/sbin"  # who is not root has not got them in Debian, and Kamailio is there
    unshare()
    child = os.fork()
    if child == 0:
        pid = settle()
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        return pid

    def pass_on(number, _):
        os.kill(child, number)

    signal.signal(signal.SIGTERM, pass_on)
    signal.signal(signal.SIGHUP, lambda *_: os.kill(child, signal.SIGTERM))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to the child as well
    _, status = os.waitpid(child, 0)
    os._exit(os.waitstatus_to_exitcode(status) & 0xff)


if __name__ == "__main__":  # can the lab run here?
    try:
        enter()
    except Unavailable as why:
        sys.exit(f"The lab cannot run here. {why}")
