"""Which machine this is, and what was measured on it: a figure without that is worth nothing."""

import datetime
import os
import platform
import subprocess
from pathlib import Path

import fastapi
import stripe
import uvicorn

from lab.setup import ROOT


def facts(directory: Path) -> dict[str, str]:
    """The machine, the disk that `directory` is on, and the versions of what is measured."""
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": output("git", "-C", str(ROOT), "describe", "--always", "--dirty"),
        "CPU": f"{cpu()}, {os.cpu_count()} cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "kernel": platform.release(),
        "disk": disk(directory),
        "versions": ", ".join(
            [
                output("rustc", "--version"),
                f"Python {platform.python_version()}",
                f"FastAPI {fastapi.__version__}",
                f"uvicorn {uvicorn.__version__}",
                f"stripe {stripe.VERSION}",
                f"webhook {output('dpkg-query', '-W', '-f', '${Version}', 'webhook')}",
            ]
        ),
    }


def output(*command: str) -> str:
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "not there"


def cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return " ".join(line.split(":", 1)[1].split())
    return platform.machine()


def disk(directory: Path) -> str:
    source, kind = output("findmnt", "-n", "-o", "SOURCE,FSTYPE", "-T", str(directory)).split()
    if kind in ("tmpfs", "ramfs"):
        raise SystemExit(f"{directory} is in memory ({kind}): no sync there means anything; give --dir on a disk")
    return f"{kind} on {source}"
