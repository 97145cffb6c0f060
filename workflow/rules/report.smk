# The report: one page of what is there now, partial where runs are missing. It is made anew when any table's
# digest or the report's code changed.
#
# Snakemake's own report, `snakemake report --report own.html`, shows the page, every table and every figure. (The
# tables as this rule writes them: one that is today's is made by no rule, so that of `table` is often not there.)

from favit.results.made import is_current

REPORT = RESULTS.root / "report.html"


def anew_if_outdated(wildcards):
    if not is_current(REPORT.with_suffix(".json"), made_tables.report_digest(RESULTS, {name: today(name) for name in SETUP.sweeps}), [REPORT]):
        make_anew([REPORT])
    return []


localrules:
    report,


rule report:
    """Make one page of all tables and figures from the results that are there."""
    output:
        page=report(
            str(REPORT),
            caption="../report/page.rst",
            category="Study",
            labels={"page": "everything"},
        ),
        figures=report(
            directory(f"{RESULTS.root}/figures"),
            patterns=["{figure}.pdf"],
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "{figure}"},
        ),
        tables=report(
            directory(f"{RESULTS.root}/report"),
            patterns=["{sweep}.html"],
            caption="../report/table.rst",
            category="Tables",
            labels={"sweep": "{sweep}"},
        ),
    input:
        anew_if_outdated,
    # Last of what is asked for, so that it shows what the others make: runs, tables and analyses. On a cluster it
    # does not wait for jobs there; the next call makes it anew.
    priority: -1
    threads: lambda w: workflow.resource_settings.cores if workflow.local_exec else 1
    message:
        "Report of all results"
    params:
        python=sys.executable,
        config=str(CONFIG_FILE),
    shell:
        "{params.python:q} -m favit report --config {params.config:q}"
