# The report: one page of what is there now, partial where runs are missing. It is made anew when any table's
# digest or the report's code changed: a note that holds them all is rewritten then, and only then.


def digests_of_tables(wildcards):
    code = RESULTS.fingerprinter.reader.closure(["favit.report"]).digest
    today = "".join(f"{name} {digest}\n" for name, digest in [("code", code), *TODAY.items()])
    return str(note("tables.txt", today))


localrules:
    report,


rule report:
    output:
        page=report(f"{RESULTS.root}/report.html", caption="../report/page.rst", category="Study"),
        figures=report(
            directory(f"{RESULTS.root}/figures"),
            patterns=["{figure}.pdf"],
            caption="../report/figure.rst",
            category="Figures",
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
