#!/usr/bin/env python3
"""Builds the library in many ways, tests each and uses it as programs do: matrix.py [NAME ...]

A base (GCC 12, shared, release, OpenBLAS, xsimd), and each thing changed once. Each configuration is built in
build-matrix/NAME, runs test programs, is installed into a folder there and is used from it (consumer/checks.sh). Prints a
row for each and the table at the end; ends with 1 when one failed.

By name alone, since they run all tests: libc++, the standard library of macOS, by Clang; and other processors, cross-built
with Debian's compilers, with tests under QEMU.
"""
import glob
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import time

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOLDER = os.path.join(SOURCE, "build-matrix")
CROSS = os.path.join(SOURCE, "tests", "cross")
CACHE = ["ccache"] if shutil.which("ccache") else []
TESTS = ("tape", "ops", "sums", "linalg", "linalg_extremes", "odeint", "stiff", "golden", "extremes", "threads", "errors",
         "custom", "nn", "kernels", "save", "safetensors", "npy")
FILES = ("data", "foreign", "npy", "number_formats", "resumed", "safetensors", "save")
# What is not run under QEMU, for reasons that tests/README.md gives.
NATIVE = ("cpp", "failing allocations", "fork", "properties")
FURTHER = ("exported symbols", "kernel symbols")  # tests without a program of theirs
COLUMNS = ("configuration", "result", "tests", "uses", "MB", "stripped", "user's file", "foreign", "BLAS", "build")
REFERENCES = ("/usr/lib/*/blas/libblas.so.3", "/usr/lib/*/lapack/liblapack.so.3")  # Debian's, whatever its alternatives choose


class Configuration:
    def __init__(self, changed, compiler="g++-12", options=(), flags="", blas="openblas", subproject=False, processor=None,
                 debian="", endian="little", tests=TESTS, leaves_out=(), rapidcheck=False, runner=""):
        self.changed, self.compiler, self.options = changed, compiler, list(options)  # the compiler with options of its own
        self.rapidcheck = rapidcheck  # compiled for this configuration
        self.flags, self.blas, self.subproject = flags, blas, subproject
        self.processor, self.debian, self.endian = processor, debian, endian  # of another machine, or of another system
        self.runner = runner or f"qemu-{processor}"  # of its programs
        self.tests, self.leaves_out = tests, leaves_out  # tests None: all programs, but for those


CONFIGURATIONS = {
    "base": Configuration("GCC 12, shared, release, OpenBLAS, xsimd"),
    "gcc-11": Configuration("GCC 11", compiler="g++-11"),
    "clang-14": Configuration("Clang 14", compiler="clang++-14"),
    "clang-19": Configuration("Clang 19", compiler="clang++-19"),
    "no-xsimd": Configuration("without xsimd", options=["-Dxsimd=disabled"]),
    "reference-blas": Configuration("the reference BLAS", options=["-Dblas=cblas"], blas="reference"),
    "no-blas": Configuration("without BLAS", options=["-Dblas=none"], blas="none"),
    "no-sundials": Configuration("without SUNDIALS", options=["-Dsundials=disabled"]),
    "static": Configuration("static library", options=["-Ddefault_library=static"]),
    "no-pch": Configuration("each file by itself, without precompiled headers: it includes what it uses", options=["-Db_pch=false", "-Dunity=off"]),
    "debug": Configuration("debug", options=["-Dbuildtype=debug"]),
    "assertions": Configuration("the standard library's assertions", flags="-D_GLIBCXX_ASSERTIONS"),
    "subproject": Configuration("a subproject of a user's project, by the file for WrapDB", options=["-Dunity=on"], subproject=True),
    "libc++": Configuration("Clang 19 with libc++: all tests", compiler="clang++-19 -stdlib=libc++", tests=None, rapidcheck=True),
    "aarch64": Configuration("64-bit Arm: all tests, instructions counted", compiler="aarch64-linux-gnu-g++", processor="aarch64",
                             debian="arm64", tests=None, leaves_out=NATIVE),
    "riscv64": Configuration("64-bit RISC-V: generic kernels, without BLAS", compiler="riscv64-linux-gnu-g++", options=["-Dblas=none"],
                             processor="riscv64", debian="riscv64", tests=(*TESTS, "data", "foreign", "number_formats", "resumed")),
    "s390x": Configuration("big-endian: the tests of files", compiler="s390x-linux-gnu-g++", processor="s390x", debian="s390x",
                           endian="big", tests=FILES),
    "windows": Configuration("Windows by MinGW-w64: all tests under Wine, files for Linux", compiler="x86_64-w64-mingw32-g++-posix",
                             options=["-Dblas=none"], processor="x86_64", debian="windows", tests=None, rapidcheck=True, runner="wine"),
}


class Failed(Exception):
    pass


class NotHere(Exception):
    pass


class Run:
    """One configuration: its folder, its environment, and its row."""

    def __init__(self, name):
        self.name, self.configuration = name, CONFIGURATIONS[name]
        self.folder = os.path.join(FOLDER, name)
        self.build, self.prefix, self.work = (os.path.join(self.folder, d) for d in ("build", "prefix", "work"))
        self.row = dict.fromkeys(COLUMNS, "")
        self.row["configuration"] = name
        self.environment = dict(os.environ, CCACHE_BASEDIR=SOURCE, CCACHE_NOHASHDIR="1")
        self.environment.pop("CXXFLAGS", None)
        self.cross_files = []

    def run(self, *command, **options):
        """The output of a command; it is kept in the configuration's log, and an error shows its end."""
        done = subprocess.run(command, env=self.environment, cwd=options.get("cwd", SOURCE), text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        with open(os.path.join(self.folder, "log"), "a") as log:
            log.write("$ " + " ".join(command) + "\n" + done.stdout)
        if done.returncode != 0 and options.get("check", True):
            print("\n".join(done.stdout.splitlines()[-options.get("show", 40):]))
            raise Failed(options.get("what", os.path.basename(command[0])))
        return done.stdout

    def prepare(self):
        c = self.configuration
        if not shutil.which(c.compiler.split()[0]):
            raise NotHere(c.compiler)
        os.makedirs(self.folder, exist_ok=True)
        for path in (self.prefix, self.work, os.path.join(self.folder, "log")):
            shutil.rmtree(path, ignore_errors=True) if os.path.isdir(path) else os.path.exists(path) and os.remove(path)
        os.makedirs(self.work)
        if c.processor:
            return self.prepare_cross()
        self.environment["CXX"] = c.compiler
        flags = c.flags
        if c.blas == "reference":
            found = [glob.glob(library) for library in REFERENCES]
            if not all(found):
                raise NotHere("the reference BLAS and LAPACK")
            # Its header and its libraries, also where Debian's alternatives name OpenBLAS's.
            self.environment["LD_LIBRARY_PATH"] = ":".join(os.path.dirname(paths[0]) for paths in found)
            with open(os.path.join(self.work, "cblas.h"), "w") as header:
                header.write("#include <cblas-netlib.h>\n")
            flags += " -I" + self.work
        if "-stdlib=libc++" in c.compiler:
            self.need_header("version")
        links = ""
        folder = os.path.join(self.folder, "rapidcheck")
        if c.rapidcheck and self.has_rapidcheck(folder):
            flags += f" -isystem{folder}/include"
            links = f"-L{folder}/lib"
        return ["-Dwerror=true", "-Dcpp_args=" + flags.strip(), "-Dcpp_link_args=" + links, *c.options]

    def need_header(self, header):
        found = subprocess.run([*self.configuration.compiler.split(), "-E", "-x", "c++", "-"], input=f"#include <{header}>\n",
                               text=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if found.returncode != 0:
            raise NotHere(f"{self.configuration.compiler}: no <{header}>")

    def has_rapidcheck(self, folder):
        """Compiles it, where its sources can be had; elsewhere Meson finds that the one which is here does not link."""
        self.environment["CXX"] = self.configuration.compiler
        self.run("sh", os.path.join(SOURCE, "tests/install/rapidcheck.sh"), folder, check=False)
        if os.path.exists(os.path.join(folder, "complete")):
            return True
        print(f"{self.name}: Debian's sources of rapidcheck are not to be had here, so the test properties is left out")
        return False

    def prepare_cross(self):
        """Unpacks the processor's libraries, and writes for Meson where they are."""
        c = self.configuration
        if not shutil.which(c.runner):
            raise NotHere(c.runner)
        self.sysroot = os.path.join(self.folder, "sysroot")
        self.run("sh", os.path.join(CROSS, "sysroot.sh"), c.debian, self.sysroot, what="sysroot.sh")
        here = os.path.join(self.folder, "here.ini")
        with open(here, "w") as file:
            file.write(f"[constants]\nprocessor = '{c.processor}'\nendian = '{c.endian}'\nsysroot = '{self.sysroot}'\n"
                       f"cache = {CACHE}\n")
        of_system = "windows.ini" if c.runner == "wine" else "debian.ini"
        self.cross_files = ["--cross-file", here, "--cross-file", os.path.join(CROSS, of_system)]
        self.environment.update(WINEPREFIX=os.path.join(self.folder, "wine"), WINEDEBUG="-all")
        if c.rapidcheck:
            self.has_rapidcheck(os.path.join(self.sysroot, "usr"))
        return ["-Dwerror=true", *c.options]

    def configure(self, source, options):
        compiler = self.environment.get("CXX", "c++")
        self.environment["CXX"] = " ".join(CACHE + [compiler])
        known = os.path.exists(os.path.join(self.build, "build.ninja"))
        self.run("meson", *(["configure", self.build] if known else ["setup", self.build, source, *self.cross_files]), *options, what="meson")
        self.environment["CXX"] = compiler

    def test(self):
        c = self.configuration
        listed = json.loads(self.run("meson", "introspect", self.build, "--tests"))
        there = [t["name"] for t in listed if "xtape:programs" in t["suite"]]
        if c.tests:
            names = [*c.tests, *(t for t in FURTHER if t in there and not c.processor)]
            targets = [*self.libraries(), *("tests/test_" + t for t in c.tests)]
        else:
            names, targets = [t for t in there if t not in c.leaves_out], []
        self.run("ninja", "-C", self.build, *targets, what="build")
        log = os.path.join(self.build, "meson-logs", "testlog.json")
        patience = ["-t", "30"] if c.processor else []
        self.run("meson", "test", "-C", self.build, "--no-rebuild", "--print-errorlogs", *patience, *names, check=False)
        passed = failed = 0
        for line in open(log):
            test = json.loads(line)
            counts = re.findall(r"test cases:\s*\d+ \|\s*(\d+) passed \|\s*(\d+) failed", test.get("stdout", ""))
            passed += sum(int(p) for p, _ in counts)
            bad = sum(int(f) for _, f in counts)
            failed += bad or (test["result"] != "OK")
            if test["result"] != "OK":
                print(self.name, test["name"], test["result"], "\n".join(test.get("stdout", "").splitlines()[-30:]), sep="\n")
        self.row["tests"] = f"{passed} of {passed + failed}"
        if failed or not passed:
            raise Failed("tests")

    def count_instructions(self):
        """What NEON saves, by a plugin of QEMU for the machine that builds."""
        plugin = os.path.join(self.work, "count.so")
        self.run("cc", "-shared", "-fPIC", "-o", plugin, os.path.join(CROSS, "count_instructions.c"), what="plugin")
        self.run("ninja", "-C", self.build, "tests/kernel_calls", what="build")
        print(self.run("python3", os.path.join(CROSS, "instructions.py"), plugin, self.configuration.runner, "-L", self.sysroot,
                       os.path.join(self.build, "tests/kernel_calls"), what="instructions"))

    def exchange_files(self):
        """What the programs of the other system write is read here, by the format alone, and has the numbers of the file that
        this system wrote; the test versions reads that one there."""
        there, here = os.path.join(self.work, "there.safetensors"), os.path.join(SOURCE, "tests/files/versions/0.2.0.safetensors")
        self.environment["XTAPE_WRITE_TRAINING"] = there
        self.run(self.configuration.runner, os.path.join(self.build, "tests/test_versions.exe"), what="writing a file")
        sys.path.insert(0, os.path.join(SOURCE, "tests/files"))
        from read_safetensors import numbers, read
        (notes, arrays), (known_notes, known) = read(there), read(here)
        if notes.keys() != known_notes.keys() or arrays.keys() != known.keys():
            raise Failed("other names in a file")
        worst = max(abs(a - b) for name in known for a, b in zip(numbers(arrays[name]), numbers(known[name]), strict=True))
        print(f"{self.name}: {len(arrays)} arrays of a file that was written there differ by {worst:.1e} at the most")
        # Adam makes steps of what rounding leaves of a gradient that is 0, as that of a bias before batch normalisation.
        if not worst <= 1e-9:
            raise Failed("other numbers in a file")

    def libraries(self):
        """The targets of the library, and of its kernels, whose archives a test reads."""
        files = [t["filename"][0][len(self.build) + 1:]
                 for t in json.loads(self.run("meson", "introspect", self.build, "--targets"))]
        return [f for f in files if re.match(r"libxtape[.-]|autodiff/libkernels_", f)]

    def measure(self, library):
        stripped = os.path.join(self.work, "stripped")
        self.run("strip", "--strip-unneeded", "-o", stripped, library)
        self.row["MB"] = f"{os.path.getsize(library) / 1e6:.2f}"
        self.row["stripped"] = f"{os.path.getsize(stripped) / 1e6:.2f}"
        self.row["foreign"] = "–"
        if not library.endswith(".a"):
            said = self.run("sh", os.path.join(SOURCE, "tests/install/exported_symbols.sh"), library, what="symbols")
            self.row["foreign"] = re.search(r"(\d+) not of xtape", said)[1]

    def use(self):
        """Installs, and compiles and runs users' programs; the seconds of processor that one of them takes to compile."""
        self.run("meson", "install", "-C", self.build, "--no-rebuild")
        libdir = os.path.join(self.prefix, "lib")
        self.environment["PKG_CONFIG_PATH"] = os.path.join(libdir, "pkgconfig")
        self.environment["LD_LIBRARY_PATH"] = ":".join([libdir] + [p for p in [self.environment.get("LD_LIBRARY_PATH")] if p])
        said = self.run("sh", "-c", '. "$1/tests/install/consumer/checks.sh" && source=$1 prefix=$2 work=$3 && users && [ $failed = 0 ]',
                        "sh", SOURCE, self.prefix, self.work, check=False)
        failed = said.count("FAILED  ")
        good = said.count("ok      ")
        self.row["uses"] = f"{good} of {good + failed}"
        if failed or not good:
            print(said)
            raise Failed("uses")
        self.measure(os.path.realpath(glob.glob(os.path.join(libdir, "libxtape.*"))[0]))
        flags = self.run("pkg-config", "--cflags", "xtape").split()
        self.time_compilation(*flags)
        self.name_blas(os.path.join(self.work, "consumer"))

    def time_compilation(self, *flags):
        file = os.path.join(SOURCE, "tests/install/consumer/main.cpp")
        times = []
        for _ in range(3):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            self.run(*self.configuration.compiler.split(), "-std=c++20", "-O2", *flags, "-c", file, "-o", os.path.join(self.work, "main.o"))
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            times.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
        self.row["user's file"] = f"{min(times):.1f} s"

    def name_blas(self, program):
        """The BLAS that the program loads, by the file that its names lead to."""
        found = re.search(r"lib\w*blas\S* => (\S+)", self.run("ldd", program))
        if self.configuration.blas == "none" and not found:
            self.row["BLAS"] = "none"
            return
        if not found:
            raise Failed("no BLAS")
        path = os.path.realpath(found[1])
        self.row["BLAS"] = os.path.join(os.path.basename(os.path.dirname(path)), os.path.basename(path))
        if ("openblas" in path) != (self.configuration.blas == "openblas"):
            raise Failed("another BLAS")

    def as_subproject(self, options):
        user = os.path.join(self.folder, "user")
        for folder in (user, self.build):
            shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(os.path.join(SOURCE, "tests/install/consumer"), user)
        # As from WrapDB: the tarball of the sources, by the wrap file and with its hash. The folder's name has the version.
        install = os.path.join(SOURCE, "tests", "install")
        tarball = self.run("sh", os.path.join(install, "tarball.sh"), SOURCE, self.folder).strip()
        wrap = self.run("sh", os.path.join(install, "wrap.sh"), tarball)
        os.makedirs(os.path.join(user, "subprojects"))
        with open(os.path.join(user, "subprojects", "xtape.wrap"), "w") as file:
            file.write(wrap)
        with open(os.path.join(user, "meson.build"), "w") as project:
            project.write("project('mine', 'cpp', default_options: 'cpp_std=c++20')\n"
                          "executable('consumer', 'main.cpp', dependencies: dependency('xtape'))\n")
        self.configure(user, ["--force-fallback-for=xtape", *options])
        self.run("ninja", "-C", self.build, what="build")
        program = os.path.join(self.build, "consumer")
        self.run(program, what="consumer")
        self.row["uses"] = "1 of 1"
        self.measure(os.path.realpath(glob.glob(os.path.join(self.build, "subprojects/xtape-*/libxtape.so"))[0]))
        self.name_blas(program)

    def result(self):
        start = time.monotonic()
        try:
            options = self.prepare()
            if self.configuration.subproject:
                self.as_subproject(options)
            else:
                features = ["-Dtests=enabled", "-Dexamples=disabled", "-Dbenchmarks=disabled", "-Dlibtorch=disabled"]
                self.configure(SOURCE, ["--prefix=" + self.prefix, "--libdir=lib", *features, *options])
                self.test()
                if self.configuration.processor == "aarch64":
                    self.count_instructions()
                if self.configuration.runner == "wine":
                    self.exchange_files()
                if not self.configuration.processor:
                    self.use()
            self.row["result"] = "ok"
        except NotHere as missing:
            self.row["result"] = f"not here: {missing}"
        except Failed as step:
            self.row["result"] = f"FAILED: {step}"
            print(f"{self.name}: the log is {os.path.relpath(self.folder, SOURCE)}/log")
        self.row["build"] = f"{time.monotonic() - start:.0f} s"
        return self.row


def line(row, widths):
    return "| " + " | ".join(str(row[c]).ljust(widths[c]) for c in COLUMNS) + " |"


def main():
    names = sys.argv[1:] or [n for n, c in CONFIGURATIONS.items() if c.tests and not c.processor]
    unknown = [n for n in names if n not in CONFIGURATIONS]
    if unknown:
        sys.exit(f"matrix.py: no configuration {', '.join(unknown)}; there are {', '.join(CONFIGURATIONS)}")
    rows = []
    for name in names:
        print(f"=== {name}: {CONFIGURATIONS[name].changed}", flush=True)
        rows.append(Run(name).result())
        print(line(rows[-1], dict.fromkeys(COLUMNS, 0)), flush=True)
    widths = {c: max(len(c), *(len(str(r[c])) for r in rows)) for c in COLUMNS}
    print()
    print(line(dict(zip(COLUMNS, COLUMNS)), widths))
    print("|" + "|".join("-" * (widths[c] + 2) for c in COLUMNS) + "|")
    for row in rows:
        print(line(row, widths))
    return any(row["result"].startswith("FAILED") for row in rows)


if __name__ == "__main__":
    sys.exit(main())
