"""GLUE's files as they are: no quoting, headers or none, rows that lack columns, classes and numbers."""

import numpy as np
import pytest
from glue_folders import CLASSES, HEADERS, line_of, write_task

from dnadiff.data.labelled.glue import TASKS, find_tasks, open_glue, read_rows
from dnadiff.data.labelled.open import find_set
from dnadiff.data.text.tokenizer import KEPT, open_tokenizer
from dnadiff.errors import InputError


def opened(path, **changed):
    return open_glue(path, **{"tokenizer": None, "vocab_size": 300, "length": None, **changed})


@pytest.mark.parametrize("name", TASKS)
def test_every_task_is_read_by_its_own_columns(name, tmp_path):
    path = write_task(tmp_path, name)
    rows = read_rows(path / "train.tsv", TASKS[name])
    n_sentences = len(TASKS[name].sentences)
    assert rows.texts[1] == ("good good good film 1 of train", 'so it "is 1')[:n_sentences]
    assert rows.labels[:2] == list(CLASSES[name][:2])
    assert rows.names[0] == ("train.tsv:1" if name == "CoLA" else "train.tsv:2")
    found = opened(path)
    assert (len(found.train), found.valid) == (24, None)
    assert len(found.test) == (12 if name == "MNLI" else 6)
    if name == "STS-B":
        assert found.classes == ()
        assert found.train.label[:3].tolist() == [0.0, 5.0, 0.0]
    else:
        assert found.classes == tuple(sorted(CLASSES[name]))
        assert [found.classes[number] for number in found.train.label[:2]] == list(CLASSES[name][:2])


def test_the_test_rows_are_those_of_both_dev_files_of_mnli(tmp_path):
    names = opened(write_task(tmp_path, "MNLI")).test.names.tolist()
    assert names[0] == "dev_matched.tsv:2"
    assert names[-1] == "dev_mismatched.tsv:7"


def test_quotation_marks_are_text_and_hold_no_rows_together(tmp_path):
    path = write_task(tmp_path, "QNLI")
    with (path / "train.tsv").open("a") as file:
        file.write('9\t"who asked\tnobody "did"\tentailment\n10\tand then"\tsomebody\tnot_entailment\n')
    rows = read_rows(path / "train.tsv", TASKS["QNLI"])
    assert rows.texts[-2:] == [('"who asked', 'nobody "did"'), ('and then"', "somebody")]


def test_separators_of_unicode_end_no_row(tmp_path):
    path = write_task(tmp_path, "RTE")
    with (path / "train.tsv").open("a", encoding="utf-8") as file:
        file.write("9\tone\u2028two\x85three\tfour\x0cfive\tentailment\r\n")
    rows = read_rows(path / "train.tsv", TASKS["RTE"])
    assert rows.texts[-1] == ("one\u2028two\x85three", "four\x0cfive")
    assert rows.labels[-1] == "entailment"


def test_rows_without_a_column_or_a_class_are_left_out_and_counted(tmp_path, caplog):
    path = write_task(tmp_path, "QQP")
    with (path / "train.tsv").open("a") as file:
        file.write('"\tWas he real?\t0\n\n77\t1\t2\tone\ttwo\t\n78\t1\t2\tthree\t\t1\n')
    rows = read_rows(path / "train.tsv", TASKS["QQP"])
    assert len(rows.texts) == 25
    assert rows.texts[-1] == ("three", "")  # an empty question is one
    assert rows.names[-1] == "train.tsv:29"
    assert "train.tsv: 2 rows lack a column or a class, and are left out" in caplog.text
    mnli = write_task(tmp_path, "MNLI")
    with (mnli / "dev_matched.tsv").open("a") as file:
        file.write(line_of("MNLI", "a", "b", "-") + "\n")
    assert len(read_rows(mnli / "dev_matched.tsv", TASKS["MNLI"]).texts) == 6


def test_a_pair_has_a_separator_between_its_sentences(tmp_path):
    found = opened(write_task(tmp_path, "RTE"))
    tokenizer = found.files[KEPT]
    (tmp_path / "tokenizer.json").write_text(tokenizer)
    known = open_tokenizer(str(tmp_path / "tokenizer.json"))
    row = found.train.sequences.read(1, 2).tolist()
    assert row[0] == known.first
    assert known.documents(row) == ["good good good film 1 of train", 'so it "is 1']
    assert found.train.vocab == known.vocab


def test_a_tokenizer_of_the_training_rows_or_one_that_is_named(tmp_path):
    path = write_task(tmp_path, "CoLA")
    trained = opened(path)
    assert trained.train.vocab.size <= 300
    assert opened(path).fingerprint() == trained.fingerprint()
    by_characters = opened(path, tokenizer="characters", length=9)
    assert by_characters.train.lengths.tolist() == [9] * 24
    assert by_characters.fingerprint() != trained.fingerprint()


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("train.tsv", "sentence1\tlabel\n", "train.tsv: line 1: has no column 'sentence2'; take the files as GLUE"),
        ("train.tsv", HEADERS["RTE"] + "\n", "train.tsv: holds no rows with a class; take the files as GLUE publishes"),
        ("train.tsv", HEADERS["RTE"] + "\n1\ta\tb\tentailment\n", "all rows to learn from are of class 'entailment'"),
        ("dev.tsv", HEADERS["RTE"] + "\n1\ta\tb\tmaybe\n", "dev has classes that train does not: maybe"),
        ("dev.tsv", None, "dev.tsv: cannot be read"),
    ],
)
def test_what_cannot_be_read_is_told(file, text, message, tmp_path):
    path = write_task(tmp_path, "RTE")
    (path / file).unlink() if text is None else (path / file).write_text(text)
    with pytest.raises(InputError, match=message):
        opened(path)


@pytest.mark.parametrize("label", ["many", "nan", "inf"])
def test_a_number_that_is_none_is_told_with_its_line(label, tmp_path):
    path = write_task(tmp_path, "STS-B")
    with (path / "dev.tsv").open("a") as file:
        file.write(line_of("STS-B", "a", "b", label) + "\n")
    with pytest.raises(InputError, match=f"dev.tsv:8: '{label}' is no number"):
        opened(path)


def test_tasks_of_a_folder_are_found_by_name(tmp_path):
    for name in ("QQP", "CoLA", "WNLI"):
        (tmp_path / name).mkdir()
    assert list(find_tasks(tmp_path)) == ["CoLA", "QQP"]
    with pytest.raises(InputError, match=r"has no set 'Cola' \(did you mean 'CoLA'\?\); there are CoLA, QQP"):
        find_set(tmp_path, "Cola", find_tasks)
    with pytest.raises(InputError, match="holds no task of GLUE; its folders are CoLA, SST-2"):
        find_tasks(tmp_path / "QQP")
    with pytest.raises(InputError, match="nowhere: no such folder; name that of GLUE's tasks with --data"):
        find_tasks(tmp_path / "nowhere")


def test_labels_are_whole_numbers_of_the_classes(tmp_path):
    assert opened(write_task(tmp_path, "MNLI")).train.label.dtype == np.int64
