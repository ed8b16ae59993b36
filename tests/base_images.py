"""The images that the Dockerfiles start from, or local stand-ins where no registry serves them.

A stand-in has the name, the layout and the entrypoint of the real image, and a label that tells it apart. They are made of a bootstrapped
Debian: `debootstrap` (as root), or the folder that GORK_TEST_ROOTFS names (`debootstrap --variant=minbase
--include=python3-venv,ca-certificates bookworm FOLDER`); and of the `ollama` on the PATH with its lib/ollama. They trust the certificate
authorities that this machine trusts. At the end the real names are free again.
"""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.docker_engine import docker, has_image, image

PYTHON, OLLAMA, UBUNTU = "python:3.11-slim", "ollama/ollama:0.32.15", "ubuntu:24.04"
LABEL = "gork-heavy-lite.stand-in"
_DEBIAN = "gork-heavy-lite-stand-in:debian"
_LEFT_OUT = ("./proc/*", "./sys/*", "./dev/*", "./usr/share/doc/*", "./usr/share/man/*", "./usr/share/locale/*", "./var/cache/apt/*")
_LEFT_OUT += ("./var/lib/apt/lists/*", "./etc/ssl/certs/ca-certificates.crt")
_ON_DEBIAN = {
    PYTHON: ("RUN python3 -m venv /usr/local", 'CMD ["python3"]'),
    UBUNTU: ('CMD ["/bin/bash"]',),
    OLLAMA: (
        "COPY ollama /usr/bin/ollama",
        "COPY lib /usr/lib/ollama",
        "RUN mkdir /usr/lib/ollama/cuda_v12 && touch /usr/lib/ollama/cuda_v12/libggml-cuda.so && ln -s nowhere /usr/lib/ollama/include",
        "ENV OLLAMA_HOST=0.0.0.0:11434",
        "EXPOSE 11434",
        'ENTRYPOINT ["/bin/ollama"]',
        'CMD ["serve"]',
    ),
}
"""What each is made of; the folder and the link are what a real Ollama image has besides, and what must be left out of ours."""


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
        debian = self._debian(name, why)
        folder = self.work / name.replace("/", "-").replace(":", "-")
        folder.mkdir(parents=True)
        if name == OLLAMA:
            self._copy_ollama(folder, why)
        lines = [f"FROM {debian}", f"LABEL {LABEL}=true", *_ON_DEBIAN[name]]
        (folder / "Dockerfile").write_text("\n".join(lines) + "\n")
        docker("build", "--force-rm", "--network", "none", "-t", name, str(folder), timeout=600)
        shutil.rmtree(folder)
        return f"stand-in ({why})"

    def _debian(self, name: str, why: str) -> str:
        if has_image(_DEBIAN):
            return _DEBIAN
        given = os.environ.get("GORK_TEST_ROOTFS")
        root = Path(given) if given else self._bootstrapped(name, why)
        authorities = ssl.get_default_verify_paths().cafile or ssl.get_default_verify_paths().openssl_cafile
        folder = self.work / "debian"
        folder.mkdir(parents=True)
        shutil.copy(authorities, folder / "ca-certificates.crt")
        exclude = [f"--exclude={pattern}" for pattern in _LEFT_OUT]
        subprocess.run(["tar", "-C", str(root), *exclude, "-cf", str(folder / "root.tar"), "."], check=True, timeout=300)
        lines = ["FROM scratch", "ADD root.tar /", "COPY ca-certificates.crt /etc/ssl/certs/", f"LABEL {LABEL}=true"]
        (folder / "Dockerfile").write_text("\n".join(lines) + "\n")
        docker("build", "--force-rm", "-t", _DEBIAN, str(folder), timeout=600)
        shutil.rmtree(folder)
        return _DEBIAN

    def _bootstrapped(self, name: str, why: str) -> Path:
        if shutil.which("debootstrap") is None or os.geteuid() != 0:
            pytest.skip(f"{name} cannot be pulled ({why}), and a stand-in needs root and debootstrap, or GORK_TEST_ROOTFS")
        root = self.work / "rootfs"
        command = ["debootstrap", "--variant=minbase", "--include=python3-venv,ca-certificates", "bookworm", str(root)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
        if done.returncode:
            pytest.skip(f"{name} cannot be pulled ({why}), nor a stand-in bootstrapped: {done.stdout[-300:]}{done.stderr[-300:]}")
        return root

    @staticmethod
    def _copy_ollama(folder: Path, why: str) -> None:
        program = shutil.which("ollama")
        libraries = Path(program).resolve().parent.parent / "lib" / "ollama" if program else None
        if program is None or libraries is None or not (libraries / "llama-server").exists():
            pytest.skip(f"{OLLAMA} cannot be pulled ({why}), and a stand-in needs `ollama` on the PATH with ../lib/ollama beside it")
        shutil.copy(Path(program).resolve(), folder / "ollama")
        ignored = shutil.ignore_patterns("cuda*", "rocm*", "vulkan*", "mlx*", "include")
        shutil.copytree(libraries, folder / "lib", symlinks=True, ignore=ignored)
