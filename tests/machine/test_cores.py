"""Free cores: the least of CPU quota, affinity mask and machine, read from recorded cgroup files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gork.machine import free_cores

V2_MOUNT = "24 20 0:22 {root} /sys/fs/cgroup ro,nosuid,nodev,noexec,relatime - cgroup2 cgroup rw,nsdelegate\n"
V1_CPU_MOUNT = "31 28 0:27 {root} /sys/fs/cgroup/cpu,cpuacct ro,nosuid,nodev - cgroup cgroup rw,cpu,cpuacct\n"
V1_OTHERS = (
    "28 20 0:25 / /sys/fs/cgroup ro - tmpfs tmpfs ro,mode=755\n"
    "30 28 0:26 / /sys/fs/cgroup/cpuset ro - cgroup cgroup rw,cpuset\n"
    "32 28 0:28 / /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
)


@pytest.fixture(autouse=True)
def _eight_cores(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


def record(root: Path, *, cgroup: str, mountinfo: str) -> None:
    """Write what /proc says of the process."""
    own = root / "proc" / "self"
    own.mkdir(parents=True)
    (own / "cgroup").write_text(cgroup)
    (own / "mountinfo").write_text(mountinfo)


def put(root: Path, path: str, text: str) -> None:
    """Write a file of a cgroup."""
    file = root / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_a_kubernetes_pod_with_900m_has_one_core(tmp_path):
    """A quota below one core is rounded up to the one thread that there must be; the reason says the real number."""
    record(tmp_path, cgroup="0::/\n", mountinfo=V2_MOUNT.format(root="/"))
    put(tmp_path, "/sys/fs/cgroup/cpu.max", "90000 100000\n")

    cores = free_cores(tmp_path)

    assert cores.count == 1
    assert cores.why == "the CPU quota is 0.9 cores (/sys/fs/cgroup)"


def test_a_pod_without_its_own_namespace_is_found_below_the_mount(tmp_path):
    """A pod that sees the host's cgroup paths reads its own folder, not the top of the tree."""
    inside = "/kubepods.slice/kubepods-pod1.slice/cri-containerd-abc.scope"
    record(tmp_path, cgroup=f"0::{inside}\n", mountinfo=V2_MOUNT.format(root="/"))
    put(tmp_path, f"/sys/fs/cgroup{inside}/cpu.max", "350000 100000\n")

    assert free_cores(tmp_path).count == 3


@pytest.mark.parametrize("version", [1, 2])
def test_docker_with_cpus_0_9_has_one_core(tmp_path, version):
    """`docker run --cpus 0.9` is seen in both versions; in version 1 the mount's root is the container's own cgroup."""
    if version == 2:
        record(tmp_path, cgroup="0::/\n", mountinfo=V2_MOUNT.format(root="/"))
        put(tmp_path, "/sys/fs/cgroup/cpu.max", "90000 100000\n")
    else:
        own = "/docker/4f5e"
        cgroup = f"5:memory:{own}\n4:cpu,cpuacct:{own}\n3:cpuset:{own}\n1:name=systemd:{own}\n"
        record(tmp_path, cgroup=cgroup, mountinfo=V1_OTHERS + V1_CPU_MOUNT.format(root=own))
        put(tmp_path, "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "90000\n")
        put(tmp_path, "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n")

    cores = free_cores(tmp_path)

    assert cores.count == 1
    assert "0.9" in cores.why


def test_a_quota_is_rounded_down(tmp_path):
    """2.9 cores are two: three spinning threads would wait for one another."""
    record(tmp_path, cgroup="0::/\n", mountinfo=V2_MOUNT.format(root="/"))
    put(tmp_path, "/sys/fs/cgroup/cpu.max", "290000 100000\n")

    assert free_cores(tmp_path).count == 2


def test_a_limit_on_a_slice_higher_up_counts(tmp_path):
    """A systemd slice's quota limits what is below it, though the process's own cgroup says max."""
    record(tmp_path, cgroup="0::/user.slice/user-1000.slice/app.scope\n", mountinfo=V2_MOUNT.format(root="/"))
    put(tmp_path, "/sys/fs/cgroup/user.slice/user-1000.slice/app.scope/cpu.max", "max 100000\n")
    put(tmp_path, "/sys/fs/cgroup/user.slice/user-1000.slice/cpu.max", "600000 100000\n")
    put(tmp_path, "/sys/fs/cgroup/user.slice/cpu.max", "400000 200000\n")

    cores = free_cores(tmp_path)

    assert cores.count == 2
    assert cores.why.endswith("(/sys/fs/cgroup/user.slice)")


def test_a_limit_higher_up_counts_in_version_1_too(tmp_path):
    """Nested version 1 cgroups are walked up like those of version 2."""
    record(tmp_path, cgroup="4:cpu,cpuacct:/slurm/job_7\n", mountinfo=V1_CPU_MOUNT.format(root="/"))
    top = "/sys/fs/cgroup/cpu,cpuacct"
    for folder, quota in ((f"{top}/slurm/job_7", "-1"), (f"{top}/slurm", "300000")):
        put(tmp_path, f"{folder}/cpu.cfs_quota_us", quota)
        put(tmp_path, f"{folder}/cpu.cfs_period_us", "100000")

    assert free_cores(tmp_path).count == 3


@pytest.mark.parametrize("text", ["max 100000\n", "max", "", "nonsense\n", "-1 100000", "100000 0", "0 100000", "9" * 40 + " 1", "1 2 3"])
def test_what_is_no_quota_does_not_limit(tmp_path, text):
    """Both max and whatever else is no quota leave all cores free."""
    record(tmp_path, cgroup="0::/\n", mountinfo=V2_MOUNT.format(root="/"))
    put(tmp_path, "/sys/fs/cgroup/cpu.max", text)

    assert free_cores(tmp_path).count == 8


def test_minus_one_in_version_1_does_not_limit(tmp_path):
    """Version 1 says -1 for no quota."""
    record(tmp_path, cgroup="4:cpu,cpuacct:/\n", mountinfo=V1_CPU_MOUNT.format(root="/"))
    put(tmp_path, "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n")
    put(tmp_path, "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n")

    assert free_cores(tmp_path).count == 8


def test_a_hybrid_machine_is_read_in_both_hierarchies(tmp_path):
    """With version 2 beside a version 1 CPU controller, the quota of version 1 counts."""
    unified = "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
    record(tmp_path, cgroup="4:cpu,cpuacct:/a\n0::/init.scope\n", mountinfo=V1_OTHERS + V1_CPU_MOUNT.format(root="/") + unified)
    put(tmp_path, "/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "200000\n")
    put(tmp_path, "/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n")

    assert free_cores(tmp_path).count == 2


def test_a_mount_point_with_a_blank_is_found(tmp_path):
    """The mount table writes a blank in a path as an octal number."""
    record(tmp_path, cgroup="0::/\n", mountinfo=V2_MOUNT.format(root="/").replace("/sys/fs/cgroup", "/my\\040cgroups"))
    put(tmp_path, "/my cgroups/cpu.max", "500000 100000\n")

    assert free_cores(tmp_path).count == 5


def test_a_foreign_mount_is_not_taken_for_our_own(tmp_path):
    """Another container's cgroup that happens to be mounted here limits us not, where our own is mounted too."""
    foreign = V2_MOUNT.format(root="/docker/other").replace("/sys/fs/cgroup", "/mnt/other")
    record(tmp_path, cgroup="0::/docker/mine\n", mountinfo=foreign + V2_MOUNT.format(root="/docker/mine"))
    put(tmp_path, "/mnt/other/cpu.max", "100000 100000\n")
    put(tmp_path, "/sys/fs/cgroup/cpu.max", "400000 100000\n")

    assert free_cores(tmp_path).count == 4


def test_a_path_out_of_the_namespace_reads_the_top_of_the_mount(tmp_path):
    """A cgroup shown as /../x lies outside of what is mounted: nothing outside of the mount is read."""
    record(tmp_path, cgroup="0::/../x\n", mountinfo=V2_MOUNT.format(root="/"))
    put(tmp_path, "/sys/fs/x/cpu.max", "100000 100000\n")
    put(tmp_path, "/sys/fs/cgroup/cpu.max", "300000 100000\n")

    assert free_cores(tmp_path).count == 3


def test_the_affinity_mask_counts(tmp_path, monkeypatch):
    """`taskset` with three cores leaves three."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 5}, raising=False)

    cores = free_cores(tmp_path)

    assert cores.count == 3
    assert cores.why == "the affinity mask allows 3 cores"


def test_a_machine_without_cgroups_and_masks_has_all_its_cores(tmp_path, monkeypatch):
    """On macOS and Windows there is neither: the machine's cores count."""
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)

    cores = free_cores(tmp_path)

    assert cores.count == 8
    assert cores.why == "the machine has 8 cores"


def test_a_machine_that_says_nothing_has_one_core(tmp_path, monkeypatch):
    """There is always one core."""
    monkeypatch.setattr(os, "cpu_count", lambda: None)

    assert free_cores(tmp_path).count == 1


@pytest.mark.parametrize("garbage", [b"\xff\xfe\0", b"0::\n" * 3, b"x" * 100_000, b" - cgroup2 \n - cgroup\n1 2 3 / - cgroup2"])
def test_garbage_never_raises(tmp_path, garbage):
    """Whatever stands in those files, the answer is a number of cores."""
    own = tmp_path / "proc" / "self"
    own.mkdir(parents=True)
    (own / "cgroup").write_bytes(garbage)
    (own / "mountinfo").write_bytes(garbage)

    assert free_cores(tmp_path).count == 8


def test_this_machine_has_a_core():
    """On the real files of this machine the answer is within the machine's cores."""
    assert 1 <= free_cores().count <= 8
