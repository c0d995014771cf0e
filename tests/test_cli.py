"""The command line: what it prints, and one line with a stable exit code for every mistake."""

import subprocess
import sys
from importlib.metadata import version

import pytest

from dnadiff import cli
from dnadiff.config import shipped
from dnadiff.errors import InputError, LeakError, ResourceError


def call(monkeypatch, capsys, *words):
    """Exit code, standard output, standard error of a command in this process."""
    monkeypatch.setattr(sys, "argv", ["dnadiff", *words])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    output = capsys.readouterr()
    return stop.value.code, output.out, output.err


@pytest.mark.case(6, 15)
def test_a_run_is_told_what_to_force_and_whether_to_keep_going(monkeypatch, capsys):
    told = []
    monkeypatch.setattr(
        "dnadiff.tasks.train.run", lambda settings, out, **more: told.append((settings.train.keep_going, more))
    )
    for words in (["train", "--force", "--keep-going"], ["finetune"]):
        call(monkeypatch, capsys, *words)
    assert told == [(True, {"force": True}), (False, {"force": False})]


SLOW = {"torch", "numpy", "scipy", "lightning", "matplotlib", "sklearn", "Bio", "pydantic", "omegaconf", "transformers"}


def loaded_by(*words):
    """What a command prints, and which slow packages it imports."""
    code = (
        "import sys\nfrom dnadiff import cli\nsys.argv = ['dnadiff', *sys.argv[1:]]\n"
        "try:\n    cli.main()\nfinally:\n    print(*{name.split('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    return done.stdout, SLOW & set(done.stderr.split())


def test_help_loads_nothing_slow():
    text, loaded = loaded_by("--help")
    assert all(verb in text for verb in ("finetune", "train", "evaluate", "sample", "windows", "doctor"))
    assert not loaded


def test_the_version_is_printed_at_once():
    text, loaded = loaded_by("--version")
    assert text == f"dnadiff {version('dnadiff')}\n"
    assert not loaded


def test_a_mistake_in_settings_is_found_before_lightning_is_loaded():
    _, loaded = loaded_by("train", "train.max_step=3")
    assert "pydantic" in loaded
    assert not loaded & {"lightning", "matplotlib", "sklearn", "transformers"}


def test_a_mistake_in_a_preset_s_name_is_found_before_torch_is_loaded():
    assert loaded_by("train", "dna/toi")[1] <= {"pydantic", "omegaconf"}


@pytest.mark.case(54)
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["finetune", "dna/toi"], "dna/toi: no such preset (did you mean 'dna/toy'?)"),
        (["finetune", "train.max_step=3"], "train.max_step: unknown setting (did you mean 'max_steps'?)"),
        (["finetune", "train.max_steps=many"], "train.max_steps: input should be a valid integer"),
        (["finetune", "model.kind=caducius"], "model.kind: 'caducius' is not one of caduceus, dit, hf, mamba"),
        (["finetune", "--ref", "none.fa"], "none.fa: cannot be read"),
        (["finetune", "--ref", "https://example.org/a.fa"], "is a URL; download the file first"),
        (["finetune", "data.jitter=5000"], "data.jitter (5000) must be below data.length"),
        (
            ["finetune", "data.split.valid=[chrB]"],
            "data.split.valid: kind 'auto' has no such setting; set data.split.kind=",
        ),
        (["finetune", "genome.fa"], "genome.fa: no such preset; a genome is given with --ref genome.fa"),
        (["finetune", "model/dit-tny"], "model/dit-tny: no such preset (did you mean 'model/dit-tiny'?)"),
        (["train", "classify/paper"], "classify/paper: is for `dnadiff classify --protocol paper`; `dnadiff presets`"),
        (["windows", "tables/hg38-table"], "tables/hg38-table: is for `dnadiff reproduce hg38-table`;"),
        (["classify", "rows.csv", "--protocol", "dna/toy"], "--protocol dna/toy: is not strict, paper, or a YAML file"),
        (["train", "train.lr=1e-3"], "train.lr: unknown setting; there is optim.lr"),
        (["train", "train.learning_rate=1e-3"], "train.learning_rate: unknown setting; there is optim.lr"),
        (["train", "dna/hg38", "data.split.valid=0.1"], "kind blocks takes it: set data.split.kind=blocks as well"),
        (["train", "model.kind=dit", "model.n_layers=3"], "kind 'dit' has no such setting (it has "),
        (
            ["finetune", "--trust-remote-code"],
            "--trust-remote-code; no code that comes with a model is ever run, docs/w",
        ),
        (["train", "--lr", "3"], "No such option: --lr; a setting is a word, lr=VALUE; see dnadiff train --help"),
        (["train", "dna/toy", "dna/tiny"], "two presets were named (dna/toy, dna/tiny)"),
        (["finetune", "optim.betas=[0.9,1.5]"], "optim.betas.1: input should be less than 1"),
        (["finetune", "sample.length=2"], "sample.length (2) must be 8 or more"),
        (["evaluate", "no-such-run"], "no-such-run: no such folder; name a run folder or a checkpoint folder"),
        (
            ["evaluate", "x", "--fasta", "a.fa", "--split", "valid"],
            "--split: has no part where --fasta names sequences",
        ),
        (["evaluate", "x", "--fasta", "a.fa", "method=best"], "method: input should be 'bound', 'exact', 'chain_rule'"),
        (["sample", "no-such-run", "-n", "3"], "no-such-run: no such folder"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_two(monkeypatch, capsys, tmp_path, words, message):
    monkeypatch.chdir(tmp_path)
    code, out, err = call(monkeypatch, capsys, *words)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.strip().splitlines()) == 1
    assert "Traceback" not in err
    assert not (tmp_path / "runs").exists()


def test_all_mistakes_are_named_at_once(monkeypatch, capsys):
    _, _, err = call(monkeypatch, capsys, "finetune", "train.sed=1", "optim.lr=-1", "data.lenght=3")
    assert "train.sed: unknown setting (did you mean 'seed'?)" in err
    assert "optim.lr: input should be greater than 0" in err
    assert "data.lenght: unknown setting (did you mean 'length'?)" in err


def test_a_network_goes_on_top_of_a_preset(monkeypatch, capsys):
    _, out, _ = call(monkeypatch, capsys, "train", "dna/hg38", "model/dit-tiny", "--print-config")
    assert "kind: dit" in out
    assert "max_steps: 50000" in out
    _, out, _ = call(monkeypatch, capsys, "train", "model/dit-tiny", "--print-config")
    assert "kind: dit" in out
    assert "max_steps: 450" in out


def test_every_preset_is_listed_with_what_it_is(monkeypatch, capsys):
    _, out, _ = call(monkeypatch, capsys, "presets")
    lines = [line.split(None, 1) for line in out.splitlines() if line.startswith("  ")]
    others = ("classify/", "tables/", "zeroshot/")
    shown = {name.partition("/")[2] if name.startswith(others) else name: says for name, says in shipped().items()}
    assert dict(lines) == shown
    assert all(len(says) > 20 for says in shown.values())


def test_print_config_reads_back(monkeypatch, capsys, tmp_path):
    code, out, _ = call(monkeypatch, capsys, "train", "dna/hg38", "--print-config", "train.max_steps=7")
    assert code == 0
    (tmp_path / "again.yaml").write_text(out)
    _, again, _ = call(monkeypatch, capsys, "train", str(tmp_path / "again.yaml"), "--print-config")
    assert again == out
    assert "max_steps: 7" in out


@pytest.mark.parametrize(
    ("error", "code"),
    [(InputError("a"), 2), (ResourceError("a"), 3), (MemoryError(), 4), (LeakError("a"), 5), (OSError(28, "full"), 3)],
)
def test_exit_codes_are_stable(monkeypatch, capsys, error, code):
    def fail():
        raise error

    monkeypatch.setattr("dnadiff.config.shipped", fail)
    assert call(monkeypatch, capsys, "presets")[0] == code


def test_ctrl_c_in_any_verb_is_a_line(monkeypatch, capsys):
    def stop():
        raise KeyboardInterrupt

    monkeypatch.setattr("dnadiff.config.shipped", stop)
    assert call(monkeypatch, capsys, "presets") == (130, "", "dnadiff: stopped by Ctrl-C\n")


def test_what_nobody_foresaw_says_how_to_report_it_and_debug_shows_it(monkeypatch, capsys, tmp_path):
    def fail():
        raise ZeroDivisionError("oops,\nin two lines")

    monkeypatch.setattr("dnadiff.config.shipped", fail)
    monkeypatch.setenv("DNADIFF_CACHE", str(tmp_path / "cache"))
    code, _, err = call(monkeypatch, capsys, "presets")
    kept = tmp_path / "cache" / "traceback.txt"
    assert code == 1
    assert err == (
        f"dnadiff: internal error (ZeroDivisionError: oops, in two lines); "
        f"please report it with its traceback, which is in {kept}\n"
    )
    assert kept.read_text().rstrip().endswith("ZeroDivisionError: oops,\nin two lines")
    monkeypatch.setenv("DNADIFF_CACHE", "/dev/null/none")
    assert "; run it again with --debug and report what it prints\n" in call(monkeypatch, capsys, "presets")[2]
    monkeypatch.setattr(sys, "argv", ["dnadiff", "presets", "--debug"])
    with pytest.raises(ZeroDivisionError):
        cli.main()
