"""Becomes a command that does not outlive its parent: tied.py SIGNAL PARENT UID GID COMMAND…

On Linux the kernel sends SIGNAL when the parent dies, however it dies. The change of user comes first, as it
would clear that. A program of its own, for code between fork and exec is unsafe in a parent with threads.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main(signal_number: int, parent: int, uid: int, gid: int, command: list[str]) -> None:
    if uid != os.geteuid():
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal_number))
        if os.getppid() != parent:
            sys.exit("the parent is gone")
    os.execv(command[0], command)


if __name__ == "__main__":
    when_orphaned, started_by, user, group = (int(number) for number in sys.argv[1:5])
    main(when_orphaned, started_by, user, group, sys.argv[5:])
