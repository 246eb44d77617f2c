"""Examining an installation: what is there, what is missing, and the command that mends it.

No framework is loaded here: each backend is asked in a process of its own.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from kit import packages
from kit.entry_points import HOST
from kit.inquiry import Answer, inquire
from kit.machine import compiler_facts, machine_facts
from kit.records import BackendSpec, Component
from kit.registry import Offer, Registry

# The plugins of the host's own repository and where they stand in it: named only to say how to get one.
BESIDE_THE_HOST = {"descentkit-torch": "plugins/torch", "descentkit-tensorflow": "plugins/tensorflow"}

Level = Literal["broken", "missing", "note"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """`broken`: installed and does not work; `missing`: not installed; `note`: works, but worth knowing.

    `mend` is the command that mends it, where there is one.
    """

    level: Level
    sentence: str
    mend: str = ""


@dataclass(frozen=True, kw_only=True)
class Backend:
    """A backend as it was found. `answer` is None where it was not asked, since packages are missing."""

    name: str
    distribution: str
    version: str
    missing: tuple[str, ...]
    answer: Answer | None

    @property
    def state(self) -> Literal["ready", "missing", "broken"]:
        if self.answer is None:
            return "missing"
        return "broken" if self.answer.fault else "ready"


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """All that was found. `healthy`: nothing that is installed is broken."""

    versions: dict[str, str]
    machine: dict[str, Any]
    compiler: dict[str, Any]
    backends: tuple[Backend, ...]
    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        return not any(finding.level == "broken" for finding in self.findings)


def examine(registry: Registry) -> Diagnosis:
    """Examine this installation. It takes as long as the slowest framework takes to import."""
    backends = _backends(registry.backends)
    machine, compiler = machine_facts(), compiler_facts()
    unmet = [each for distribution in _distributions(registry) for each in packages.unmet(distribution)]
    findings = [
        *_about_requirements(unmet),
        *_about_plugins(registry),
        *_about_backends(backends, registry, {each.distribution for each in unmet}),
        *_about_components(registry),
        *_about_compiler(compiler),
        *_about_machine(machine, backends),
    ]
    return Diagnosis(
        versions=packages.versions(HOST),
        machine=machine,
        compiler=compiler,
        backends=backends,
        findings=tuple(findings),
    )


def _distributions(registry: Registry) -> list[str]:
    """The host's and those of the plugins that were loaded or tried."""
    tried = {plugin.distribution for plugin in registry.plugins}
    tried |= {failure.distribution for failure in registry.failures if failure.stage == "import"}
    return [HOST, *sorted(tried - {HOST})]


def _about_requirements(unmet: list[packages.Unmet]) -> Iterator[Finding]:
    for each in unmet:
        if each.installed:
            sentence = f"{each.distribution} needs {each.requirement}, but {each.installed} is installed."
        else:
            sentence = f"{each.distribution} needs the package {each.package}, which is not installed."
        # A plugin without its framework is a choice; a host without one of its packages is a fault.
        level: Level = "broken" if each.installed or each.distribution == HOST else "missing"
        yield Finding(level=level, sentence=sentence, mend=each.command)


def _about_plugins(registry: Registry) -> Iterator[Finding]:
    for failure in registry.failures:
        whose = f"The plugin {failure.plugin} ({failure.distribution} {failure.version})"
        yield Finding(level="note" if failure.note else "broken", sentence=f"{whose}: {failure.reason}")
    for point in registry.left_out:
        sentence = f"The plugin {point.name} ({point.distribution}) is left out by KIT_PLUGINS or KIT_BLOCK."
        yield Finding(level="note", sentence=sentence)


def _backends(offers: tuple[Offer[BackendSpec], ...]) -> tuple[Backend, ...]:
    missing = {offer.qualified: packages.missing(offer.record) for offer in offers}
    answers = inquire({o.qualified: o.record.engine for o in offers if not missing[o.qualified]})
    return tuple(
        Backend(
            name=offer.record.name,
            distribution=offer.distribution,
            version=offer.version,
            missing=missing[offer.qualified],
            answer=answers.get(offer.qualified),
        )
        for offer in offers
    )


def _about_backends(backends: tuple[Backend, ...], registry: Registry, told: set[str]) -> Iterator[Finding]:
    """told: distributions whose unmet requirements are findings already."""
    if not backends:
        sentence = "No backend is loaded, so nothing can be trained; stored results load, plot and report."
        yield Finding(level="missing", sentence=sentence, mend=_install_a_backend())
    for backend, offer in zip(backends, registry.backends, strict=True):
        whose = f"The backend {backend.name} ({backend.distribution} {backend.version})"
        if backend.answer is not None and backend.answer.fault:
            yield Finding(level="broken", sentence=f"{whose} cannot be used. {backend.answer.fault}")
        if backend.missing and backend.distribution not in told:
            yield _missing(whose, offer.record, backend.missing)


def _install_a_backend() -> str:
    """The command for a plugin beside the host, where the host is installed from a checkout that has it.

    Never its bare name: pip would ask the index, and take a stranger's package of that name.
    """
    checkout = packages.checkout()
    for folder in BESIDE_THE_HOST.values() if checkout else ():
        if checkout and (checkout / folder / "pyproject.toml").exists():
            return packages.pip("-e", str(checkout / folder))
    return ""


def _missing(whose: str, record: Component, names: tuple[str, ...]) -> Finding:
    are = "is" if len(names) == 1 else "are"
    sentence = f"{whose} needs {' and '.join(names)}, which {are} not installed."
    return Finding(level="missing", sentence=sentence, mend=record.install)


def _about_components(registry: Registry) -> Iterator[Finding]:
    """What single components need beyond their distribution's requirements, such as a dataset's package."""
    for offer in registry.offers:
        names = packages.missing(offer.record)
        if names and not isinstance(offer.record, BackendSpec):
            yield _missing(f"The {offer.record.kind} {offer.record.name}", offer.record, names)


def _about_compiler(compiler: dict[str, Any]) -> Iterator[Finding]:
    slower = "loops that are compiled with it (torch.compile) are left out, and training is slower"
    minor = f"{sys.version_info.major}.{sys.version_info.minor}"
    if compiler["path"] is None:
        sentence = f"There is no C++ compiler ({compiler['command']}): {slower}."
        yield Finding(level="missing", sentence=sentence, mend=_system_package("g++", "gcc-c++"))
    if compiler["python_headers"] is None:
        sentence = f"The headers of Python {minor} (Python.h) are missing: {slower}."
        mend = _system_package(f"python{minor}-dev", f"python{minor}-devel")
        yield Finding(level="missing", sentence=sentence, mend=mend)


def _system_package(debian: str, fedora: str) -> str:
    if sys.platform == "darwin":
        return "xcode-select --install"
    if shutil.which("apt-get"):
        return f"apt-get install {debian}"
    return f"dnf install {fedora}" if shutil.which("dnf") else ""


def _about_machine(machine: dict[str, Any], backends: tuple[Backend, ...]) -> Iterator[Finding]:
    quota, usable = machine["cores_quota"], machine["cores_usable"]
    if quota is not None and quota < usable:
        sentence = f"{usable} cores are visible, but this container may use {quota:g}."
        yield Finding(level="note", sentence=sentence)
    for backend in backends:
        devices = {device["name"] for device in backend.answer.devices} if backend.answer else set()
        if machine["nvidia_driver"] and backend.state == "ready" and devices <= {"cpu"}:
            sentence = f"There is an NVIDIA driver, but {backend.name} finds no GPU: a CPU-only build?"
            yield Finding(level="note", sentence=sentence)
