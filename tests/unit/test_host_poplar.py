"""The host's implementation of Poplar: its own C++ tests, one by one, and what its reader of codelets accepts."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

LIBRARY = Path(__file__).parents[2] / "backends" / "scfx_ipu" / "host_poplar"
READER = LIBRARY / "cmake" / "generate_registration.py"
TESTS = sorted(
    name
    for source in (LIBRARY / "tests").glob("test_*.cpp")
    for name in re.findall(r"^TEST\((\w+)\)", source.read_text(), re.MULTILINE)
)
COMPILER = shutil.which("g++") or shutil.which("c++")

pytestmark = pytest.mark.skipif(
    COMPILER is None or shutil.which("cmake") is None,
    reason="the tests of host_poplar need cmake and a C++ compiler",
)


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Path:
    """The C++ test program, built as a project of its own, as another project would."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent  # by all processes of the run: one builds, the others find it built
    build = shared / "host_poplar"
    configure = [
        *(
            "cmake",
            "-S",
            str(LIBRARY),
            "-B",
            str(build),
            "-DHOST_POPLAR_TESTS=ON",
            "-DCMAKE_BUILD_TYPE=Debug",
        ),
        *("-DCMAKE_UNITY_BUILD=ON", "-DCMAKE_UNITY_BUILD_BATCH_SIZE=20"),
        *(f"-DPython3_EXECUTABLE={sys.executable}", f"-DCMAKE_CXX_COMPILER={COMPILER}"),
    ]
    with (shared / "host_poplar.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for command in (configure, ["cmake", "--build", str(build)]):
            done = subprocess.run(command, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr
    return build / "tests" / "host_poplar_tests"


@pytest.fixture(scope="module")
def outcomes(program) -> dict[str, str]:
    """What each test of the program said, from one run of all."""
    done = subprocess.run([str(program)], capture_output=True, text=True, timeout=300)
    return {row.split()[1].rstrip(":"): row for row in done.stdout.splitlines()}


@pytest.mark.parametrize("name", TESTS)
def test_cpp(name, outcomes):
    assert outcomes.get(name) == f"passed {name}"


def test_every_cpp_test_is_listed_here(program):
    listed = subprocess.run([str(program), "--list"], capture_output=True, text=True, check=True).stdout
    assert listed.split() == TESTS


def test_the_documented_program_prints_what_the_page_says(program, tmp_path):
    """All but the bytes of code and stack, which depend on the compiler."""
    page = (LIBRARY.parents[2] / "docs" / "host-poplar.md").read_text()
    blocks = re.findall(r"^```cpp\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    for name, source in zip(("axpy.cpp", "main.cpp"), blocks, strict=True):
        (tmp_path / name).write_text(source)
    assert COMPILER is not None
    registration, executable = tmp_path / "registration.cpp", tmp_path / "axpy"
    include = str(LIBRARY / "include")
    subprocess.run(
        [
            *(sys.executable, str(READER), "--compiler", COMPILER, "--include", include),
            *("--output", str(registration), str(tmp_path / "axpy.cpp")),
        ],
        check=True,
    )
    library = next(program.parents[1].glob("libhost_poplar.*"))
    sources = [str(tmp_path / "main.cpp"), str(registration), str(library)]
    command = [COMPILER, "-std=c++17", f"-I{include}", *sources, "-pthread", "-o", str(executable)]
    subprocess.run(command, check=True)
    printed = subprocess.run([str(executable)], capture_output=True, text=True, check=True).stdout
    documented = re.search(r"^```text\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert documented is not None
    measured = re.compile(r"^fullest tile 0: \d+|^  (vertex code|worker stacks): \d+", re.MULTILINE)
    assert measured.sub("", printed) == measured.sub("", documented[1])


def read(tmp_path: Path, codelet: str) -> subprocess.CompletedProcess[str]:
    source = tmp_path / "some.cpp"
    source.write_text("#include <poplar/Vertex.hpp>\n" + codelet)
    output = tmp_path / "some_registration.cpp"
    assert COMPILER is not None
    return subprocess.run(
        [
            *(sys.executable, str(READER), "--compiler", COMPILER, "--output", str(output)),
            *("--include", str(LIBRARY / "include"), str(source)),
        ],
        capture_output=True,
        text=True,
    )


def registered(tmp_path: Path, codelet: str) -> dict[str, list[str]]:
    """Fields by vertex class."""
    done = read(tmp_path, codelet)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "some_registration.cpp").read_text()
    found: dict[str, list[str]] = {}
    for row in text.splitlines():
        if match := re.search(r'host_poplar::vertex<\w+>\("([^"]+)"', row):
            fields = found.setdefault(match[1], [])
        elif match := re.search(r'host_poplar::field<.*>\("(\w+)"', row):
            fields.append(match[1])  # pyright: ignore[reportPossiblyUnboundVariable]
    return found


def test_reader_takes_only_fields(tmp_path):
    """Functions, statics, types, friends, comments and strings of a vertex are no fields of it."""
    codelet = r"""
    #define VECTOR(T) poplar::Input<poplar::Vector<T>>
    struct Plain { float x; };  // not a vertex
    class A : public poplar::Vertex {
      // poplar::Input<float> commented;
     public:
      A();
      VECTOR(float) first, second;
      poplar::Output<poplar::Vector<float, poplar::VectorLayout::SPAN, 8>> [[maybe_unused]] out;
      using Alias = float;
      static constexpr int constant = 3;
      enum Mode { ONE, TWO };
      struct Nested { float inner; };
      template <class T> T twice(T x) { return x + x; }
      unsigned count;
      const bool flag;
      bool operator()(int x) const { return x > count; }
      float helper(float x) const { float local = x; const char *s = "float text; }"; return local + s[0]; }
      bool compute() { for (unsigned i = 0; i < first.size(); ++i) { float t = first[i]; out[i] = t; } return true; }
    #ifdef __IPU__
      poplar::Input<float> only_on_the_device;
    #endif
    };
    """
    assert registered(tmp_path, codelet) == {"A": ["first", "second", "out", "count", "flag"]}


def test_reader_names_vertices_with_namespaces_and_template_arguments(tmp_path):
    codelet = """
    namespace a::b {
    template <typename T, bool Fast> struct [[poplar::constraint("elem(*in)!=elem(*out)")]] V : poplar::MultiVertex {
      poplar::Input<T> in;
      poplar::Output<T> out;
      void compute(unsigned) { *out = *in; }
    };
    template struct V<unsigned int, true>;
    }
    template struct a::b::V< float , false>;
    """
    fields = ["in", "out"]
    assert registered(tmp_path, codelet) == {
        "a::b::V<unsigned int,true>": fields,
        "a::b::V<float,false>": fields,
    }


VERTEX = "class V : public poplar::Vertex {{ {} bool compute() {{ return true; }} }};"


@pytest.mark.parametrize(
    ("codelet", "message"),
    [
        (VERTEX.format("poplar::Input<float> x; public:"), "field 'x' of vertex 'V' is private"),
        (VERTEX.format("public: unsigned n = 3;"), "default value"),
        (VERTEX.format("public: float scratch[16];"), "array, a pointer or a reference"),
        (VERTEX.format("public: float *p;"), "array, a pointer or a reference"),
        ("template <class T> " + VERTEX.format("public:"), "vertex template 'V' is never instantiated"),
        (VERTEX.format("public:") + "class W : public V {};", "'W' derives from the vertex class 'V'"),
        ("class S : public poplar::SupervisorVertex {};", "derives from SupervisorVertex"),
        ("float x;", "no class derives from poplar::Vertex"),
        ('#include "nowhere.hpp"\n', "nowhere.hpp"),
    ],
)
def test_reader_refuses_with_file_and_line(tmp_path, codelet, message):
    done = read(tmp_path, codelet)
    assert done.returncode == 1
    assert message in done.stderr
    assert re.match(r".*some\.cpp:\d+: ", done.stderr), done.stderr
    assert not (tmp_path / "some_registration.cpp").exists()


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("poplar::Input<const char *>", "a vertex field is a number"),
        ("poplar::Vector<int *>", "a Vector holds numbers"),
    ],
)
def test_a_field_of_another_type_does_not_compile(tmp_path, field, message):
    done = read(tmp_path, VERTEX.format(f"public: {field} x;"))
    assert done.returncode == 0, done.stderr
    assert COMPILER is not None
    unit = tmp_path / "some_registration.cpp"
    compiled = subprocess.run(
        [COMPILER, "-std=c++17", "-fsyntax-only", f"-I{LIBRARY / 'include'}", str(unit)],
        capture_output=True,
        text=True,
    )
    assert compiled.returncode != 0
    assert message in compiled.stderr
