# SPDX-License-Identifier: GPL-2.0-only
"""Boots a guest kernel and runs commands in it; used by run-vm and run-suite.

The kernel is one of Debian's, in QEMU, or a User Mode Linux (tests/vm/uml),
which is a program. Both see the host's / read-only (over 9p, as hostfs) below a
tmpfs overlay, so every host program runs in it as it is and nothing it writes
reaches the host, except through one small writable share. Kernel messages come
out on the first serial line into a file, command output on the second. No image
is built: the uncompressed kernel (booted by PVH) and a 2 MB initramfs are cached
in build/vm. Process 1 is guest-main, or systemd in the series named after it.
This file must not know any test.
"""
import lzma
import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

VM_DIR = Path(__file__).resolve().parent
REPO = VM_DIR.parent.parent

EXIT_HARNESS = 97  # no QEMU, no kernel image, guest did not come up
EXIT_KERNEL_LOG = 98  # the kernel complained
EXIT_GUEST_DIED = 99  # panic, or the guest went away before the command ended
EXIT_TIMEOUT = 124

# 16 s on idle cores under TCG with systemd; the rest is for a loaded machine. A
# guest that cannot come up panics, and ends at once.
BOOT_SECONDS = 600
# What a guest gets above a test's own timeout before it is taken for hung.
GRACE_SECONDS = 45

# Loaded by the initramfs to reach the host's root. Built-in ones are skipped.
BOOT_MODULES = ("virtio_pci", "9pnet_virtio", "9p", "overlay")
# And to keep on a disk what the guest writes ($vm_upper).
DISK_MODULES = ("virtio_blk", "crc32c_generic", "ext4")


class HarnessError(Exception):
    """Something outside the guest is missing or broken."""


# --- Kernel log ---------------------------------------------------------------

# A line that matches one of these fails the test that was running.
BAD_LINE = re.compile(
    "|".join(
        (
            r"\bWARNING:",
            r"\bBUG:",
            r"\bINFO: (?:task|rcu|suspicious|possible|trying)",
            r"\bOops\b",
            r"\[#\d+\]",  # the die counter of every oops
            r"kernel BUG at",
            r"Kernel panic",
            r"general protection fault(?!.*\bip:)",  # "ip:" is a user program's
            r"unable to handle",
            r"circular locking dependency",
            r"possible recursive locking",
            r"inconsistent lock state",
            r"suspicious RCU usage",
            r"rcu.*(?:detected stall|self-detected|kthread starved)",
            r"soft lockup",
            r"hard LOCKUP",
            r"blocked for more than \d+ seconds",
            r"sleeping function called from invalid context",
            r"scheduling while atomic",
            r"bad: scheduling from",
            r"possible memory leak",
            r"unreferenced object",
            r"refcount_t:",
            r"list_(?:add|del) corruption",
            r"KASAN:|UBSAN:|KCSAN:|KFENCE:",
            r"Slab cache still has objects",
            r"Objects remaining in",
            r"Bad FPU state",
            r"missing module BTF, cannot register",
        )
    )
)


# The kernel patches its own code (static keys, tracepoints) by way of an int3, which it
# takes back after all CPUs have seen it. QEMU's TCG, a thread for each CPU, may
# still execute the translated int3 afterwards. Nobody owns it then; or, while others
# are patched, its handler goes back to it for ever: the guest hangs, with the patching on
# the stack or a CPU found at the entry of the handler, or without a word if all CPUs do.
STALE_BREAKPOINT = re.compile(r"\bint3: 0000 \[#1\]")
PATCHING = re.compile(r"\btext_poke_bp|\bftrace_replace_code|\basm_exc_int3\+0x0/")
HUNG = "guest hung"
# More in one run would be a fault of ours.
MAX_EMULATOR_FAULTS = 4


def allowed_lines():
    """The exceptions: one regular expression a line, comments with #."""
    text = (VM_DIR / "kernel-log-allow").read_text()
    return [re.compile(line) for line in text.splitlines() if line and not line.startswith("#")]


def bad_lines(text, allowed=None):
    """Lines of a kernel log that must not be there."""
    allowed = allowed_lines() if allowed is None else allowed
    return [
        line
        for line in text.splitlines()
        if BAD_LINE.search(line) and not any(rule.search(line) for rule in allowed)
    ]


MARK = re.compile(r"llamux-vm: (begin|end) (\S+)")


def split_log(text):
    """Console text -> {test name: its lines}; "boot" has what no test owns."""
    parts = {"boot": []}
    owner = "boot"
    for line in text.splitlines():
        mark = MARK.search(line)
        if mark:
            owner = mark[2] if mark[1] == "begin" else "boot"
            parts.setdefault(owner, [])
        else:
            parts[owner].append(line)
    return {name: "\n".join(lines) for name, lines in parts.items()}


# --- Kernel and initramfs -----------------------------------------------------

# Folders of build/uml: tests/vm/uml/build makes them.
UML = {"uml": "checked", "uml-plain": "plain"}
# The same kernels, with the host's systemd as process 1.
SYSTEMD = {"6.1-systemd": "6.1", "6.12-systemd": "6.12"}
SERIES = ("6.1", "6.12", *SYSTEMD, *UML)
# Its message (arch/um/os-Linux/skas/process.c) before it kills process 1.
REGISTERS_REFUSED = "ptrace set fp regs failed"


@dataclass
class Kernel:
    """modules: its folder below /lib/modules, or None: User Mode Linux has all it needs built in.

    init: what is process 1: "systemd", or "" for guest-main.
    """

    series: str
    release: str
    image: Path
    modules: Path | None
    init: str = ""

    @staticmethod
    def find(series, build):
        if series in UML:
            return Kernel.find_uml(series, build)
        kernel = Kernel.find_debian(SYSTEMD.get(series, series))
        kernel.init = "systemd" if series in SYSTEMD else ""
        return kernel

    @staticmethod
    def find_uml(series, build):
        image = build / "uml" / UML[series] / "linux"
        if not image.exists():
            raise HarnessError(f"no {image}: run `make test-uml`")
        return Kernel(series, series, image, None)

    @staticmethod
    def find_debian(series):
        """The newest installed Debian kernel of a series, as `make setup` installs it."""
        found = []
        for modules in Path("/lib/modules").glob(f"{series}.*-amd64"):
            image = Path("/boot") / f"vmlinuz-{modules.name}"
            flavour = re.fullmatch(r"[\d.]+[^-]*(-\d+)?-amd64", modules.name)
            if flavour and os.access(image, os.R_OK) and (modules / "modules.dep").exists():
                version = [int(number) for number in re.findall(r"\d+", modules.name)]
                found.append((version, Kernel(series, modules.name, image, modules)))
        if not found:
            raise HarnessError(f"no image and modules of a Linux {series}: run `make setup`")
        return max(found, key=lambda item: item[0])[1]


def unpack_kernel(image):
    """bzImage bytes -> vmlinux bytes. Offsets: Documentation/x86/boot.rst."""
    if image[0x202:0x206] != b"HdrS":
        raise HarnessError("kernel image is not a bzImage")
    setup_sectors = image[0x1F1] or 4
    start = (setup_sectors + 1) * 512 + int.from_bytes(image[0x248:0x24C], "little")
    payload = image[start : start + int.from_bytes(image[0x24C:0x250], "little")]
    if payload.startswith(b"\xfd7zXZ"):
        # the payload ends with the unpacked size, which is not part of the stream
        return lzma.LZMADecompressor().decompress(payload)
    if payload.startswith(b"\x28\xb5\x2f\xfd"):
        done = subprocess.run(["zstd", "-dcq"], input=payload[:-4], capture_output=True, check=False)
        if done.returncode == 0:
            return done.stdout
        raise HarnessError(f"cannot unpack the kernel: zstd: {done.stderr.decode()}")
    raise HarnessError("kernel image is packed in a way this script does not know")


def module_files(kernel, names):
    """Paths below kernel.modules in the order to insert them."""
    if kernel.modules is None:
        return []
    depends = {}
    for line in (kernel.modules / "modules.dep").read_text().splitlines():
        path, _, rest = line.partition(":")
        depends[path] = rest.split()
    by_name = {re.sub(r"\.ko.*", "", Path(p).name).replace("-", "_"): p for p in depends}
    order = []
    for name in names:
        path = by_name.get(name)
        if path is None:
            continue  # built in
        for item in [*reversed(depends[path]), path]:
            if item not in order:
                order.append(item)
    return order


def cpio_entry(name, mode, content=b""):
    """One member of a "newc" archive (Documentation/driver-api/early-userspace)."""
    raw = name.encode() + b"\0"
    fields = (0, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(raw), 0)
    head = b"070701" + b"".join(b"%08X" % value for value in fields) + raw
    return head + b"\0" * (-len(head) % 4) + content + b"\0" * (-len(content) % 4)


def make_initramfs(kernel):
    busybox = shutil.which("busybox", path="/bin:/usr/bin")
    if not busybox:
        raise HarnessError("busybox is missing: run `make setup`")
    folders = ("bin", "dev", "proc", "modules", "disk-modules", "ro", "rw", "new")
    members = [cpio_entry(name, 0o040755) for name in folders]
    members.append(cpio_entry("bin/busybox", 0o100755, Path(busybox).read_bytes()))
    members.append(cpio_entry("init", 0o100755, (VM_DIR / "initramfs-init").read_bytes()))
    at_boot = module_files(kernel, BOOT_MODULES)
    for number, path in enumerate(module_files(kernel, BOOT_MODULES + DISK_MODULES)):
        folder = "modules" if path in at_boot else "disk-modules"
        content = (kernel.modules / path).read_bytes()
        if path.endswith(".xz"):
            content = lzma.decompress(content)
        members.append(cpio_entry(f"{folder}/{number:02}.ko", 0o100644, content))
    members.append(cpio_entry("TRAILER!!!", 0))
    return b"".join(members)


def write_whole(path, content):
    """Other runs may read the file at this moment."""
    part = path.with_name(f"{path.name}.{os.getpid()}")
    part.write_bytes(content)
    part.rename(path)


def cached(build, kernel, name, make, *sources):
    """The file that make() gives, made again when what it comes from is newer."""
    path = build / "vm" / kernel.release / name
    path.parent.mkdir(parents=True, exist_ok=True)
    newest = max(source.stat().st_mtime for source in (kernel.image, *sources))
    if not path.exists() or path.stat().st_mtime < newest:
        write_whole(path, make())
    return path


def cached_vmlinux(build, kernel):
    return cached(build, kernel, "vmlinux", lambda: unpack_kernel(kernel.image.read_bytes()))


def cached_initramfs(build, kernel):
    sources = (VM_DIR / "initramfs-init", Path(__file__))
    return cached(build, kernel, "initramfs.cpio", lambda: make_initramfs(kernel), *sources)


# --- Running ------------------------------------------------------------------


@dataclass
class Machine:
    """How the guest is built."""

    build: Path
    kernel: Kernel
    mem: str = "1G"
    cpus: int = 2
    disk_mib: int = 256
    disk: Path | None = None  # image that outlives the guest, instead of an empty disk
    disk_options: str = ""  # of QEMU's -drive, such as throttling.bps-total=N
    append: str = ""
    accel: str = ""
    environment: dict = field(default_factory=dict)


def qemu_binary():
    qemu = shutil.which("qemu-system-x86_64")
    if not qemu:
        raise HarnessError("qemu-system-x86_64 is missing: run `make setup`")
    return qemu


def accelerator(build):
    """"kvm" only where a trial boot under it worked; the answer is kept."""
    chosen = os.environ.get("LLAMUX_VM_ACCEL")
    if chosen:
        return chosen
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    memo = build / "vm" / "accel"
    if memo.exists() and memo.read_text().split()[0] == boot_id:
        return memo.read_text().split()[1]
    machine = Machine(build, Kernel.find("6.12", build), accel="kvm")
    run = Run(machine, [("trial", 10, "true")], build / "vm" / "trial")
    run.boot_seconds = 20
    run.go()
    answer = "kvm" if run.results.get("trial") == 0 else "tcg"
    memo.write_text(f"{boot_id} {answer}\n")
    return answer


# For the kernel, and for guest-main: a variable of init.
COMMON_APPEND = f"console=ttyS0 loglevel=5 printk.devkmsg=on panic=-1 oops=panic vm_repo={REPO}"


def guest_command(machine, share, interactive=False):
    """What to execute on the host."""
    for path in (REPO, machine.build, share):
        if re.search(r"[\s\"',]", str(path)):
            raise HarnessError(f"path with a blank, quote or comma cannot reach the guest: {path}")
    make = uml_command if machine.kernel.series in UML else qemu_command
    return make(machine, share, interactive)


def uml_command(machine, share, interactive):
    """Kernel messages go to stderr, where the program's own are, too."""
    log = "fd:0,fd:1" if interactive else "null,fd:2"
    # One defect must not hide the next one.
    append = f"{COMMON_APPEND} kasan_multi_shot vm_share={share} {machine.append}"
    return [
        str(machine.kernel.image), f"mem={machine.mem}",
        f"initrd={cached_initramfs(machine.build, machine.kernel)}",
        f"uml_dir={share}", "noreboot", "con=null", f"ssl0={log}", "ssl1=null,fd:1", *append.split(),
    ]  # fmt: skip


def qemu_command(machine, share, interactive):
    accel = machine.accel or accelerator(machine.build)
    console = ["-serial", "mon:stdio"]
    if not interactive:
        console = ["-chardev", f"file,id=log,path={share}/console.log", "-serial", "chardev:log"]
        console += ["-chardev", "stdio,id=out,signal=off", "-serial", "chardev:out"]
    # no_timer_check: on a loaded host the timer comes too late for the IO-APIC
    # check, which then panics.
    append = f"{COMMON_APPEND} nokaslr no_timer_check {machine.append}"
    image = machine.disk or share / "scratch.img"
    if not machine.disk:
        with open(image, "wb") as disk:
            disk.truncate(machine.disk_mib << 20)
    return [
        qemu_binary(), "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        "-M", "q35", "-accel", "kvm" if accel == "kvm" else "tcg,thread=multi",
        "-cpu", "host" if accel == "kvm" else "max",
        "-smp", str(machine.cpus), "-m", machine.mem, *console,
        "-kernel", str(cached_vmlinux(machine.build, machine.kernel)),
        "-initrd", str(cached_initramfs(machine.build, machine.kernel)), "-append", append,
        "-virtfs", "local,path=/,mount_tag=root,security_model=none,readonly=on,multidevs=remap",
        "-virtfs", f"local,path={share},mount_tag=share,security_model=none,multidevs=remap",
        "-drive", f"file={image},if=virtio,format=raw,cache=unsafe{machine.disk_options and ',' + machine.disk_options}",
    ]  # fmt: skip


def read_jobs(path):
    """A suite file: "name TAB seconds TAB shell command" lines; # for comments."""
    only = re.compile(os.environ.get("LLAMUX_VM_ONLY", ""))
    jobs = []
    for line in path.read_text().splitlines():
        if line and not line.startswith("#"):
            name, seconds, command = line.split("\t", 2)
            if only.search(name):
                jobs.append((name, int(seconds), command))
    return jobs


class Run:
    """One boot that runs a list of (name, timeout_seconds, shell command).

    Owns its share directory. After go(): results has the exit status of every
    test that ended, died names the test (or "boot") in which the guest went
    away, reason says how.
    """

    def __init__(self, machine, jobs, share, live=None):
        self.machine = machine
        self.jobs = jobs
        self.share = share
        self.live = live  # file to copy command output to, as it comes
        self.boot_seconds = BOOT_SECONDS
        self.results = {}
        self.died = None
        self.reason = ""

    def prepare(self):
        shutil.rmtree(self.share, ignore_errors=True)
        self.share.mkdir(parents=True)
        kernel = self.machine.kernel
        build = self.machine.build
        environment = {
            "LLAMUX_REPO": REPO,
            "LLAMUX_BUILD": build,
            "LLAMUX_KO": build / "kmod" / kernel.release / "llamux.ko",
            "LLAMUX_KERNEL": kernel.series,
            "LLAMUX_OUT": "/run/llamux-vm",
            "LLAMUX_VM": 1,
            "vm_init": kernel.init,
            "vm_live": int(self.live is not None),
            **self.machine.environment,
        }
        lines = [f"export {key}='{value}'\n" for key, value in environment.items()]
        (self.share / "env").write_text("".join(lines))
        jobs = [f"{name}\t{seconds}\t{command}\n" for name, seconds, command in self.jobs]
        (self.share / "jobs").write_text("".join(jobs))

    def console(self):
        path = self.share / "console.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def current(self):
        """(name, seconds since it began, its timeout), or None between tests."""
        for name, seconds, _ in self.jobs:
            start = self.share / f"{name}.start"
            if start.exists() and not (self.share / f"{name}.rc").exists():
                return name, time.time() - start.stat().st_mtime, seconds
        return None

    def overdue(self, began):
        """Why the guest must be ended by force now, or ""."""
        if not (self.share / "ready").exists():
            late = time.time() - began > self.boot_seconds
            return f"not up after {self.boot_seconds} s" if late else ""
        now = self.current()
        if now and now[1] > now[2] + GRACE_SECONDS:
            return f"{HUNG}: no answer {GRACE_SECONDS} s after the timeout of {now[2]} s"
        if now is None and (self.share / "done").exists():
            ended = (self.share / "done").stat().st_mtime
            return "did not power off" if time.time() - ended > GRACE_SECONDS else ""
        return ""

    def command(self):
        return guest_command(self.machine, self.share)

    def go(self):
        self.prepare()
        began = time.time()
        uml = self.machine.kernel.series in UML
        errors = open(self.share / ("console.log" if uml else "qemu.log"), "ab")
        with errors, subprocess.Popen(
            self.command(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors
        ) as vm:
            os.set_blocking(vm.stdout.fileno(), False)
            try:
                self.watch(vm, began)
            finally:
                vm.kill()
        self.collect()

    def watch(self, vm, began):
        while vm.poll() is None:
            self.pass_on(vm.stdout)
            self.reason = self.overdue(began)
            if self.reason:
                vm.kill()
                break
            time.sleep(0.1)
        self.pass_on(vm.stdout)

    def pass_on(self, stream):
        output = stream.read()
        if output and self.live:
            self.live.write(output)
            self.live.flush()

    def collect(self):
        for name, _, _ in self.jobs:
            status = self.share / f"{name}.rc"
            if status.exists():
                self.results[name] = int(status.read_text())
        if (self.share / "done").exists():
            return
        now = self.current()
        self.died = now[0] if now else "boot"
        if not self.reason:
            panic = re.search(r"Kernel panic.*", self.console())
            self.reason = panic[0] if panic else "the guest went away"
        qemu_log = self.share / "qemu.log"
        if qemu_log.exists() and not (self.share / "ready").exists():
            qemu_says = qemu_log.read_text(errors="replace").strip()
            self.reason += f"\n{qemu_says}" if qemu_says else ""

    def ended(self):
        """Names of the tests that have a result: an exit status, or the guest's death."""
        return [n for n, _, _ in self.jobs if n in self.results or n == self.died]

    def emulator_fault(self):
        """The test (or "boot") in which QEMU's translator took the guest down, or None."""
        if self.machine.kernel.series in UML or accelerator(self.machine.build) != "tcg":
            return None
        log = split_log(self.console()).get(self.died, "")
        hung = self.reason.startswith(HUNG) and (PATCHING.search(log) or not bad_lines(log))
        return self.died if hung or STALE_BREAKPOINT.search(log) else None

    def judge(self, name, log):
        """(why it failed: empty if it passed, bad lines of its kernel log)."""
        bad = bad_lines(log)
        why = []
        if self.died == name:
            why.append(self.reason)
        elif self.results[name] != 0:
            why.append(f"exit status {self.results[name]}")
        if bad:
            why.append("the kernel complained")
        return why, bad

    def boot_error(self):
        """Text for a guest that never came up."""
        if REGISTERS_REFUSED in self.console():
            return (
                "the guest did not come up: this CPU has more registers than this User Mode"
                " Linux saves: enlarge HOST_FP_SIZE in tests/vm/uml/build"
            )
        tail = "\n".join(self.console().splitlines()[-15:])
        return f"the guest did not come up: {self.reason}\n{tail}"


def run_on_disk(machine, job, share):
    """The finished run of one job in a boot whose disk outlives it (machine.disk).

    A boot that QEMU's translator took down is made once more, on the disk as it was.
    """
    as_it_was = machine.disk.with_suffix(".was")
    for _ in range(MAX_EMULATOR_FAULTS):
        subprocess.run(["cp", "--sparse=always", machine.disk, as_it_was], check=True)
        run = Run(machine, [job], share)
        run.go()
        if not run.emulator_fault():
            break
        as_it_was.replace(machine.disk)
    return run
