"""Samples to medians, medians to a table and a JSON file."""

import json
from statistics import median

VARIANTS = ["direct", "online", "offline", "limit"]


def summarize(samples):
    """{case: {variant: {figure: median}}} from {case: {variant: [sample]}}; a variant without samples is left out."""
    summary = {}
    for case, by_variant in samples.items():
        summary[case] = {}
        for variant, runs in by_variant.items():
            figures = {name for run in runs for name in run}
            if runs:
                summary[case][variant] = {
                    name: median(run[name] for run in runs if run.get(name) is not None)
                    for name in sorted(figures) if any(run.get(name) is not None for run in runs)}
    return summary


def ratio(case, figures, variant, to):
    """How much of `to`'s throughput (GETs), or how many times its duration (lists, watches)."""
    if variant not in figures or to not in figures:
        return None
    key = "seconds" if case.by_time else "rps"
    return figures[variant][key] / figures[to][key]


def table(cases, summary):
    """The cases as lines of text: figures by variant, then ratios and the agent's CPU."""
    heads = ["", "unit", "direct", "online", "offline", "nghttpd", "online/direct", "offline/direct",
             "offline/nghttpd", "CPU online", "CPU offline"]
    rows = [heads]
    for case in cases:
        figures = summary.get(case.name, {})
        row = [case.title, "ms" if case.by_time else "req/s"]
        for variant in VARIANTS:
            row.append(_value(case, figures.get(variant)))
        for variant, to in (("online", "direct"), ("offline", "direct"), ("offline", "limit")):
            value = ratio(case, figures, variant, to)
            row.append("-" if value is None else f"{value:.2f}")
        for variant in ("online", "offline"):
            cpu = figures.get(variant, {}).get("agent_cpu_us")
            row.append("-" if cpu is None else f"{cpu:,.0f} µs")
        rows.append(row)
    return _aligned(rows)


def _value(case, figures):
    if not figures:
        return "-"
    return f"{figures['seconds'] * 1e3:,.1f}" if case.by_time else f"{figures['rps']:,.0f}"


def _aligned(rows):
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        first, *others = (cell.ljust(w) if n < 2 else cell.rjust(w) for n, (cell, w) in enumerate(zip(row, widths)))
        lines.append("  ".join([first, *others]).rstrip())
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def details(memory, hooks):
    """What the agent itself costs, in a few lines."""
    mebibyte = 1 << 20
    lines = ["agent's memory (supervisor and worker): " +
             ", ".join(f"{what.replace('_', ' ')} {size / mebibyte:,.0f} MiB" for what, size in memory.items())]
    for name, cost in sorted(hooks.items()):
        if cost["ns"] is not None:
            lines.append(f"hook {name}: {cost['ns']:,} ns a run, {cost['runs']:,} runs")
    return "\n".join(lines)


def write(path, cases, samples, summary, **rest):
    path.parent.mkdir(parents=True, exist_ok=True)
    ratios = {case.name: {f"{v}/{to}": ratio(case, summary.get(case.name, {}), v, to)
                          for v, to in (("online", "direct"), ("offline", "direct"), ("offline", "limit"))}
              for case in cases}
    path.write_text(json.dumps({**rest, "medians": summary, "ratios": ratios, "samples": samples}, indent=1) + "\n")
