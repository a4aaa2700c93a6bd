"""Everything that keeps a testbed from starting here, found before anything is touched, with its remedy."""

from __future__ import annotations

import os
import platform
import re
import shutil
from pathlib import Path

from . import build, cgroups, network
from .layout import HOST_LINK, LINK_NET, POD_NET, SERVICE_NET, SETTINGS_FILE, STATE, Settings

# program or file: Debian package that brings it
PROGRAMS = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "iptables": "iptables",
    "nft": "nftables",
    "conntrack": "conntrack",
    "ethtool": "ethtool",
    "modprobe": "kmod",
    "ip": "iproute2",
    "unshare": "util-linux",
    "mount": "mount",
    "busybox": "busybox",  # goes into an image
}
# the same for what builds the stack's images
IMAGE_PROGRAMS = {"buildah": "buildah", "mmdebstrap": "mmdebstrap"}
_IMAGES = Path(__file__).parents[1] / "images"
_RUNNING_DISK_GIB = 4  # volumes and logs, once programs and images are in the cache
_CONTROLLERS = ("cpu", "memory", "pids", "cpuset")
# what it is for, with the modules that bring it: a script that works where it is there
_FEATURES = {
    "overlays (overlay)": "mkdir l u w m; mount -t overlay x m -o lowerdir=l,upperdir=u,workdir=w",
    "virtual cables (veth)": "ip link add name v0 type veth peer name v1",
    "bridges (bridge)": "ip link add name b0 type bridge",
    "rules for bridged packets (br_netfilter)": "ls /proc/sys/net/bridge/bridge-nf-call-iptables",
    "address translation (nf_tables, nf_nat)": "iptables -t nat -A OUTPUT -m comment --comment x -j ACCEPT",
    "connection tracking (nf_conntrack)": "iptables -A OUTPUT -m conntrack --ctstate NEW -j DROP",
}


def owner() -> Settings | None:
    """Returns the settings of the testbed that this machine has, up or left half-way, if it has one."""
    return Settings.from_json(SETTINGS_FILE.read_text()) if SETTINGS_FILE.exists() else None


def problems(
    settings: Settings, *, packages_will_be_installed: bool = False, stack_images: bool = False
) -> list[str]:
    """Returns all reasons not to start, as sentences with what to do about each; changes nothing.

    Args:
        settings: those that the testbed would be started with.
        packages_will_be_installed: missing Debian packages are no reason.
        stack_images: the stack's images will be built, which asks for more than the programs do.
    """
    if platform.system() != "Linux":
        return [f"this is {platform.system()} and the testbed needs Linux: use inventory/local"]
    if os.geteuid() != 0:
        return ["the testbed makes namespaces, mounts and cgroups: run it as root (`sudo make testbed-up`)"]
    found = _ownership(settings)
    ours = owner()
    if ours is None:
        found += _names()
    missing = missing_packages(stack_images=stack_images)
    if missing and not packages_will_be_installed:
        found.append(
            f"missing programs: `apt-get install {' '.join(missing)}`, or let testbed_install_packages do it"
        )
    found += _builders(stack_images=stack_images)
    if ours is None:
        found += _room(settings)
        if not missing:  # those programs try the kernel
            found += _kernel()
    return found


def missing_packages(*, stack_images: bool) -> list[str]:
    """Returns the Debian packages whose programs this machine lacks."""
    wanted = PROGRAMS | (IMAGE_PROGRAMS if stack_images else {})
    return sorted({package for program, package in wanted.items() if not _has(program)})


def _ownership(settings: Settings) -> list[str]:
    ours = owner()
    if ours is None and STATE.exists():
        return [f"{STATE} exists but was not made by a testbed: look what it is and move it away"]
    if ours and ours.checkout != settings.checkout and ours.checkout.exists():
        return [
            f"the testbed of another working copy is on this machine, and there can be one only: "
            f"`make testbed-down` in {ours.checkout} first"
        ]
    return []


def _builders(*, stack_images: bool) -> list[str]:
    """Compilers and installers that no Debian package of a fitting version brings."""
    modules = [*build.SOURCES.glob("*/go.mod"), *(_IMAGES.glob("*/go/go.mod") if stack_images else ())]
    asked = max(_numbers(re.findall(r"^go (\S+)$", module.read_text(), re.M)[0]) for module in modules)
    wanted = f"install Go {'.'.join(map(str, asked))} or newer"
    found = []
    if not shutil.which("go"):
        found.append(f"there is no Go compiler on PATH, which builds the programs: {wanted}")
    elif _numbers(version := build.output_of("go", "env", "GOVERSION").strip()) < asked:
        found.append(f"the Go compiler on PATH is {version}, too old for the programs: {wanted}")
    if stack_images and not shutil.which("npm"):
        found.append("there is no npm on PATH, which installs Cube: install Node.js with npm 9 or newer")
    return found


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)))


def _names() -> list[str]:
    """Names and addresses that the testbed will take and that something else has."""
    found = []
    if (Path("/sys/class/net") / HOST_LINK).exists():
        found.append(
            f"a network link {HOST_LINK} exists that is not ours: "
            f"`ip link delete {HOST_LINK}` if nothing uses it"
        )
    if taken := [str(tree) for tree in cgroups.trees() if tree.exists()]:
        found.append(
            f"cgroups exist that are not ours: {', '.join(taken)}; end what runs in them and rmdir them"
        )
    if _has("ip"):
        found += [
            f"the route {clash} overlaps the testbed's networks {LINK_NET}, {POD_NET} and {SERVICE_NET}: "
            "remove it (a VPN?) while the testbed is up"
            for clash in network.clashes()
        ]
    return found


def _kernel() -> list[str]:
    found = []
    have = _controllers()
    if absent := [name for name in _CONTROLLERS if name not in have]:
        found.append(
            f"cgroup controllers not available: {', '.join(absent)}; enable them on the kernel's command line"
        )
    # in namespaces with an empty /run: nothing of the tries is left
    tries = [
        f"(set -e; {script}) >/dev/null 2>&1 || echo '{feature}'" for feature, script in _FEATURES.items()
    ]
    script = "\n".join(["mount -t tmpfs tmpfs /run && cd /run || exit", *tries])
    absent_features = network.run("unshare", "--net", "--mount", "sh", "-c", script).splitlines()
    found += [
        f"the kernel has no {feature}: load the module with modprobe, or use another kernel"
        for feature in absent_features
    ]
    return found


def _controllers() -> set[str]:
    if cgroups.version() == "v2":
        return set((cgroups.ROOT / "cgroup.controllers").read_text().split())
    return {tree.name for tree in cgroups.ROOT.iterdir() if (tree / "cgroup.procs").exists()}


def _room(settings: Settings) -> list[str]:
    found = []
    memory = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    available = int(memory["MemAvailable"].split()[0]) // 1024
    if available < settings.minimum_memory_mib:
        found.append(
            f"{available} MiB of memory are available, {settings.minimum_memory_mib} are needed: "
            "end something, or lower testbed_minimum_memory_mib"
        )
    running = min(_RUNNING_DISK_GIB, settings.minimum_disk_gib)
    first = not settings.image_store.exists()
    needed = {_existing(STATE): running}
    needed[_existing(settings.cache)] = settings.minimum_disk_gib if first else running
    for folder, gib in needed.items():
        free = shutil.disk_usage(folder).free >> 30
        if free < gib:
            found.append(
                f"{free} GiB are free on the disk of {folder}, {gib} are needed: "
                "make room, move testbed_cache, or lower testbed_minimum_disk_gib"
            )
    return found


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.parent)


def _has(program: str) -> bool:
    return (
        shutil.which(program, path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin") is not None
    )
