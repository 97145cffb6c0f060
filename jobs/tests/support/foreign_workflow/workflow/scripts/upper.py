from pathlib import Path

source, target = Path(snakemake.input[0]), Path(snakemake.output[0])  # noqa: F821
target.write_text(source.read_text().upper() + snakemake.params.word)  # noqa: F821
