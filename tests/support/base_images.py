"""The images that the Dockerfiles start from, or local stand-ins where no registry serves them.

A stand-in has the name, the layout and the entrypoint of the real image, and a label that tells it apart. They are made of a bootstrapped
Debian: `debootstrap` (as root), or the folder that GORK_TEST_ROOTFS names (`debootstrap --variant=minbase
--include=python3-venv,ca-certificates bookworm FOLDER`); and of the `ollama` on the PATH with its lib/ollama. They trust the certificate
authorities that this machine trusts. At the end the real names are free again; the stand-ins stay under names of their own
(gork-heavy-lite-stand-in:*) for the next time.
"""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.docker_engine import docker, has_image, image

PYTHON, OLLAMA, UBUNTU = "python:3.11-slim", "ollama/ollama:0.32.15", "ubuntu:24.04"
LABEL = "gork-heavy-lite.stand-in"
_OWN = "gork-heavy-lite-stand-in"
BUNDLE = "etc/ssl/certs/ca-certificates.crt"
_LEFT_OUT = ("./proc/*", "./sys/*", "./dev/*", "./usr/share/doc/*", "./usr/share/man/*", "./usr/share/locale/*", "./var/cache/apt/*")
_LEFT_OUT += ("./var/lib/apt/lists/*", f"./{BUNDLE}")
_OLLAMA_STARTS = ("ENV OLLAMA_HOST=0.0.0.0:11434", "EXPOSE 11434", 'ENTRYPOINT ["/bin/ollama"]', 'CMD ["serve"]')


def _complete(program: Path) -> None:
    """See that a minimal image has the libraries that a program needs besides those beside it. Raises `NoStandIn` with their names."""
    listed = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False).stdout
    places = {line.split()[0]: line.split()[2] for line in listed.splitlines() if "=> /" in line}
    beside = program.resolve().parent
    more = [name for name, place in places.items() if not Path(place).resolve().is_relative_to(beside) and not name.startswith(_IN_IMAGE)]
    missing = [line.split()[0] for line in listed.splitlines() if "not found" in line]
    if more or missing:
        raise NoStandIn(f"an Ollama whose llama-server needs nothing that the image lacks: {', '.join([*more, *missing])}")


_IN_IMAGE = ("libc.", "libm.", "libdl.", "libpthread.", "librt.", "libgcc_s.", "libstdc++.", "ld-linux")
"""What a bootstrapped Debian has."""


class NoStandIn(Exception):
    """What is missing for making one."""


@dataclass(slots=True)
class BaseImages:
    """Brings base images and remembers where they came from."""

    work: Path
    origins: dict[str, str] = field(default_factory=dict)

    def bring(self, *names: str) -> None:
        """Make sure that each is there: the real one if it can be had, else a stand-in; skips the test if neither can."""
        for name in names:
            if name not in self.origins:
                self.origins[name] = self._bring(name)

    def forget(self) -> None:
        """Free the names of stand-ins, so that nothing but these tests takes one for the real image."""
        for name, origin in self.origins.items():
            if origin.startswith("stand-in"):
                docker("image", "rm", name, check=False)

    def _bring(self, name: str) -> str:
        if has_image(name) and LABEL not in (image(name)["Config"]["Labels"] or {}):
            return "real, was there"
        pulled = docker("pull", name, timeout=1800, check=False)
        if pulled.returncode == 0:
            return "real, pulled"
        why = pulled.stdout.strip().splitlines()[-1]
        makers: dict[str, Callable[[], str]] = {UBUNTU: self._debian, PYTHON: self._python, OLLAMA: self._ollama}
        try:
            made = makers[name]()
        except NoStandIn as missing:
            pytest.skip(f"{name} cannot be pulled ({why}), and a stand-in needs {missing}")
        docker("tag", made, name)
        return f"stand-in ({why})"

    def _debian(self) -> str:
        own = f"{_OWN}:debian"
        return own if has_image(own) else self._import(own, {}, 'CMD ["/bin/bash"]')

    def _python(self) -> str:
        own = f"{_OWN}:python"
        if not has_image(own):
            folder = self.work / "python"
            folder.mkdir(parents=True)
            (folder / "Dockerfile").write_text(f"FROM {self._debian()}\nRUN python3 -m venv /usr/local\n")
            docker("build", "--force-rm", "--network", "none", "-t", own, str(folder), timeout=600)
        return own

    def _ollama(self) -> str:
        """As the real image, with something in it of what must be left out of ours: GPU libraries, a link."""
        own = f"{_OWN}:ollama"
        if has_image(own):
            return own
        program = shutil.which("ollama")
        libraries = Path(program).resolve().parent.parent / "lib" / "ollama" if program else None
        if program is None or libraries is None or not (libraries / "llama-server").exists():
            raise NoStandIn("`ollama` on the PATH with ../lib/ollama beside it")
        _complete(libraries / "llama-server")
        extra = self.work / "ollama"
        (extra / "usr/bin").mkdir(parents=True)
        shutil.copy(Path(program).resolve(), extra / "usr/bin/ollama")
        ignored = shutil.ignore_patterns("cuda*", "rocm*", "vulkan*", "mlx*", "include")
        shutil.copytree(libraries, extra / "usr/lib/ollama", symlinks=True, ignore=ignored)
        (extra / "usr/lib/ollama/cuda_v12").mkdir()
        (extra / "usr/lib/ollama/cuda_v12/libggml-cuda.so").touch()
        (extra / "usr/lib/ollama/include").symlink_to("nowhere")
        return self._import(own, {extra: ("usr/bin/ollama", "usr/lib/ollama")}, *_OLLAMA_STARTS)

    def _import(self, own: str, more: Mapping[Path, Sequence[str]], *changes: str) -> str:
        """One layer of the bootstrapped Debian, this machine's certificate authorities and more files; no path may come twice."""
        root = self._root()
        authorities = ssl.get_default_verify_paths().cafile or ssl.get_default_verify_paths().openssl_cafile
        trusted = self.work / "trusted"
        (trusted / BUNDLE).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(authorities, trusted / BUNDLE)
        archive = self.work / "root.tar"
        excluded = [f"--exclude={pattern}" for pattern in _LEFT_OUT]
        added = [word for folder, names in {**more, trusted: (BUNDLE,)}.items() for word in ("-C", str(folder), *names)]
        subprocess.run(["tar", "-cf", str(archive), "-C", str(root), *excluded, ".", *added], check=True, timeout=300)
        words = [word for change in (f"LABEL {LABEL}=true", *changes) for word in ("--change", change)]
        docker("import", *words, str(archive), own, timeout=300)
        archive.unlink()
        return own

    def _root(self) -> Path:
        given = os.environ.get("GORK_TEST_ROOTFS")
        root = Path(given) if given else self.work / "rootfs"
        if root.is_dir():
            return root
        if given is not None or shutil.which("debootstrap") is None or os.geteuid() != 0:
            raise NoStandIn("debootstrap as root, or GORK_TEST_ROOTFS with a folder that it made")
        command = ["debootstrap", "--variant=minbase", "--include=python3-venv,ca-certificates", "bookworm", str(root)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900, check=False)
        if done.returncode:
            raise NoStandIn(f"a debootstrap that works: {done.stdout[-300:]}")
        return root
