"""Makes ready what a measurement needs: Debian packages, the Python environment, release builds."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

LOAD = Path(__file__).resolve().parent.parent
ROOT = LOAD.parent.parent
VENV = ROOT / "tests" / ".venv"
PACKAGES = ["hookyard", "hookyard-load", "hookyard-test-done", "hookyard-test-outage"]


def say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def into_environment() -> None:
    """Runs this same script again under tests/.venv, once that has what requirements.txt names."""
    if Path(sys.prefix).resolve() == VENV.resolve():
        return
    say("== the Python environment")
    python = VENV / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-r", LOAD / "requirements.txt"], check=True)
    os.execv(python, [str(python), *sys.argv])


def debian(packages: dict[str, str]) -> list[str]:
    """Installs the packages (command: package) that are missing. Says which cannot be had."""
    missing = {command: package for command, package in packages.items() if not shutil.which(command)}
    if not missing:
        return []
    say(f"== installing {' '.join(missing.values())}")
    as_root = [] if os.geteuid() == 0 else ["sudo"]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing.values()]
    try:
        subprocess.run([*as_root, "apt-get", "update", "-qq"], check=True, stdout=sys.stderr)
        subprocess.run([*as_root, *install], check=True, env=environment, stdout=sys.stderr)
    except (OSError, subprocess.CalledProcessError) as error:
        say(f"cannot install: {error}")
    return [package for command, package in missing.items() if not shutil.which(command)]


def build() -> Path:
    """Builds in release and says where the programs are."""
    say("== the daemon, the generator and the baselines (release)")
    wanted = [word for package in PACKAGES for word in ("-p", package)]
    subprocess.run(["cargo", "build", "--release", "--locked", *wanted], cwd=ROOT, check=True)
    metadata = ["cargo", "metadata", "--format-version", "1", "--no-deps", "--locked"]
    told = subprocess.run(metadata, cwd=ROOT, check=True, capture_output=True).stdout
    return Path(json.loads(told)["target_directory"]) / "release"
