"""Small folders of GLUE's tasks, laid out as gluebenchmark.com publishes them."""

from pathlib import Path

HEADERS = {
    "SST-2": "sentence\tlabel",
    "MRPC": "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String",
    "QQP": "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate",
    "STS-B": "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore",
    "MNLI": "index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\tsentence2_binary_parse\tsentence1_parse\t"
    "sentence2_parse\tsentence1\tsentence2\tlabel1\tgold_label",
    "QNLI": "index\tquestion\tsentence\tlabel",
    "RTE": "index\tsentence1\tsentence2\tlabel",
}
CLASSES = {
    "CoLA": ("0", "1"), "SST-2": ("0", "1"), "MRPC": ("0", "1"), "QQP": ("0", "1"), "STS-B": ("0.000", "5.000"),
    "MNLI": ("entailment", "neutral", "contradiction"), "QNLI": ("entailment", "not_entailment"),
    "RTE": ("entailment", "not_entailment"),
}  # fmt: skip


def line_of(task: str, first: str, second: str, label: str, number: int = 0) -> str:
    """A row as the task's files have it."""
    match task:
        case "CoLA":
            cells = ["gj04", label, "" if label == "1" else "*", first]
        case "SST-2":
            cells = [first, label]
        case "MRPC":
            cells = [label, f"{number}1", f"{number}2", first, second]
        case "QQP":
            cells = [str(number), "1", "2", first, second, label]
        case "STS-B":
            cells = [str(number), "news", "headlines", "2015", "0001", "none", "none", first, second, label]
        case "MNLI":
            cells = [str(number), "7", "7c", "fiction", "( p )", "( h )", "(ROOT p)", "(ROOT h)", first, second, label]
            cells += [label]
        case _:
            cells = [str(number), first, second, label]
    return "\t".join(cells)


def write_task(folder: Path, task: str, n_train: int = 24, n_dev: int = 6) -> Path:
    """Rows whose first words tell their class."""
    path, classes = folder / task, CLASSES[task]
    path.mkdir(parents=True)
    dev = ("dev_matched", "dev_mismatched") if task == "MNLI" else ("dev",)
    for part, n_rows in [("train", n_train), *((name, n_dev) for name in dev)]:
        rows = [HEADERS[task]] if task in HEADERS else []
        for number in range(n_rows):
            kind = number % len(classes)
            first = " ".join([("bad", "good", "odd")[kind]] * 3 + [f"film {number} of {part}"])
            rows.append(line_of(task, first, f'so it "is {kind}', classes[kind], number))
        (path / f"{part}.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path
