"""An end-to-end result, for people."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table


def show(result: dict[str, Any], console: Console) -> None:
    """A table of what each process took, and the headline."""
    console.print(_table(result["cpu_us_per_mail"], result["peak_memory_mb"]))
    if filling := result["filling"]:
        disk = filling["nats_disk_bytes_per_mail"]
        console.print(
            f"queue filled at {filling['mails_per_second']:,.0f} mails/s,"
            f" {filling['cpu_us_per_mail']['total']['total']:.0f} µs CPU per mail;"
            f" {disk['all']:.0f} bytes of nats-server's disk per queued mail ({disk.get('MAIL', 0):.0f} in MAIL)"
        )
        console.print(_table(filling["cpu_us_per_mail"], {}))
    latency = result["latency_seconds"]
    quantiles = "   ".join(f"{name} {value:.2f} s" for name, value in latency.items())
    console.print(f"latency, queued to accepted: {quantiles}   within an hour {result['within_an_hour']:.2%}")
    console.print(
        f"a mail has {result['mail_bytes']:,.0f} bytes, {result['queued_bytes']:.0f} in the queue;"
        f" nats-server's disk at its peak {result['nats_disk_peak_bytes'] / 1e6:,.0f} MB"
    )
    if result["restarts"]:
        console.print(f"[bold red]{result['restarts']} restarts of processes: the figures are worth nothing[/]")
    verdict = "[bold green]balanced ✓[/]" if result["balanced"] else "[bold red]NOT balanced ✗[/]"
    console.print(
        f"[bold]{result['mails_per_second']:,.0f} mails/s[/], {result['mails']:,} mails in {result['seconds']:.1f} s,"
        f" [bold]{result['cpu_us_per_mail']['total']['total']:.0f} µs[/] CPU per mail; {verdict}\n"
        f"{result['cores_of_others']:.2f} cores were busy with something else; all cores busy with nothing else would make"
        f" {result['mails_per_second_at_full_use']:,.0f} mails/s"
    )


def _table(cpu: dict[str, dict[str, float]], memory: dict[str, float]) -> Table:
    headings = ("µs CPU per mail", "user", "system", "both", *(("peak MB",) if memory else ()))
    table = Table(*headings, box=None, header_style="bold")
    for column in table.columns[1:]:
        column.justify = "right"
    for name, used in cpu.items():
        peak = (f"{memory[name]:,.0f}" if name in memory else "",) if memory else ()
        style = "bold" if name == "total" else None
        table.add_row(name, *(f"{used[kind]:.1f}" for kind in ("user", "system", "total")), *peak, style=style)
    return table
