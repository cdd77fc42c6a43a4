"""`litune report`: a run as one HTML file that needs nothing else, or as Markdown for a pull request."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from pathlib import Path

from litune.errors import InputError, Problem
from litune.report import confirmed, param_plots, plots, summary
from litune.report.confirmed import Table
from litune.report.facts import Facts, gather
from litune.report.importance import FEWEST, Importance, importances
from litune.umask import private

STYLE = """
:root{color-scheme:light dark;--ink:#1a1a1a;--paper:#fff;--soft:#6b6b6b;--rule:#ddd;--mark:#1f5fa8;--best:#b3470e}
@media(prefers-color-scheme:dark){
:root{--ink:#eee;--paper:#16181b;--soft:#a5a5a5;--rule:#3a3d42;--mark:#7db4f0;--best:#ffa46b}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:1080px;margin:0 auto}
body{padding:0 14px 40px}p{overflow-wrap:anywhere}pre{padding:8px;border:1px solid var(--rule)}
h1{font-size:1.5em;overflow-wrap:anywhere}h2{font-size:1.15em;margin:1.6em 0 .4em;border-bottom:1px solid var(--rule)}
.wide,pre{overflow-x:auto}figure{margin:0;max-width:680px}figure:has(.broad){max-width:none}figcaption{font-size:.85em;color:var(--soft)}
.grid2{display:grid;gap:14px;grid-template-columns:repeat(auto-fit,minmax(min(100%,430px),1fr))}
table{border-collapse:collapse;font-size:.88em}th,td{text-align:left;border-bottom:1px solid var(--rule)}
th,td{padding:3px 12px 3px 0;vertical-align:top}td{font-variant-numeric:tabular-nums}
td{white-space:nowrap}td.long{white-space:normal;overflow-wrap:anywhere;min-width:14em}
svg{width:100%;height:auto;display:block}.wide svg{min-width:340px}.wide svg.broad{width:auto;height:320px}
svg text{fill:var(--ink);font:12px system-ui,sans-serif}svg text.small{font-size:11px;fill:var(--soft)}
svg .axis,svg .tick{stroke:var(--soft);fill:none}svg line.grid{stroke:var(--rule)}
.mark{stroke:var(--mark);fill:var(--mark)}.mark.path,.mark.curve{fill:none;stroke-width:1.6}
.mark.curve{stroke-opacity:.65}circle.mark{fill-opacity:.6}circle.mark.curve{fill:var(--mark)}
.mark.pruned,.mark.running,circle.mark.curve.pruned{stroke:var(--soft);fill:none}
.mark.curve.pruned{stroke-dasharray:4 3;stroke-opacity:.6}circle.mark.pruned{stroke-dasharray:none}
.mark.failed{stroke:var(--ink);fill:none;stroke-width:2}.mark.best{stroke:var(--best);fill:var(--best)}
.mark.curve.best{fill:none;stroke-width:3.2;stroke-opacity:1}
.mark.third0{stroke-opacity:.18}.mark.third1{stroke-opacity:.4}
.mark.bar{stroke:var(--paper)}.mark.bar.pruned{fill:var(--rule);stroke:var(--soft)}
.mark.bar.failed{fill:none;stroke:var(--ink);stroke-dasharray:2 2}
.mark.run1{stroke:var(--best);stroke-dasharray:7 3}.mark.band.run1{fill:var(--best)}
.mark.run2{stroke:var(--ink);stroke-dasharray:2 3}.mark.band.run2{fill:var(--ink)}
.mark.run3{stroke:var(--soft);stroke-dasharray:9 3 2 3}.mark.band.run3{fill:var(--soft)}
.mark.band.mark{stroke:none;fill-opacity:.16}
.mark.cell{stroke:none;shape-rendering:crispEdges}
@media print{body{max-width:none}.wide svg.broad{width:100%;height:auto}}
"""
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
LONG = 40  # letters; a longer cell is broken into lines
LEGEND = "disc: complete; ring: pruned; diamond: the best"


def write_report(run: str, form: str, out: str | None, png: str | None = None) -> int:
    """Write the report of a run, or with `md` print it unless a file is named; with `png` only its pictures."""
    facts = gather(run)
    if not facts.rows:
        raise InputError(Problem(key="run", got=repr(run), expected="a run with at least one trial"))
    if png is not None:
        from litune.report.figures import write_figures

        print(*write_figures(facts, Path(png)), sep="\n")
        return 0
    text = html(facts) if form == "html" else markdown(facts)
    if form == "md" and out is None:
        print(text, end="")
        return 0
    write(Path(out) if out else facts.directory / "report.html", text)
    return 0


def write(path: Path, text: str) -> None:
    """Write a page that its owner alone may read, and print where it is."""
    try:
        with private():
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        expected = f"a file that can be written: {error.strerror}"
        raise InputError(Problem(key="--out", got=str(path), expected=expected)) from None
    print(path)


def html(facts: Facts) -> str:
    """Return the whole page. Nothing in it is fetched or executed; all text of the run's is escaped."""
    found = importances(facts)
    top = [one.name for one in found[:2]]
    words = "".join(f"<p>{escape(sentence)}</p>" for sentence in summary.sentences(facts, found))
    over = [
        figure(plots.history(facts), f"Score by trial; the line is the best so far; {LEGEND}."),
        figure(
            plots.curves(facts), "Learning curves; dashed grey: pruned; thick: the best; what lies far out is cut off."
        ),
    ]
    pair = figure(param_plots.contour(facts, top), "Rank of the score over the two that matter most: darker is better.")
    across = figure(param_plots.parallel(facts), f"Each {facts.ranked} as a line; darker is better; thick: the best.")
    when = figure(plots.timeline(facts), f"When each worker ran which trial: {plots.idle(facts)}.")
    parts = [
        section("Summary", words),
        section("Leaderboard", table(summary.board(facts))),
        section("Confirmation", _confirmation(facts)),
        section("Over the search", grid(over)),
        section("What matters", _matters(found, pair)),
        section("Parallel coordinates", across),
        section("Slices", grid(figure(picture, "") for picture in param_plots.slices(facts))),
        section("Timeline", when),
    ]
    failed = summary.failures(facts)
    parts.append(section("Failures", table(failed) if failed[1] else "<p>No trial failed.</p>"))
    parts.append(section("Environment", table(summary.environment(facts))))
    steps = "".join(f"<p>{escape(why)}:</p><pre>{escape(line)}</pre>" for why, line in summary.commands(facts))
    parts.append(section("How to reproduce", steps))
    return document(f"Search {facts.name}", parts)


def _confirmation(facts: Facts) -> str:
    if facts.confirmation is None:
        return ""
    words = "".join(f"<p>{escape(said)}</p>" for said in confirmed.sentences(facts.confirmation, facts.objective))
    return words + table(confirmed.table(facts.confirmation))


def _matters(found: list[Importance], pair: str) -> str:
    if not found:
        return f"<p>Fewer than {FEWEST} trials have a rank: too few to say which params matter.</p>"
    caption = "Share of what the params matter (PED-ANOVA); whisker: 10th to 90th percentile over resampled trials."
    return grid([figure(param_plots.importances(found), caption), pair])


def document(title: str, parts: Iterable[str]) -> str:
    """Return a page of these sections."""
    name = escape(title)
    head = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{name}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><link rel="icon" href="data:,">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}"><style>{STYLE}</style></head>'
    )
    return f"{head}<body><h1>{name}</h1>{''.join(parts)}</body></html>\n"


def section(title: str, inner: str) -> str:
    """Return a section, or nothing if there is nothing in it."""
    return f"<section><h2>{escape(title)}</h2>{inner}</section>" if inner else ""


def figure(picture: str, caption: str) -> str:
    """Return a picture with its caption, or nothing without a picture."""
    words = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f'<figure><div class="wide">{picture}</div>{words}</figure>' if picture else ""


def grid(figures: Iterable[str]) -> str:
    """Return figures side by side where the screen is wide enough."""
    inner = "".join(figures)
    return f'<div class="grid2">{inner}</div>' if inner else ""


def table(content: Table) -> str:
    """Return a table with all its text escaped."""
    head, rows = content
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(words: str) -> str:
    return f'<td class="long">{escape(words)}</td>' if len(words) > LONG else f"<td>{escape(words)}</td>"


def markdown(facts: Facts) -> str:
    """Return the report for a pull request: words and tables."""
    found = importances(facts)
    parts = [f"# Search {_md(facts.name)}", *map(_md, summary.sentences(facts, found))]
    parts += ["## Leaderboard", md_table(summary.board(facts))]
    if facts.confirmation:
        parts += ["## Confirmation", *map(_md, confirmed.sentences(facts.confirmation, facts.objective))]
        parts.append(md_table(confirmed.table(facts.confirmation)))
    if found:
        rows = [[one.name, f"{one.share:.0%}", f"{one.low:.0%} to {one.high:.0%}"] for one in found]
        parts += ["## What matters", md_table((["param", "share", "resampled"], list(rows)))]
    failed = summary.failures(facts)
    if failed[1]:
        parts += ["## Failures", md_table(failed)]
    parts += ["## Environment", md_table(summary.environment(facts)), "## How to reproduce"]
    parts += [f"{_md(why)}:\n\n    {line}" for why, line in summary.commands(facts)]
    return "\n\n".join(parts) + "\n"


def md_table(content: Table) -> str:
    """Return a table in GitHub's Markdown."""
    head, rows = content
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell if cell == "---" else _md(cell) for cell in line) + " |" for line in lines)


def _md(words: str) -> str:
    for sign in "\\`*_[]|":
        words = words.replace(sign, "\\" + sign)
    return escape(" ".join(words.split()), quote=False)
