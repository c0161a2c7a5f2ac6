"""Data is not code: nothing that a source or somebody else's dataset holds runs, or leads outside the dataset."""

from __future__ import annotations

import hashlib
import json
import re
from html.parser import HTMLParser

import pyarrow.parquet as pq
import pytest
import scfx_dataset
from dataset_fake import FakeSpec, run_fake
from scfx_dataset.card import card
from scfx_dataset.report import html_of

import scfx
from scfx.jobs.commits import COMPACTED, compact
from scfx.jobs.records import sealed
from scfx.jobs.store import LocalStore
from scfx.model.drawing import structure_svg

EVIL = "<script>alert(1)</script>"
MARKUP = f"x\"'>{EVIL}<img src=x onerror=alert(1)>`|[a](javascript:alert(1))"


def reseal(path, **changes):
    """Change a record as somebody does who knows about its digest."""
    record = {k: v for k, v in json.loads(path.read_text()).items() if k != "check"}
    path.write_text(json.dumps(sealed({**record, **changes})))


class Tags(HTMLParser):
    """Names of all elements and of all attributes of a document."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.attributes, self.sources = set(), set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.add(tag)
        self.attributes |= {name for name, _ in attributes}
        self.sources += [value for name, value in attributes if name == "src"]


@pytest.fixture
def evil(tmp_path):
    """A finished dataset whose source, names, licence and level are markup."""
    source = tmp_path / f"{EVIL.replace('/', '')}.smi"
    source.write_text(f"CCO {MARKUP}\nCO\nC{EVIL}\nCN\n")
    output = tmp_path / "out"
    license_ = f'mit\ntags:\n- {EVIL}\n--- "'
    spec = FakeSpec(level=f"{EVIL}$\\alpha_{{$", not_converged=("CN",))
    assert run_fake(spec, molecules=str(source), output=str(output), license=license_, conformers=2) == 0
    return output


def test_markup_cannot_run_in_the_report(evil):
    dataset = scfx_dataset.open(evil)
    for text in (html_of(dataset, dataset.summary()), (evil / "report.html").read_text()):
        tags = Tags(text)
        assert not tags.elements & {"script", "iframe", "object", "embed", "link", "a", "base", "form", "svg"}
        assert not [name for name in tags.attributes if name.startswith("on") or name == "href"]
        # Pictures of our own, as images, which run nothing.
        assert all(source.startswith("data:image/svg+xml;base64,") for source in tags.sources)
        assert "default-src 'none'" in text
        assert EVIL not in text
        assert EVIL.replace("/", "").replace("<", "&lt;").replace(">", "&gt;") in text


def test_the_card_is_one_header_of_yaml_and_markdown_without_markup(evil):
    yaml = pytest.importorskip("yaml")
    text = (evil / "README.md").read_text()
    _, header, body = text.split("---\n", 2)
    found = yaml.safe_load(header)
    assert found["license"].startswith("mit tags: - <script>")
    assert found["tags"][0] == "chemistry"
    assert EVIL.replace("/", "") in found["pretty_name"]
    # What is left of it stands inside a block of code, as JSON.
    outside = re.sub(r"```json\n.*?\n```|`[^`\n]*`", "", body, flags=re.DOTALL)
    assert not Tags(outside).elements
    assert "javascript:" not in outside


@pytest.mark.parametrize(
    ("text", "shown"),
    [("cc0-1.0", "cc0-1.0"), ("no", '"no"'), ("a: b", '"a: b"'), ("mit\nx: 1", '"mit x: 1"'), ("'", '"\'"')],
)
def test_a_licence_is_one_scalar(evil, text, shown):
    dataset = scfx_dataset.open(evil)
    dataset.plan.record["license"] = text
    assert f"license: {shown}\n" in card(dataset, dataset.summary(), False)


def test_labels_that_follow_a_smiles_are_not_drawn():
    assert structure_svg("CC |$evil;label$|") == ""
    assert "<svg" in structure_svg("CC")


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/passwd", "attempts/../../secret", "a/..", "..", "a\\..\\b", "x\0y"]
)
def test_no_name_leads_outside_a_store(tmp_path, name):
    store = LocalStore(tmp_path / "out")
    store.create()
    (tmp_path / "secret").write_text("secret")
    for touch in (store.read, store.exists, store.size, store.remove, store.reader, store.local_path):
        with pytest.raises(scfx.InputError, match="leads outside the folder"):
            touch(name)
    for write in (store.write_new, store.replace, store.put_if_absent):
        with pytest.raises(scfx.InputError, match="leads outside the folder"):
            write(name, b"x")
    assert (tmp_path / "secret").read_text() == "secret"


@pytest.fixture
def finished(tmp_path):
    source = tmp_path / "m.smi"
    source.write_text("CCO\nCO\n")
    assert run_fake(molecules=str(source), output=str(tmp_path / "out"), shard_rows=1) == 0
    return tmp_path / "out"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("attempt", "../../secret.parquet"),
        ("attempt", "/etc/passwd"),
        ("attempt", "plan.json"),
        ("attempt", "attempts/other-0123456789ab.parquet"),
        ("attempt", 7),
        ("sha256", "x"),
        ("statuses", {"ok": "<b>"}),
        ("statuses", {"<b>": 1}),
        ("statuses", [1]),
        ("seconds", {"scf": "long"}),
        ("bytes", "many"),
    ],
)
def test_a_commit_record_that_scfx_cannot_have_written_is_refused(finished, field, value):
    path = next((finished / "commits").iterdir())
    reseal(path, **{field: value})
    for use in (lambda d: d.to_table(), len, lambda d: d.summary()):
        with pytest.raises(scfx.InputError, match="is damaged: its"):
            use(scfx_dataset.open(finished))


def test_compacted_records_are_held_to_the_same(finished):
    dataset = scfx_dataset.open(finished)
    compact(dataset.plan)
    table = pq.read_table(finished / COMPACTED)
    rows = table.to_pylist()
    rows[0]["attempt"] = "../../secret"
    pq.write_table(table.from_pylist(rows, schema=table.schema), finished / COMPACTED)
    # The copy is not believed; the record itself says what counts.
    assert scfx_dataset.open(finished).to_table().equals(dataset.to_table())


@pytest.mark.parametrize("name", ["../shards.parquet", "/etc/passwd", "commits/x", "plan/../../x"])
def test_a_plan_names_files_of_its_own_folder_only(finished, name):
    path = finished / "plan.json"
    files = json.loads(path.read_text())["files"]
    files["shards"]["name"] = name
    reseal(path, files=files)
    with pytest.raises(scfx.InputError, match="as a file of the plan"):
        scfx_dataset.open(finished).to_table()


def test_a_shard_is_called_by_a_plain_name(finished):
    path = finished / "plan.json"
    record = json.loads(path.read_text())
    index = finished / record["files"]["shards"]["name"]
    table = pq.read_table(index)
    rows = [{**row, "shard": "../../x"} for row in table.to_pylist()]
    pq.write_table(table.from_pylist(rows, schema=table.schema), index)
    record["files"]["shards"]["sha256"] = hashlib.sha256(index.read_bytes()).hexdigest()
    reseal(path, files=record["files"])
    with pytest.raises(scfx.InputError, match="a shard that is called"):
        scfx_dataset.open(finished).to_table()


def test_no_product_code_unpickles_what_it_did_not_write(project_root):
    found = []
    for folder in ("scfx", "backends", "basis", "functionals", "plugins"):
        for path in sorted((project_root / folder).rglob("*.py")):
            text = path.read_text()
            for call in re.findall(r"torch\.load\([^)]*\)", text):
                assert "weights_only=True" in call, path
            assert not re.search(r"(?<![\w.])(eval|exec)\(", text), path
            assert "allow_pickle=True" not in text, path
            if re.search(r"pickle\.loads?\(", text):
                found.append(path.name)
    # Its own scratch files, and the answers of a process that it has started.
    assert sorted(found) == ["sheltered.py", "spill.py"]


def test_a_damaged_copy_of_the_commits_is_passed_over_or_refused_clearly(finished):
    dataset = scfx_dataset.open(finished)
    compact(dataset.plan)
    table = pq.read_table(finished / COMPACTED)
    rows = [{**row, "rest": row["rest"][:100] + "\x00" + row["rest"][101:]} for row in table.to_pylist()]
    pq.write_table(table.from_pylist(rows, schema=table.schema), finished / COMPACTED)
    assert scfx_dataset.open(finished).to_table().equals(dataset.to_table())
    pq.write_table(
        table.select(["shard"]).replace_schema_metadata(table.schema.metadata), finished / COMPACTED
    )
    assert len(scfx_dataset.open(finished)) == 2
    (finished / COMPACTED).write_bytes(b"half")
    with pytest.raises(scfx.InputError, match="can be removed"):
        len(scfx_dataset.open(finished))
