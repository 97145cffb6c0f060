# The report: one page of what is there now, partial where runs are missing. It is made anew when any table's
# digest or the report's code changed: a note that holds them all is rewritten then, and only then.
#
# Snakemake's own report, `snakemake report --report own.html`, shows the page, every table and every figure. (The
# tables as this rule writes them: one that is today's is made by no rule, so that of `table` is often not there.)


def digests_of_tables(wildcards):
    code = RESULTS.fingerprinter.reader.closure(["favit.commands.report"]).digest
    today = "".join(f"{name} {digest}\n" for name, digest in [("code", code), *TODAY.items()])
    return str(note("tables.txt", today))


localrules:
    report,


rule report:
    output:
        page=report(
            f"{RESULTS.root}/report.html",
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
        digests_of_tables,
    message:
        "Report of all results"
    params:
        python=sys.executable,
        config=str(CONFIG_FILE),
    shell:
        "{params.python:q} -m favit.report --config {params.config:q}"
