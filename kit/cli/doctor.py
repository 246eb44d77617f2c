"""`kit doctor`: what is installed and works, what is missing, and the command that mends it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from kit.cli.output import Document, as_json, console, gigabytes, say, table, working
from kit.doctor import Backend, Diagnosis, examine
from kit.registry import Registry

if TYPE_CHECKING:
    from rich.console import Console


@click.command()
@as_json
@click.pass_obj
def doctor(document: Document, as_json: bool) -> int:
    """Examine this installation: versions, backends, devices, cores, memory; what is missing and what mends it.

    Each backend is asked in a process of its own, which takes some seconds.

    Exit code 1 where something that is installed does not work.
    """
    registry = Registry.load()
    with working(
        f"asking {', '.join(registry.names('backend')) or 'this machine'}; importing a framework takes seconds"
    ):
        diagnosis = examine(registry)
    if as_json:
        document.set(described(diagnosis))
    else:
        _print(console(), diagnosis)
    return 0 if diagnosis.healthy else 1


def described(diagnosis: Diagnosis) -> dict[str, Any]:
    """The diagnosis as JSON."""
    return {
        "healthy": diagnosis.healthy,
        "versions": diagnosis.versions,
        "machine": diagnosis.machine,
        "compiler": diagnosis.compiler,
        "backends": [
            {
                "name": backend.name,
                "distribution": backend.distribution,
                "version": backend.version,
                "state": backend.state,
                "missing": backend.missing,
                "versions": backend.answer.versions if backend.answer else {},
                "devices": backend.answer.devices if backend.answer else [],
                "fault": backend.answer.fault if backend.answer else "",
            }
            for backend in diagnosis.backends
        ],
        "findings": [asdict(finding) for finding in diagnosis.findings],
    }


def _print(out: Console, diagnosis: Diagnosis) -> None:
    rows = table("What", "Found")
    machine, compiler = diagnosis.machine, diagnosis.compiler
    rows.add_row("versions", ", ".join(f"{name} {version}" for name, version in diagnosis.versions.items()))
    rows.add_row("machine", f"{machine['platform']}, {machine['processor']}")
    rows.add_row("cores", _cores(machine))
    rows.add_row("memory", _memory(machine))
    rows.add_row("compiler", _compiler(compiler))
    for backend in diagnosis.backends:
        rows.add_row(f"backend {backend.name}", _backend(backend))
    out.print(rows)
    colours = {"broken": "bold red", "missing": "yellow", "note": "cyan"}
    for finding in diagnosis.findings:
        out.print()
        say(out, f"{finding.level}: {finding.sentence}", colours[finding.level])
        if finding.mend:
            say(out, f"    {finding.mend}")
    if not diagnosis.findings:
        out.print("\nNothing is missing.")


def _cores(machine: dict[str, Any]) -> str:
    said = f"{machine['cores']}, of which this process may use {machine['cores_usable']}"
    if machine["cores_quota"] is not None:
        said += f"; the container's quota is {machine['cores_quota']:g}"
    variables = ", ".join(f"{name}={value}" for name, value in machine["thread_variables"].items())
    return f"{said}; {variables}" if variables else said


def _memory(machine: dict[str, Any]) -> str:
    said = f"{gigabytes(machine['memory_bytes'])}, {gigabytes(machine['memory_available_bytes'])} available"
    if machine["memory_limit_bytes"] is not None:
        said += f"; the container's limit is {gigabytes(machine['memory_limit_bytes'])}"
    return f"{said}; disk: {gigabytes(machine['disk_free_bytes'])} free here"


def _compiler(compiler: dict[str, Any]) -> str:
    command = compiler["version"] or compiler["path"] or f"no {compiler['command']}"
    headers = "Python.h found" if compiler["python_headers"] else "no Python.h"
    return f"{command}; {headers}"


def _backend(backend: Backend) -> str:
    said = f"{backend.state} ({backend.distribution} {backend.version})"
    if backend.answer is None or backend.answer.fault:
        return said
    versions = ", ".join(f"{name} {version}" for name, version in backend.answer.versions.items())
    devices = []
    for device in backend.answer.devices:
        memory = f", {gigabytes(device['memory_bytes'])}" if device["memory_bytes"] else ""
        devices.append(f"{device['name']} ({device['title']}{memory}; {', '.join(device['dtypes'])})")
    return f"{said}: {versions}\n" + "\n".join(devices)
