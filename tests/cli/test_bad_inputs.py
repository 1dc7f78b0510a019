"""What every command says to bad input, in the reader's language: words with what to do, an exit code, and nothing changed."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from identity_running import snapshot

from changan.cli.main import main
from changan.node.transfer import export_chain
from consortium import Ledger

ENGLISH, CHINESE = {"LC_ALL": "C.UTF-8"}, {"LC_ALL": "zh_CN.UTF-8"}
GOOD = "from changan.contract import U64, Contract, view\n\n\nclass C(Contract):\n    n: U64\n\n    @view\n    def get(self) -> U64:\n        return self.n\n"
BAD = GOOD.replace("return self.n", "return open('x')").replace("n: U64\n", "n: int\n")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a file of each kind; commands run in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.py").write_text(GOOD)
    (tmp_path / "bad.py").write_text(BAD)
    (tmp_path / "bytes.py").write_bytes(b"\xff\xfe")
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "open.json").write_text("{")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    (tmp_path / "other.json").write_text('{"format": "x"}')
    (tmp_path / "folder").mkdir()
    settings = tmp_path / "strange"
    settings.mkdir()
    (settings / "changan.toml").write_text("demo = 3\n")
    newer = tmp_path / "newer"
    newer.mkdir()
    (newer / "VERSION").write_text("99\n")
    public = tmp_path / "public"
    public.mkdir()
    (public / "changan.toml").write_text('auth = "public"\nsuite = "gm"\n')
    return tmp_path


def run(*arguments: str, env=ENGLISH):
    done = CliRunner().invoke(main, list(arguments), env=env)
    assert done.exception is None or isinstance(done.exception, SystemExit), repr(done.exception)
    return done


CASES = [
    ("contract check bad.py", 1, "bad.py:5:", "bad.py:5:"),
    ("contract check bytes.py", 1, "bytes.py is not UTF-8", "bytes.py 不是 UTF-8 编码"),
    ("contract check folder", 2, "File 'folder' is a directory", ""),
    ("contract check nowhere.py", 2, "File 'nowhere.py' does not exist", ""),
    ("contract check", 2, "Missing argument 'FILES...'", ""),
    ("contract build bad.py", 1, "error: bad.py:5: int has no fixed size", "错误: bad.py:5: "),
    ("contract build good.py -o folder", 1, "error: folder: Is a directory; see that", "错误: folder: Is a directory; 请确认它存在"),
    ("contract build good.py -o no/such", 1, "error: no/such: No such file or directory; see that it is there", "请确认它存在"),
    ("contract call t f --home nohome", 1, "nohome holds no keys of client1 (No such file or directory): name the node's --home", "nohome 中没有 client1 的密钥"),
    ("contract query t f --home nohome", 1, "name the node's --home", "请用 --home 指定节点目录"),
    ("contract deploy t bad.py --home nohome", 1, "error: bad.py:5: int has no fixed size", "错误: bad.py:5: "),
    ("contract rows t f --limit 0", 2, "0 is not in the range x>=1", ""),
    ("contract history t f k --limit 1001", 2, "1001 is not in the range 1<=x<=1000", ""),
    ("contract prove t f --block -1", 2, "-1 is not in the range x>=0", ""),
    ("contract call t f --gas-limit -1", 2, "-1 is not in the range x>=0", ""),
    ("contract call t f --password-file nowhere --home nohome", 1, "cannot read the password in nowhere: No such file or directory", "错误: "),
    ("status --home nohome", 1, "nohome holds no keys of client1", "nohome 中没有 client1 的密钥"),
    ("block x", 2, "'x' is not a valid integer range", ""),
    ("receipt abc --home nohome", 1, "nohome holds no keys of client1", "请用 --home"),
    ("events --start -2", 2, "-2 is not in the range x>=-1", ""),
    ("tx trace abc --home nohome", 1, "nohome has no chain chain1", "nohome 中没有链 chain1"),
    ("verify --home nohome", 1, "nohome has no chain chain1", "nohome 中没有链 chain1"),
    ("verify --home nohome --sample 0", 2, "0 is not in the range x>=1", ""),
    ("export --home nohome -o x", 1, "nohome has no chain chain1", "nohome 中没有链 chain1"),
    ("export --home nohome", 2, "Missing option '-o'", ""),
    ("import --home nohome other.json", 1, "error: other.json is no exported chain of this release", "错误: other.json"),
    ("import --home nohome nowhere", 2, "File 'nowhere' does not exist", ""),
    ("verify-receipt list.json", 1, "NOT OK: list.json is no receipt", "未通过: list.json"),
    ("verify-receipt open.json", 1, "NOT OK: Expecting property name", "未通过: "),
    ("verify-receipt deep.json", 1, "NOT OK: ", "未通过: "),
    ("verify-receipt bytes.py", 1, "NOT OK: 'utf-8' codec", "未通过: "),
    ("verify-receipt other.json", 1, "NOT OK: this is no receipt of format 1", "未通过: "),
    ("verify-receipt other.json --trust nowhere", 2, "Path 'nowhere' does not exist", ""),
    ("reset --home folder --yes", 1, "folder is no home of a node; nothing was deleted", "folder 不是节点目录，未删除任何内容"),
    ("chain add b --home nohome", 1, "changan.toml: No such file or directory; see that it is there", "请确认它存在"),
    ("chain add b --home strange", 1, "demo = 3: known are organisations", "错误: "),
    ("chain add a-b --home public", 1, "'a-b': the id of a chain is 1 to 30 letters, digits and _", "错误: 'a-b'"),
    ("chain add chain1 --home public", 1, "has chain chain1 already", "错误: "),
    ("up --home good.py", 1, "good.py: File exists; see that", "请确认它存在"),
    ("up --home strange", 1, "demo = 3: known are organisations", "错误: "),
    ("up --home newer", 1, "has format '99', this release reads format 1: a newer release made it", "错误: "),
    ("up --home public --auth cert", 1, "says auth = 'public': leave --auth out, or change it there", "错误: "),
    ("up --home public --suite intl", 1, "says suite = 'gm': leave --suite out, or change it there", "错误: "),
    ("up --orgs 101", 2, "101 is not in the range 1<=x<=100", ""),
    ("up --rpc-port 65536", 2, "65536 is not in the range 0<=x<=65535", ""),
    ("up --auth king", 2, "'king' is not one of 'cert', 'key', 'public'", ""),
    ("engine refetch --home folder", 1, "is no node of a cluster: make one with `changan cluster init`", "错误: "),
    ("engine renew --home folder", 1, "is no node of a cluster: make one with `changan cluster init`", "错误: "),
    ("cluster status --home folder", 1, "holds no cluster: make one with `changan cluster init --home", "错误: "),
    ("cluster up --home folder", 1, "holds no cluster", "错误: "),
    ("cluster node --home folder", 1, "is no node of a cluster", "错误: "),
    ("identity show --home nohome", 1, "expected a directory with one directory per organisation", "错误: "),
    ("bench ledger --rows 0", 2, "0 is not in the range 1<=x<=65536", ""),
    ("bench single --seconds 0.1", 2, "0.1 is not in the range 0.5<=x<=600", ""),
    ("dance", 2, "No such command 'dance'", ""),
]  # fmt: skip


@pytest.mark.parametrize(("line", "code", "english", "chinese"), CASES, ids=[case[0] for case in CASES])
def test_words_and_exit_codes(place, line, code, english, chinese):
    before = snapshot(place)
    for env, words in ((ENGLISH, english), (CHINESE, chinese)):
        done = run(*line.split(), env=env)
        assert done.exit_code == code, done.output
        assert words in done.output
        assert "Traceback" not in done.output
    assert snapshot(place) == before


def test_each_line_of_a_contract_that_is_wrong_is_named(place):
    lines = run("contract", "check", "bad.py", "good.py").output.splitlines()
    assert [line.partition(": ")[0] for line in lines] == ["bad.py:5", "bad.py:9", "good.py"]
    assert lines[-1] == "good.py: ok"
    assert run("contract", "check", "good.py", env=CHINESE).output == "good.py: 通过\n"
    assert run("contract", "check", "good.py").exit_code == 0


def test_a_package_is_as_good_as_its_source(place):
    done = run("contract", "build", "good.py")
    assert done.output == f"good.changan  {(place / 'good.changan').stat().st_size} bytes\n"
    assert run("contract", "check", "good.changan").exit_code == 0
    shown = run("contract", "build", "good.py", "--show", "-o", "never").output
    assert shown.startswith("(module")
    assert not (place / "never").exists()


def test_what_is_no_tip_of_ours_is_not_swallowed(place, monkeypatch):
    """An error that no file of the user's explains is our own, and is shown whole."""

    def broken(*_, **__):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("changan.cli.contract.compile_source", broken)
    done = CliRunner().invoke(main, ["contract", "build", "good.py"])
    assert isinstance(done.exception, OSError)


def test_a_reset_asks_first(place):
    home = place / "home"
    home.mkdir()
    (home / "VERSION").write_text("1\n")
    refused = CliRunner().invoke(main, ["reset", "--home", "home"], input="n\n", env=ENGLISH)
    assert (refused.exit_code, home.exists()) == (1, True)
    assert "Delete home with all its chains and keys?" in refused.output
    done = CliRunner().invoke(main, ["reset", "--home", "home"], input="y\n", env=CHINESE)
    assert (done.exit_code, home.exists()) == (0, False)
    assert done.output.endswith("已删除\n")


def test_a_chain_is_imported_once_and_whole(place, consortium):
    ledger = Ledger(consortium, sealer=consortium.signer(1, "consensus1", "consensus"))
    ledger.install("evidence")
    for _ in export_chain(ledger.log(), place / "chain.export"):
        pass
    done = run("import", "--home", "moved", "chain.export")
    assert done.output == "chain1: 2 blocks; now: changan verify --replay --home moved --chain chain1\n"
    checked = run("verify", "--replay", "--home", "moved")
    assert "ok: 2 blocks, 2 transactions, 2 signatures, 2 state roots, replayed\n" in checked.output
    again = run("import", "--home", "moved", "chain.export")
    assert again.exit_code == 1
    assert run("verify", "--home", "moved", "--chain", "other").exit_code == 1
    alone = run("verify", "--home", "moved", "--sample", "3")
    assert alone.exit_code == 2
    assert "--sample leaves the state to --replay: give both" in alone.output
    data = bytearray((place / "chain.export").read_bytes())
    data[len(data) // 2] ^= 1
    (place / "broken.export").write_bytes(data)
    before = snapshot(place)
    refused = run("import", "--home", "broken", "broken.export")
    assert refused.exit_code == 1
    assert refused.output.startswith("error: ")
    assert snapshot(place) == before
